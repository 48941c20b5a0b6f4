"""Which WAL files are taken next, ahead of PostgreSQL; and which pieces the live tail is made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.model.lookahead import next_to_fetch, next_to_push, ready, widen
from ops.model.lsn import LSN
from ops.model.segment import Segment
from ops.model.tail import Piece, chain, next_pieces

MIB = 1 << 20
FIRST = "000000010000000000000001"
SECOND = "000000010000000000000002"


def test_histories_come_first_then_segments_in_order() -> None:
    status = [f"{SECOND}.ready", f"{FIRST}.done", "00000002.history.ready", f"{FIRST}.00000028.backup.ready",
              "000000010000000000000003.partial.ready", "nonsense.ready", "README"]  # fmt: skip
    assert ready(status) == [
        "00000002.history",
        f"{FIRST}.00000028.backup",
        SECOND,
        "000000010000000000000003.partial",
    ]


def test_what_is_taken_care_of_is_not_taken_again() -> None:
    assert next_to_push([FIRST, SECOND, "x"], {FIRST}, 1) == [SECOND]
    assert next_to_push([FIRST, SECOND], {FIRST, SECOND}, 8) == []
    assert next_to_push([FIRST], (), 0) == []


def test_the_successor_of_ff_is_in_the_next_4_gib() -> None:
    assert next_to_fetch("0000000300000005000000FE", 16 * MIB, 3) == [
        "0000000300000005000000FF",
        "000000030000000600000000",
        "000000030000000600000001",
    ]
    assert next_to_fetch("00000001000000000000003F", 64 * MIB, 1) == ["000000010000000100000000"]


@pytest.mark.parametrize("name", ["00000002.history", f"{FIRST}.partial", f"{FIRST}.00000028.backup"])
def test_nothing_follows_what_is_no_segment(name: str) -> None:
    assert next_to_fetch(name, 16 * MIB, 4) == []


@given(
    timeline=st.integers(1, 0xFFFFFFFF),
    number=st.integers(0, 1 << 40),
    power=st.integers(20, 30),
    count=st.integers(0, 9),
)
def test_what_is_fetched_ahead_follows_on_its_own_timeline(timeline: int, number: int, power: int, count: int) -> None:
    size = 1 << power
    if number * size >= 1 << 62:
        return
    names = next_to_fetch(Segment(timeline, number, size).name, size, count)
    found = [Segment.parse(name, size) for name in names]
    assert [(each.timeline, each.number) for each in found] == [(timeline, number + 1 + i) for i in range(count)]


def test_one_looks_further_ahead_the_longer_files_are_asked_for_in_sequence() -> None:
    steps = [0]
    for _ in range(6):
        steps.append(widen(steps[-1], 8, in_sequence=True))
    assert steps == [0, 1, 2, 4, 8, 8, 8]
    assert widen(8, 8, in_sequence=False) == 1
    assert widen(8, 0, in_sequence=True) == 0


def lsn(segment: int, offset: int) -> LSN:
    return LSN(segment * MIB + offset)


def name(number: int) -> str:
    return Segment(1, number, MIB).name


def test_the_tail_begins_at_the_start_of_the_segment_and_goes_on_where_it_was() -> None:
    (first,) = next_pieces(None, 1, lsn(5, 1000), MIB)
    assert first == Piece(name(5), 0, 1000)
    assert next_pieces(first, 1, lsn(5, 1000), MIB) == []
    assert next_pieces(first, 1, lsn(5, 4000), MIB) == [Piece(name(5), 1000, 4000)]


def test_the_tail_leaves_no_gap_at_the_end_of_a_segment() -> None:
    last = Piece(name(5), 1000, 4000)
    assert next_pieces(last, 1, lsn(6, 0), MIB) == [Piece(name(5), 4000, MIB)]
    assert next_pieces(last, 1, lsn(6, 10), MIB) == [Piece(name(5), 4000, MIB), Piece(name(6), 0, 10)]
    assert next_pieces(last, 1, lsn(8, 10), MIB) == [Piece(name(8), 0, 10)]


def test_the_tail_of_a_new_timeline_begins_anew() -> None:
    last = Piece(name(5), 1000, 4000)
    assert next_pieces(last, 2, lsn(5, 5000), MIB) == [Piece(Segment(2, 5, MIB).name, 0, 5000)]


def test_pieces_are_believed_as_far_as_they_hang_together() -> None:
    pieces = [Piece("s", 20, 30), Piece("s", 0, 10), Piece("s", 5, 12), Piece("s", 40, 50), Piece("s", 12, 20)]
    assert max(piece.end for piece in chain(pieces)) == 30
    assert chain([Piece("s", 1, 10)]) == []


@given(st.integers(0, 1 << 30), st.integers(1, 1 << 30))
def test_the_name_of_a_piece_says_which_it_is(start: int, length: int) -> None:
    piece = Piece(FIRST, start, start + length)
    assert Piece.parse(FIRST, piece.name) == piece


@pytest.mark.parametrize("text", ["", "00000000", "00000002-00000001", "00000000-00000000", "0-1", "0000000a-0000000B"])
def test_other_names_are_no_pieces(text: str) -> None:
    with pytest.raises(ValueError, match="not the name of a piece"):
        Piece.parse(FIRST, text)
