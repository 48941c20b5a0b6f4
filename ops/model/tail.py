"""The live tail: the segment that is still being written, as pieces of what is flushed of it.

Flushed WAL never changes on its timeline, so a piece is true for ever; it is worth something until the whole segment is
archived. What lies beyond the last piece is not known: a reader gets zeros there, which end the WAL for PostgreSQL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ops.model.lsn import LSN
from ops.model.segment import Segment

_NAME = re.compile(r"([0-9A-F]{8})-([0-9A-F]{8})")


@dataclass(frozen=True, order=True)
class Piece:
    """The bytes of `segment` from `start` to `end`, which is not part of it."""

    segment: str
    start: int
    end: int

    @classmethod
    def parse(cls, segment: str, name: str) -> Piece:
        """From the last part of its key; ValueError for anything else."""
        match = _NAME.fullmatch(name)
        if not match or not int(match[1], 16) < int(match[2], 16):
            raise ValueError(f"not the name of a piece: {name!r}")
        return cls(segment, int(match[1], 16), int(match[2], 16))

    @property
    def name(self) -> str:
        return f"{self.start:08X}-{self.end:08X}"

    @property
    def label(self) -> str:
        """Its name inside the envelope: no piece can stand for another one, nor for a segment."""
        return f"{self.segment}.{self.name}.tail"


def next_pieces(shipped: Piece | None, timeline: int, flushed: LSN, size: int) -> list[Piece]:
    """What to ship now that WAL is flushed up to `flushed`, if `shipped` went last.

    Without a gap where that was in this segment or the one before; else from the start of this one.
    """
    now = Segment.holding(timeline, flushed, size)
    offset = flushed.position % size
    begun = Segment.parse(shipped.segment, size) if shipped else None
    pieces = []
    if shipped and begun == now:
        pieces.append(Piece(now.name, shipped.end, offset))
    else:
        if shipped and begun and begun.next() == now:
            pieces.append(Piece(begun.name, shipped.end, size))
        pieces.append(Piece(now.name, 0, offset))
    return [piece for piece in pieces if piece.start < piece.end]


def chain(pieces: Iterable[Piece]) -> list[Piece]:
    """Those pieces of a segment that cover it from its start without a gap, as far as they go; overlaps are kept."""
    chosen: list[Piece] = []
    reached = 0
    for piece in sorted(pieces):
        if piece.start > reached:
            break
        chosen.append(piece)
        reached = max(reached, piece.end)
    return chosen
