"""The chain of the audit trail: whatever is done to it is found, and called by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.model.audit import Flaw, Head, Record, verify


def chain(texts: Sequence[str], number: int = 0) -> list[Record]:
    """A chain as the database writes it."""
    found, before = [], b""
    for position, text in enumerate(texts, 1):
        before = sha256(before + f"{number}:{position}:{text}".encode()).digest()
        found.append(Record(number, position, f"id-{text}", f"record {text}", text, before))
    return found


def head(records: Sequence[Record]) -> dict[int, Head]:
    return {records[-1].chain: Head(records[-1].chain, records[-1].position, records[-1].hash)}


def first_flaw(records: list[Record], whole: Sequence[Record]) -> Flaw:
    (flaw,) = verify(sorted(records, key=lambda one: one.position), head(whole), {}).flaws
    return flaw


TEN = chain("abcdefghij")
texts = st.lists(st.text(max_size=5), min_size=3, max_size=12)


@given(texts)
def test_a_chain_as_it_was_written_has_no_flaw(written: list[str]) -> None:
    records = chain(written)
    verdict = verify(records, head(records), head(records[: len(records) // 2 + 1]))
    assert (verdict.records, verdict.chains, list(verdict.flaws)) == (len(written), 1, [])


@given(texts, st.data())
def test_an_altered_record_is_named(written: list[str], data: st.DataObject) -> None:
    records = chain(written)
    at = data.draw(st.integers(0, len(records) - 1))
    spoilt = [replace(one, rest=one.rest + "!") if i == at else one for i, one in enumerate(records)]
    flaw = first_flaw(spoilt, records)
    assert (flaw.kind, flaw.position, flaw.id) == ("altered", at + 1, records[at].id)


@given(texts, st.data())
def test_removed_records_are_counted_where_they_were(written: list[str], data: st.DataObject) -> None:
    records = chain(written)
    start = data.draw(st.integers(0, len(records) - 1))
    end = data.draw(st.integers(start + 1, len(records)))
    flaw = first_flaw(records[:start] + records[end:], records)
    assert (flaw.kind, flaw.position) == ("removed", start + 1)
    assert flaw.words.startswith("a record is" if end - start == 1 else f"{end - start} records are")


@given(st.permutations(range(10)).filter(lambda order: list(order) != sorted(order)))
def test_records_in_another_order_are_a_flaw_at_the_first_that_moved(order: list[int]) -> None:
    moved = [replace(TEN[old], position=new + 1) for new, old in enumerate(order)]
    first = next(new for new, old in enumerate(order) if new != old)
    flaw = first_flaw(moved, TEN)
    assert flaw.position == first + 1
    assert flaw.id == TEN[order[first]].id


def swapped(records: list[Record]) -> list[Record]:
    third, seventh = replace(records[2], position=7), replace(records[6], position=3)
    return [*records[:2], *records[3:6], *records[7:], third, seventh]


def inserted(records: list[Record]) -> list[Record]:
    forged = Record(0, 3, "id-forged", "record forged", "forged", b"f" * 32)
    return [*records[:2], forged, *(replace(one, position=one.position + 1) for one in records[2:])]


def removed_and_moved_up(records: list[Record]) -> list[Record]:
    return [*records[:2], *(replace(one, position=one.position - 1) for one in records[3:])]


def added(records: list[Record]) -> list[Record]:
    return [*records, replace(chain("abcdefghijk")[-1])]  # with a hash that is right


@pytest.mark.parametrize(
    ("deed", "kind", "position"),
    [
        (swapped, "reordered", 3),
        (inserted, "inserted", 3),
        (removed_and_moved_up, "removed", 3),
        (added, "inserted", 11),
    ],
)
def test_each_deed_has_its_name(deed: Callable[[list[Record]], list[Record]], kind: str, position: int) -> None:
    flaw = first_flaw(deed(TEN), TEN)
    assert (flaw.kind, flaw.position) == (kind, position)


def test_an_end_without_its_head_is_found_by_the_anchor_alone() -> None:
    short = TEN[:6]
    assert not verify(short, head(short), {}).flaws
    (flaw,) = verify(short, head(short), head(TEN)).flaws
    assert (flaw.kind, flaw.position, flaw.words) == ("removed", 7, "4 records are gone, positions 7 to 10")


def test_a_chain_written_anew_is_found_by_the_anchor_alone() -> None:
    anew = chain("abXdefghij")
    assert not verify(anew, head(anew), {}).flaws
    for anchor in (head(TEN), head(TEN[:5])):
        (flaw,) = verify(anew, head(anew), anchor).flaws
        assert flaw.kind == "altered"


def test_a_chain_that_is_gone_as_a_whole_is_found_by_its_head() -> None:
    (flaw,) = verify([], head(TEN) | {1: Head(1, 0, b"")}, {}).flaws
    assert (flaw.chain, flaw.kind, flaw.position) == (0, "removed", 1)


def test_each_chain_is_judged_by_itself() -> None:
    other = chain("xyz", 1)
    spoilt = [replace(TEN[0], rest="!"), *TEN[1:], *other]
    verdict = verify(spoilt, head(TEN) | head(other), {})
    assert [flaw.chain for flaw in verdict.flaws] == [0]
    assert (verdict.records, verdict.chains) == (3, 2)
