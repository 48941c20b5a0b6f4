"""Which segments a recovery needs, which are missing, how far it gets: by example and by property."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hypothesis import given
from hypothesis import strategies as st

from ops.model.continuity import (
    Archive,
    Hole,
    Start,
    frontier,
    merge,
    missing,
    needed,
    newest_history,
    owed,
    unexplained,
)
from ops.model.lsn import LSN
from ops.model.segment import Segment
from ops.model.timeline import Ancestor, History

MIB = 1 << 20


def lsn(mebibytes: float) -> LSN:
    return LSN(int(mebibytes * MIB))


def archive(segments: Mapping[int, Iterable[int]], *histories: History) -> Archive:
    """An archive with segments of 1 MiB: segment n holds the bytes from n MiB on."""
    return Archive(
        {timeline: frozenset(numbers) for timeline, numbers in segments.items()},
        {history.timeline: history for history in histories},
        MIB,
    )


def runs(holes: list[Hole]) -> list[tuple[int, int, int]]:
    return [(hole.first.timeline, hole.first.number, hole.last.number) for hole in holes]


def at(timeline: int, number: int) -> Segment:
    return Segment(timeline, number, MIB)


# Timeline 2 left 1 in the middle of segment 5; timeline 3 left 2 exactly at the start of segment 8.
SECOND = History(2, (Ancestor(1, lsn(5.5)),))
THIRD = History(3, (Ancestor(1, lsn(5.5)), Ancestor(2, lsn(8))))
COMPLETE = {1: range(1, 5), 2: range(5, 8), 3: range(8, 11)}


def test_nothing_is_missing_where_everything_is_there() -> None:
    full = archive(COMPLETE, SECOND, THIRD)
    start = Start(1, lsn(1.5), lsn(2.5))
    assert missing(full, start) == []
    assert frontier(full, start) == at(3, 10)


def test_the_segment_of_a_switch_is_needed_from_the_new_timeline() -> None:
    names = [(segment.timeline, segment.number) for segment in needed(THIRD, lsn(4), lsn(8.5), MIB)]
    assert names == [(1, 4), (2, 5), (2, 6), (2, 7), (3, 8)]


def test_holes_are_runs_of_missing_segments_on_each_timeline() -> None:
    holed = archive({1: [1, 4], 2: [7], 3: [9]}, SECOND, THIRD)
    start = Start(1, lsn(1))
    assert runs(missing(holed, start)) == [(1, 2, 3), (2, 5, 6), (3, 8, 8)]
    assert frontier(holed, start) == at(1, 1)


def test_what_is_not_archived_yet_is_no_hole() -> None:
    young = archive({1: [1, 2]})
    assert missing(young, Start(1, lsn(1))) == []
    assert frontier(young, Start(1, lsn(1))) == at(1, 2)


def test_what_a_backup_needs_is_missing_even_when_nothing_later_is_there() -> None:
    empty = archive({})
    start = Start(1, lsn(1.5), lsn(3.5))
    assert runs(missing(empty, start)) == [(1, 1, 3)]
    assert frontier(empty, start) is None


def test_a_branch_that_was_cut_off_does_not_count() -> None:
    # Timeline 1 went on to segment 9 before its server was stopped; nobody needs that.
    forked = archive(COMPLETE | {1: [*range(1, 5), 6, 9]}, SECOND, THIRD)
    assert missing(forked, Start(1, lsn(1))) == []
    # A recovery along timeline 1 itself does.
    assert runs(missing(forked, Start(1, lsn(1)), History(1))) == [(1, 5, 5), (1, 7, 8)]


def test_a_backup_on_a_cut_off_branch_keeps_to_its_own_timeline() -> None:
    forked = archive(COMPLETE | {1: range(1, 8)}, SECOND, THIRD)
    start = Start(1, lsn(6.5), lsn(7.5))
    assert newest_history(forked, start) == History(1)
    assert missing(forked, start) == []
    assert frontier(forked, start) == at(1, 7)


def test_a_new_timeline_without_wal_yet_moves_the_frontier_nowhere() -> None:
    fresh = archive({1: range(1, 5)}, SECOND)
    assert missing(fresh, Start(1, lsn(1))) == []
    assert frontier(fresh, Start(1, lsn(1))) == at(1, 4)


def test_a_history_that_is_lost_is_named_and_its_descendants_are_still_followed() -> None:
    lost = archive(COMPLETE, THIRD)
    assert unexplained(lost) == [2]
    assert frontier(lost, Start(1, lsn(1))) == at(3, 10)
    assert unexplained(archive(COMPLETE)) == [2, 3]
    assert unexplained(archive(COMPLETE, SECOND, THIRD)) == []


def test_holes_of_several_backups_are_merged() -> None:
    holes = [Hole(at(1, 2), at(1, 5)), Hole(at(1, 4), at(1, 7)), Hole(at(2, 8), at(2, 8)), Hole(at(1, 8), at(1, 8))]
    assert runs(merge(holes)) == [(1, 2, 8), (2, 8, 8)]
    assert merge([]) == []


def test_a_hole_names_its_segments() -> None:
    one, many = Hole(at(1, 2), at(1, 2)), Hole(at(1, 0xFFF), at(1, 0x1001))
    assert str(one) == "000000010000000000000002"
    assert str(many) == "000000010000000000000FFF to 000000010000000100000001 (3 segments)"
    assert many.names == ["000000010000000000000FFF", "000000010000000100000000", "000000010000000100000001"]


def test_the_oldest_segment_is_that_of_the_oldest_timeline() -> None:
    assert archive({}).oldest is None
    assert archive({1: [], 3: [9, 4], 2: [7, 6]}).oldest == at(2, 6)


@given(st.sets(st.integers(0, 40)), st.integers(0, 40))
def test_every_needed_segment_is_there_or_in_a_hole_or_after_the_end(present: set[int], first: int) -> None:
    wal = archive({1: present})
    start = Start(1, lsn(first))
    gone = {number for hole in missing(wal, start) for number in range(hole.first.number, hole.last.number + 1)}
    later = {number for number in present if number >= first}
    assert gone == set(range(first, max(later, default=first))) - present
    reached = frontier(wal, start)
    if reached is None:
        assert first not in present
    else:
        assert set(range(first, reached.number + 1)) <= present
        assert reached.number + 1 not in present


@given(st.sets(st.integers(0, 20)), st.sets(st.integers(0, 20)), st.floats(0.5, 19.5), st.integers(0, 20))
def test_holes_are_never_in_the_archive_and_never_before_the_start(
    old: set[int], new: set[int], switch: float, first: int
) -> None:
    wal = archive({1: old, 2: new}, History(2, (Ancestor(1, lsn(switch)),)))
    start = Start(1, lsn(first), lsn(first + 1))
    for hole in missing(wal, start):
        for name in hole.names:
            segment = Segment.parse(name, MIB)
            assert not wal.holds(segment)
            assert segment.number >= first


def test_a_backup_that_stops_on_a_segment_s_edge_does_not_need_the_next_segment() -> None:
    # The stop of a backup is the first position that it does not need.
    archive = Archive({1: frozenset({3})})
    assert missing(archive, Start(1, LSN.parse("0/3000028"), LSN.parse("0/4000000"))) == []
    assert missing(archive, Start(1, LSN.parse("0/3000028"), LSN.parse("0/4000001"))) != []


# -- what a member still has and the archive lacks ----------------------------------------------------------------

FORK = LSN(5 * MIB + 100)
AFTER_FORK = History(2, (Ancestor(1, FORK),))
HERE = [Segment(timeline, number, MIB) for timeline in (1, 2) for number in range(10)]


def test_ended_timelines_are_owed_up_to_the_last_segment_before_the_fork_and_never_beyond() -> None:
    stored = Archive({1: frozenset({1, 2}), 2: frozenset({5})}, {}, MIB)
    assert owed(AFTER_FORK, LSN(9 * MIB), HERE, stored) == [Segment(1, 3, MIB), Segment(1, 4, MIB)]


def test_nothing_is_owed_that_the_member_has_not_replayed_itself() -> None:
    stored = Archive({1: frozenset({1, 2})}, {}, MIB)
    assert owed(AFTER_FORK, LSN(4 * MIB), HERE, stored) == [Segment(1, 3, MIB)]
    assert owed(AFTER_FORK, LSN(4 * MIB - 1), HERE, stored) == []


def test_nothing_of_the_current_timeline_or_of_a_stranger_is_owed() -> None:
    strangers = [Segment(7, 3, MIB), Segment(1, 3, MIB * 2)]
    assert owed(History(1), LSN(9 * MIB), HERE, Archive({}, {}, MIB)) == []
    assert owed(AFTER_FORK, LSN(9 * MIB), strangers, Archive({}, {}, MIB)) == []


def test_segments_that_were_there_once_are_missing_at_the_end_too() -> None:
    stored = Archive({1: frozenset({1, 2, 3})}, {}, MIB)
    known = stored.joined([Segment(1, 4, MIB), Segment(1, 5, MIB)])
    start = Start(1, LSN(MIB))
    assert missing(stored, start) == []
    assert missing(stored, start, known=known) == [Hole(Segment(1, 4, MIB), Segment(1, 5, MIB))]
    assert missing(stored.without([Segment(1, 2, MIB)]), start) == [Hole(Segment(1, 2, MIB), Segment(1, 2, MIB))]
