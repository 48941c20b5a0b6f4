"""Whether the audit trail is what was written: chains of records, each with a hash that covers the one before. Pure.

The hash of a record is SHA-256 of the hash before it and of `chain:position:rest`, where `rest` is what the record says
as JSON. The first record of a chain follows the empty hash. The head of a chain remembers its last record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from typing import Literal

Kind = Literal["altered", "removed", "inserted", "reordered"]


@dataclass(frozen=True)
class Record:
    """A record of the trail, as it lies there. `about`: what it says it is, for people."""

    chain: int
    position: int
    id: str
    about: str
    rest: str
    hash: bytes

    def follows(self, before: bytes, position: int | None = None) -> bool:
        """Whether its hash is right behind `before`, here or at another position."""
        place = self.position if position is None else position
        return sha256(before + f"{self.chain}:{place}:{self.rest}".encode()).digest() == self.hash


@dataclass(frozen=True)
class Head:
    """The last record of a chain by what the database, or an anchor outside of it, remembers. Position 0: none yet."""

    chain: int
    position: int
    hash: bytes


@dataclass(frozen=True)
class Flaw:
    """The first record of a chain that is not as it was written."""

    chain: int
    position: int
    kind: Kind
    id: str
    words: str


@dataclass(frozen=True)
class Verdict:
    """What a look at the whole trail has found: `records` were good in so many `chains`."""

    records: int
    chains: int
    flaws: Sequence[Flaw]


def verify(records: Iterable[Record], heads: Mapping[int, Head], anchors: Mapping[int, Head]) -> Verdict:
    """Judge a trail, its records sorted by chain and position; anchors are heads that were kept elsewhere.

    What follows the first flaw of a chain is not judged: nothing there can be trusted before that is explained.
    """
    good, seen, flaws = 0, set(), []
    for chain, links in groupby(records, key=lambda record: record.chain):
        seen.add(chain)
        walk = _Walk(heads.get(chain, Head(chain, 0, b"")), anchors.get(chain))
        flaw = walk.over(links)
        good += walk.good
        if flaw:
            flaws.append(flaw)
    for chain in sorted((heads.keys() | anchors.keys()) - seen):
        known = max((head for head in (heads.get(chain), anchors.get(chain)) if head), key=lambda head: head.position)
        if known.position:
            flaws.append(_gone(chain, 0, known.position))
    return Verdict(good, len(seen), sorted(flaws, key=lambda flaw: flaw.chain))


class _Walk:
    """A walk along one chain, from its first record to the first flaw or its head."""

    def __init__(self, head: Head, anchor: Head | None) -> None:
        self._head = head
        self._anchor = anchor
        self._last = Head(head.chain, 0, b"")
        self.good = 0

    def over(self, links: Iterator[Record]) -> Flaw | None:
        for record in links:
            flaw = self._judge(record, links)
            if flaw:
                return flaw
            self._last = Head(record.chain, record.position, record.hash)
            self.good += 1
        return self._at_the_end()

    def _judge(self, record: Record, links: Iterator[Record]) -> Flaw | None:
        expected = self._last.position + 1
        if record.position > expected:
            return _gone(record.chain, self._last.position, record.position - 1)
        if not record.follows(self._last.hash):
            return _explained(record, self._last, list(links), self._head)
        if record.position > self._head.position:
            return _flaw(record, "inserted", "it lies behind the head of the chain")
        if self._anchor and record.position == self._anchor.position and record.hash != self._anchor.hash:
            return _flaw(record, "altered", "its hash is not the one of the anchor: the chain was written anew")
        return None

    def _at_the_end(self) -> Flaw | None:
        """The chain itself is sound as far as it goes; is it as long as those say who remember its end?"""
        last = self._last
        for known, whose in ((self._head, "the head"), (self._anchor, "the anchor")):
            if known and known.position > last.position:
                return _gone(last.chain, last.position, known.position)
            if known and known.position == last.position and known.hash != last.hash:
                return Flaw(
                    last.chain,
                    last.position,
                    "altered",
                    "",
                    f"{whose} of the chain has another hash for its last record",
                )
        return None


def _explained(wrong: Record, last: Head, later: list[Record], head: Head) -> Flaw:
    """What was done to a record whose hash does not follow from the one before."""
    place = wrong.position
    if place > head.position:
        return _flaw(wrong, "inserted", "it lies behind the head of the chain, and follows from nothing")
    true = next((record for record in later if record.follows(last.hash, place)), None)
    if true is None:
        successor = next((record for record in later if record.position == place + 1), None)
        if successor and not successor.follows(wrong.hash) and successor.follows(wrong.hash, place + 2):
            return _flaw(wrong, "removed", "the record of this place is gone, and what followed it has moved up")
        return _flaw(wrong, "altered", "its hash does not follow from what it says and from the record before it")
    # The record that belongs here lies further on. Did this one come from further on, or from outside?
    known = [last, *(Head(record.chain, record.position, record.hash) for record in [wrong, *later])]
    places = {true.position, wrong.position, *(one.position for one in known), *(one.position + 1 for one in known)}
    is_ours = any(wrong.follows(true.hash, position) for position in places) or any(
        wrong.follows(one.hash, one.position + 1) or wrong.follows(one.hash, one.position) for one in known
    )
    if is_ours:
        return _flaw(wrong, "reordered", f"what belongs here lies at {true.position}")
    return _flaw(wrong, "inserted", f"it follows from nothing, and what belongs here lies at {true.position}")


def _gone(chain: int, after: int, until: int) -> Flaw:
    count = until - after
    what = "a record is" if count == 1 else f"{count} records are"
    return Flaw(chain, after + 1, "removed", "", f"{what} gone, positions {after + 1} to {until}")


def _flaw(record: Record, kind: Kind, words: str) -> Flaw:
    return Flaw(record.chain, record.position, kind, record.id, f"{record.about}: {words}")
