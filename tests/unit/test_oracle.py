"""What proves a restore, and what does not: judged over plain values."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ops.drill.checks import DRILL_CHECKS
from ops.model.lsn import LSN
from ops.model.oracle import Beat, Beats, Commit, Measured, Observed, Pause, Scan
from ops.model.target import AtTime, Latest

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CLEAN = Scan("everything")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


# Rows 1 to 41 were committed by noon, row 42 a second after row 41; the target lies between them.
BEFORE = Beats(41, 1, Beat(41, at(0), "pg1"))
AFTER = Beat(42, at(1), "pg1")
PAUSE = Pause(LSN(0x5000000), last_end=at(0.4), left_out_xid=731, left_out_time=at(0.6))
PROVEN = Observed(
    target=AtTime(at(0.5)),
    newest=Commit(9000, LSN(0x9000000), at(60)),
    pause=PAUSE,
    before=BEFORE,
    after=AFTER,
    relations=CLEAN,
    invariants=CLEAN,
    opened=True,
    checksums=CLEAN,
    rto=Measured(10, 60),
    rpo=Measured(5, 120),
)
NEWEST = Commit(730, LSN(0x4FFFF00), at(0.4))
LATEST = replace(
    PROVEN, target=Latest(), newest=NEWEST, newest_here=at(0.4), pause=Pause(LSN(0x5000000), at(0)), after=None
)


def failures(seen: Observed) -> dict[str, str]:
    """The checks that fail, with what they say."""
    findings = {check.name: check.judge(seen) for check in DRILL_CHECKS}
    return {name: finding.detail for name, finding in findings.items() if not finding.proven}


@pytest.mark.parametrize("seen", [PROVEN, LATEST])
def test_a_restore_to_exactly_the_target_is_proven(seen: Observed) -> None:
    assert failures(seen) == {}


def test_a_drill_that_saw_nothing_proves_nothing() -> None:
    assert len(failures(Observed(PROVEN.target, PROVEN.newest))) == len(DRILL_CHECKS)


@pytest.mark.parametrize(
    ("pause", "complaint"),
    [
        (replace(PAUSE, left_out_time=at(0.5)), "not after the target"),
        (replace(PAUSE, last_end=at(0.51)), "after the target"),
        (replace(PAUSE, left_out_time=None), "without naming a transaction"),
        (replace(PAUSE, promoted=True), "ended recovery by itself"),
    ],
)
def test_stopping_elsewhere_than_at_the_target_is_no_proof(pause: Pause, complaint: str) -> None:
    assert complaint in failures(replace(PROVEN, pause=pause))["stopped at the target"]


def test_a_restore_in_which_nothing_was_replayed_yet_can_still_be_at_the_target() -> None:
    assert failures(replace(PROVEN, pause=replace(PAUSE, last_end=None))) == {}


def test_a_row_committed_exactly_at_the_target_has_to_be_there() -> None:
    seen = replace(PROVEN, target=AtTime(at(1)), pause=replace(PAUSE, left_out_time=at(1.2)))
    assert "row 42" in failures(seen)["row after it is not"]
    rows = Beats(42, 1, AFTER)
    assert failures(replace(seen, before=rows, after=Beat(43, at(2), "pg1"))) == {}


def test_a_row_from_after_the_target_is_no_proof() -> None:
    assert "after the target" in failures(replace(PROVEN, before=Beats(42, 1, AFTER)))["row before it is there"]


def test_a_row_whose_commit_time_is_unknown_is_no_proof() -> None:
    seen = replace(PROVEN, before=replace(BEFORE, last=Beat(41, None)), after=Beat(42, None))
    assert set(failures(seen)) == {"row before it is there", "row after it is not", "no row is missing"}


@pytest.mark.parametrize("after", [None, Beat(43, at(2), "pg1")])
def test_a_next_row_that_does_not_come_is_a_missing_oracle(after: Beat | None) -> None:
    assert "row 42" in failures(replace(PROVEN, after=after))["row after it is not"]


def test_a_hole_in_the_ids_is_a_missing_oracle() -> None:
    assert failures(replace(PROVEN, before=replace(BEFORE, count=39))) == {
        "no row is missing": "2 of rows 1 to 41 are missing"
    }


def test_a_heartbeat_that_was_silent_around_the_target_is_a_missing_oracle() -> None:
    assert "silent for 61.0 s" in failures(replace(PROVEN, after=Beat(42, at(61), "pg2")))["no row is missing"]
    assert failures(replace(PROVEN, after=Beat(42, at(15), "pg2"))) == {}  # a failover takes its time


def test_latest_has_to_reach_the_newest_commit_of_the_archive() -> None:
    short = replace(LATEST, pause=Pause(NEWEST.lsn, at(0)), newest_here=None)
    assert "before the newest commit" in failures(short)["stopped at the target"]


@pytest.mark.parametrize(("here", "complaint"), [(None, "does not know it"), (at(0.3), "committed it at")])
def test_latest_has_to_hold_that_very_commit(here: datetime | None, complaint: str) -> None:
    assert complaint in failures(replace(LATEST, newest_here=here))["stopped at the target"]


def test_latest_with_a_heartbeat_that_ended_long_before_is_no_proof() -> None:
    seen = replace(LATEST, newest=replace(NEWEST, time=at(90)), newest_here=at(90))
    assert "silent for 90.0 s" in failures(seen)["no row is missing"]


@pytest.mark.parametrize(
    ("piece", "name"),
    [("relations", "tables and indexes"), ("invariants", "invariants"), ("checksums", "page checksums")],
)
def test_damage_is_shown_with_the_first_of_what_was_found(piece: str, name: str) -> None:
    faults = tuple(f"fault {number}" for number in range(1, 6))
    (detail,) = failures(replace(PROVEN, **{piece: Scan("some", faults)})).values()  # type: ignore[arg-type]
    assert detail == "fault 1; fault 2; fault 3; and 2 more"
    assert name in failures(replace(PROVEN, **{piece: None}))  # type: ignore[arg-type]


def test_promises_are_kept_up_to_the_second_and_not_beyond() -> None:
    assert failures(replace(PROVEN, rto=Measured(60, 60), rpo=Measured(120, 120))) == {}
    late = failures(replace(PROVEN, rto=Measured(60.1, 60), rpo=Measured(120.1, 120)))
    assert set(late) == {"recovery time (RTO)", "recovery point (RPO)"}


def test_a_server_that_takes_no_writes_is_no_proof() -> None:
    assert set(failures(replace(PROVEN, opened=False))) == {"opens for writing"}
