"""Which backup, which timeline, or why not: decided over plain values."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.model.backup import Backup, backup_id
from ops.model.continuity import Archive
from ops.model.lsn import LSN
from ops.model.oracle import Commit
from ops.model.plan import ROOM_FOR_A_BEAT, Plan, Random, Reach, Refused, Wish, plan, reaches, with_commits
from ops.model.segment import Segment
from ops.model.target import AtLsn, AtTime, Latest
from ops.model.timeline import Ancestor, History

MIB = 1 << 20
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TEN_PAST_ONE = NOON + timedelta(minutes=70)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def lsn(segment: float) -> LSN:
    return LSN(int(segment * 16 * MIB))


def backup(minutes: float, segment: float, timeline: int = 1) -> Backup:
    """A backup that took one minute, from `minutes` past noon on, and half a segment of WAL."""
    return Backup(
        id=backup_id(at(minutes)),
        cluster="main",
        system_identifier=7,
        timeline=timeline,
        start_lsn=lsn(segment + 0.25),
        stop_lsn=lsn(segment + 0.75),
        start_time=at(minutes),
        stop_time=at(minutes + 1),
        first_segment="",
        last_segment="",
        host="pg1",
        from_standby=False,
        postgres_version=150018,
        size=1,
        stored_bytes=1,
        new_bytes=1,
        block_size=1,
        packs=1,
        files=1,
        tablespaces={},
        settings={},
    )


def archive(*segments: int, timelines: dict[int, Iterable[int]] | None = None, **histories: History) -> Archive:
    """Segments by number; on timeline 1 unless `timelines` says more. Histories are called t2, t3 …"""
    by_timeline = {1: frozenset(segments)} | {name: frozenset(some) for name, some in (timelines or {}).items()}
    return Archive(by_timeline, {history.timeline: history for history in histories.values()})


def commit(minutes: float, segment: float) -> Commit:
    return Commit(1000, lsn(segment), at(minutes))


def surveyed(backups: list[Backup], wal: Archive, **newest: Commit) -> list[Reach]:
    """What a survey of the store finds; `newest` is by the name of the segment that a stretch ends with, s1, s2 …"""
    found = reaches(backups, wal)
    assert not isinstance(found, Refused), found
    by_number = {int(name[1:]): value for name, value in newest.items()}
    return with_commits(found, {reach.frontier: by_number.get(reach.frontier.number) for reach in found})


def ask(wish: Wish, found: list[Reach], now: datetime = TEN_PAST_ONE) -> Plan | Refused:
    return plan(wish, found, now, random.Random(1).randrange)


def refused(answer: Plan | Refused) -> str:
    assert isinstance(answer, Refused), answer
    return f"{answer.message}\n{answer.detail}\n{answer.hint}"


TWO = [backup(0, 1), backup(30, 10)]
WHOLE = surveyed(TWO, archive(*range(1, 21)), s20=commit(60, 20.5))


def test_the_newest_backup_before_the_target_is_taken() -> None:
    late, early = ask(AtTime(at(45)), WHOLE), ask(AtTime(at(20)), WHOLE)
    assert isinstance(late, Plan)
    assert isinstance(early, Plan)
    assert (late.backup, early.backup) == (TWO[1], TWO[0])
    assert (late.window.start, late.window.end) == (at(1), at(60))


def test_a_target_during_a_backup_is_reached_from_the_one_before() -> None:
    answer = ask(AtTime(at(30.5)), WHOLE)
    assert isinstance(answer, Plan)
    assert answer.backup == TWO[0]


def test_a_target_before_the_first_backup_is_refused_with_the_first_moment() -> None:
    for moment in (at(-60), at(1)):
        text = refused(ask(AtTime(moment), WHOLE))
        assert "before the first moment that can be restored to" in text
        assert "2026-11-21T12:01:00Z" in text


def test_a_target_at_the_newest_commit_is_beyond_the_frontier() -> None:
    text = refused(ask(AtTime(at(60)), WHOLE))
    assert "beyond the frontier" in text
    assert "2026-11-21T13:00:00Z" in text
    assert "latest" in text


def test_a_target_right_before_the_newest_commit_is_reached() -> None:
    assert isinstance(ask(AtTime(at(60) - timedelta(microseconds=1)), WHOLE), Plan)


def test_a_target_in_the_future_is_called_that() -> None:
    assert "is in the future" in refused(ask(AtTime(at(71)), WHOLE))


def test_the_latest_moment_is_the_end_of_the_newest_commit_in_the_archive() -> None:
    answer = ask(Latest(), WHOLE)
    assert isinstance(answer, Plan)
    assert answer.backup == TWO[1]
    assert answer.recovery == AtLsn(lsn(20.5))


def test_without_any_backup_there_is_nothing_to_restore() -> None:
    assert "no base backup" in refused(ask(Latest(), surveyed([], archive(1, 2))))


def test_before_anything_committed_after_the_backup_nothing_can_be_proven() -> None:
    for newest in ({}, {"s2": commit(0.5, 1.5)}):
        text = refused(ask(Random(), surveyed(TWO[:1], archive(1, 2), **newest)))
        assert "nothing can be proven yet" in text
        assert "ops heartbeat run" in text


def test_a_gap_before_the_target_is_refused_by_the_names_of_what_is_missing() -> None:
    found = surveyed(TWO[:1], archive(1, 2, 3, 6, 7), s3=commit(10, 3.5))
    assert isinstance(ask(AtTime(at(9)), found), Plan)
    text = refused(ask(AtTime(at(20)), found))
    assert "gap" in text
    assert "000000010000000000000004 to 000000010000000000000005" in text
    assert "gap" in refused(ask(Latest(), found))


def test_a_gap_between_two_backups_costs_only_the_moments_behind_it() -> None:
    found = surveyed(TWO, archive(*range(1, 4), *range(6, 21)), s3=commit(10, 3.5), s20=commit(60, 20.5))
    assert "gap" in refused(ask(AtTime(at(20)), found))
    for moment, wanted in ((at(9), TWO[0]), (at(45), TWO[1])):
        answer = ask(AtTime(moment), found)
        assert isinstance(answer, Plan)
        assert answer.backup == wanted


def test_a_backup_without_the_wal_to_its_end_is_not_used() -> None:
    found = surveyed(TWO, archive(*range(1, 10), *range(11, 21)), s9=commit(25, 9.5))
    assert [reach.backup for reach in found] == [TWO[0]]


T2 = History(2, (Ancestor(1, lsn(5.5)),))


def test_recovery_follows_the_newest_timeline_by_its_number() -> None:
    wal = archive(*range(1, 6), timelines={2: range(5, 21)}, t2=T2)
    answer = ask(AtTime(at(50)), surveyed([backup(0, 1), backup(30, 10, timeline=2)], wal, s20=commit(60, 20.5)))
    assert isinstance(answer, Plan)
    assert answer.timeline == 2


def test_a_backup_of_a_branch_that_was_cut_off_is_not_used() -> None:
    wal = archive(*range(1, 12), timelines={2: range(5, 21)}, t2=T2)
    found = surveyed([backup(0, 1), backup(20, 7)], wal, s20=commit(60, 20.5))
    assert [reach.backup.start_time for reach in found] == [at(0)]
    answer = ask(AtTime(at(50)), found)
    assert isinstance(answer, Plan)
    assert answer.timeline == 2


def test_wal_that_the_old_primary_wrote_after_the_failover_is_not_the_newest() -> None:
    wal = archive(*range(1, 30), timelines={2: range(5, 8)}, t2=T2)
    (found,) = surveyed([backup(0, 1)], wal)
    assert found.frontier == Segment(2, 7)


def test_a_promotion_that_nothing_was_archived_after_leaves_the_old_timeline_usable() -> None:
    (found,) = surveyed([backup(0, 1)], archive(*range(1, 5), t2=T2))
    assert (found.timeline, found.frontier) == (2, Segment(1, 4))


def test_a_timeline_without_its_history_stops_everything() -> None:
    found = reaches(TWO, archive(*range(1, 6), timelines={2: range(5, 9)}))
    assert isinstance(found, Refused)
    assert "00000002.history" in found.message


@given(st.integers(min_value=0, max_value=2**32), st.integers(min_value=1, max_value=10**9))
def test_a_random_moment_lies_in_the_window_with_room_for_a_heartbeat_after_it(seed: int, span: int) -> None:
    end = at(1) + timedelta(microseconds=span)
    found = surveyed(TWO[:1], archive(*range(1, 21)), s20=Commit(5, lsn(20.5), end))
    answer = plan(Random(), found, at(100), random.Random(seed).randrange)
    if timedelta(microseconds=span) <= ROOM_FOR_A_BEAT:
        assert isinstance(answer, Refused)
        assert "Wait" in (answer.hint or "")
        return
    assert isinstance(answer, Plan)
    assert isinstance(answer.target, AtTime)
    assert at(1) < answer.target.time <= end - ROOM_FOR_A_BEAT


@pytest.mark.parametrize("pick", [0, -1])
def test_the_first_and_the_last_moment_that_can_be_proven_can_be_picked(pick: int) -> None:
    answer = plan(Random(), WHOLE, at(100), lambda below: range(below)[pick])
    assert isinstance(answer, Plan)
    microsecond = timedelta(microseconds=1)
    assert answer.target == AtTime(at(60) - ROOM_FOR_A_BEAT if pick else at(1) + microsecond)
