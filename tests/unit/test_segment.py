"""WAL file names: PostgreSQL's arithmetic, and the names that only look right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.model.lsn import LSN
from ops.model.segment import DEFAULT_SEGMENT_SIZE, Kind, Segment, WalFile

sizes = st.integers(20, 30).map(lambda bits: 1 << bits)
timelines = st.integers(1, 0xFFFFFFFF)


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    size = draw(sizes)
    return Segment(draw(timelines), draw(st.integers(0, 2**64 // size - 2)), size)


@given(segments())
def test_a_name_is_read_back(segment: Segment) -> None:
    assert Segment.parse(segment.name, segment.size) == segment
    assert len(segment.name) == 24


@given(segments())
def test_the_next_segment_begins_where_this_one_ends(segment: Segment) -> None:
    assert segment.next().start == segment.end
    assert segment.next().name > segment.name
    assert segment.end - segment.start == segment.size


@given(segments(), st.data())
def test_every_byte_lies_in_the_segment_that_holds_it(segment: Segment, data: st.DataObject) -> None:
    offset = data.draw(st.integers(0, segment.size - 1))
    assert Segment.holding(segment.timeline, LSN(segment.start.position + offset), segment.size) == segment
    assert Segment.holding(segment.timeline, segment.end, segment.size) == segment.next()


@pytest.mark.parametrize(
    ("name", "size", "following"),
    [
        ("0000000100000000000000FE", DEFAULT_SEGMENT_SIZE, "0000000100000000000000FF"),
        ("0000000100000000000000FF", DEFAULT_SEGMENT_SIZE, "000000010000000100000000"),
        ("00000001000000000000003F", 64 << 20, "000000010000000100000000"),
        ("000000010000000000000003", 1 << 30, "000000010000000100000000"),
        ("000000010000000000000FFF", 1 << 20, "000000010000000100000000"),
    ],
)
def test_names_carry_over_where_postgresql_carries_over(name: str, size: int, following: str) -> None:
    assert Segment.parse(name, size).next().name == following


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("000000010000000000000100", DEFAULT_SEGMENT_SIZE),
        ("000000010000000000000040", 64 << 20),
        ("000000000000000000000001", DEFAULT_SEGMENT_SIZE),
        ("00000001000000000000000", DEFAULT_SEGMENT_SIZE),
        ("00000001000000000000000a", DEFAULT_SEGMENT_SIZE),
        ("000000010000000000000001.partial", DEFAULT_SEGMENT_SIZE),
        ("000000010000000000000001\n", DEFAULT_SEGMENT_SIZE),
        ("000000010000000000000001", 1 << 31),
        ("000000010000000000000001", 3 << 20),
    ],
)
def test_what_postgresql_could_not_have_written_is_refused(name: str, size: int) -> None:
    with pytest.raises(ValueError):
        Segment.parse(name, size)


def test_the_same_stretch_on_another_timeline_has_the_same_bounds() -> None:
    segment = Segment.parse("000000010000000000000010")
    assert segment.on(2).name == "000000020000000000000010"
    assert segment.on(2).start == segment.start
    assert str(segment) == segment.name


@pytest.mark.parametrize(
    ("name", "kind", "timeline"),
    [
        ("0000000A0000000000000010", Kind.SEGMENT, 10),
        ("0000000A0000000000000010.partial", Kind.PARTIAL, 10),
        ("0000000A0000000000000010.00000028.backup", Kind.BACKUP, 10),
        ("0000000A.history", Kind.HISTORY, 10),
    ],
)
def test_the_four_kinds_of_file_are_told_apart(name: str, kind: Kind, timeline: int) -> None:
    assert WalFile.parse(name) == WalFile(name, kind, timeline)


@pytest.mark.parametrize(
    "name",
    ["", "x", "0000000a.history", "0000000A.history.gz", "RECOVERYXLOG", "../0000000A.history", "0000000A.history\n"],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a file that PostgreSQL archives"):
        WalFile.parse(name)
