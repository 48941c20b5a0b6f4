"""The record of a drill: complete, readable again, and honest about what failed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from ops.drill.checks import DRILL_CHECKS
from ops.drill.evidence import Evidence, Phase, describe
from ops.errors import OpsError, Unreachable
from ops.model.layout import Layout
from ops.model.lsn import LSN
from ops.model.oracle import Beat, Beats, Commit, Measured, Observed, Pause, Scan
from ops.model.plan import Random
from ops.model.target import AtTime

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CLEAN = Scan("everything")
SEEN = Observed(
    target=AtTime(NOON),
    newest=Commit(9000, LSN(0x9000000), NOON + timedelta(seconds=60)),
    pause=Pause(LSN(0x5000000), NOON, False, 731, NOON + timedelta(microseconds=1)),
    before=Beats(41, 1, Beat(41, NOON, "pg1")),
    after=Beat(42, NOON + timedelta(seconds=1), "pg1"),
    relations=CLEAN,
    invariants=CLEAN,
    opened=True,
    checksums=CLEAN,
    rto=Measured(10, 60),
    rpo=Measured(5, 120),
)


def document(seen: Observed | None, failure: OpsError | None = None) -> Evidence:
    return describe(
        drill_id="20261121T120000Z-1f0c",
        layout=Layout("pend", "main", 2**63 - 1),
        asked=Random(),
        started=NOON,
        versions={"ops": "1"},
        chosen=None,
        seen=seen,
        phases=[Phase(name="restore", seconds=1.5)],
        notes=[],
        failure=failure,
    )


def test_evidence_can_be_read_back_as_it_was_written() -> None:
    evidence = document(SEEN)
    assert Evidence.model_validate_json(evidence.model_dump_json()) == evidence
    assert evidence.proven
    assert evidence.why == ""


def test_every_check_is_answered_in_order() -> None:
    assert [check.name for check in document(SEEN).checks] == [check.name for check in DRILL_CHECKS]


def test_times_and_positions_are_stored_as_people_write_them() -> None:
    stored = json.loads(document(SEEN).model_dump_json())
    assert stored["started_at"] == "2026-11-21T12:00:00Z"
    assert stored["stop"]["replayed_to"] == "0/5000000"
    assert stored["oracle"]["after"]["committed_at"] == "2026-11-21T12:00:01Z"


def test_what_a_later_version_adds_does_not_keep_it_from_being_read() -> None:
    evidence = document(SEEN)
    stored = json.loads(evidence.model_dump_json()) | {"weather": "fine"}
    assert Evidence.model_validate(stored) == evidence


def test_an_error_makes_a_drill_fail_whatever_else_was_seen() -> None:
    evidence = document(SEEN, Unreachable("the store does not answer", hint="Wait."))
    assert not evidence.proven
    assert evidence.why == "the store does not answer"
    assert evidence.failure is not None
    assert evidence.failure.exit_code == 3


def test_a_drill_that_could_not_begin_has_failed() -> None:
    assert not document(None).proven
    assert document(None, OpsError("no backup")).why == "no backup"


def test_a_failed_check_is_the_reason() -> None:
    seen = Observed(**{**SEEN.__dict__, "checksums": Scan("some", ("bad checksum in base/5/1234, block 0",))})
    assert document(seen).why == "page checksums: bad checksum in base/5/1234, block 0"
