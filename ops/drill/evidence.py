"""What a drill proved, or why it did not: the document that is kept (ops.drill.records)."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ops.drill.checks import DRILL_CHECKS
from ops.errors import OpsError
from ops.model.layout import Layout
from ops.model.oracle import Beat, Observed
from ops.model.plan import Plan, Wish


class Record(BaseModel):
    """Base of what follows: frozen, and tolerant of what a later version may add."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class BackupUsed(Record):
    """The base backup that was restored; `size` in bytes."""

    id: str
    stop_time: datetime
    size: int
    host: str
    from_standby: bool


class NewestCommit(Record):
    """The newest commit that could be recovered when the drill began."""

    xid: int
    lsn: str
    time: datetime


class Stop(Record):
    """Where replay paused, and the transaction that it left out (a target in time has one)."""

    replayed_to: str
    last_end: datetime | None
    left_out_xid: int | None
    left_out_time: datetime | None


class Oracle(Record):
    """The rows of ops.heartbeat on both sides of the target; `rows` is how many were there at it."""

    rows: int
    before: Beat
    after: Beat | None


class Answer(Record):
    """One of DRILL_CHECKS with its answer."""

    name: str
    proven: bool
    detail: str


class Promise(Record):
    """What was measured and what was promised, in seconds."""

    seconds: float
    promised: float


class Phase(Record):
    """A part of the drill and how long it took."""

    name: str
    seconds: float


class Failure(Record):
    """The error that ended a drill before its time."""

    error: str
    detail: str | None = None
    hint: str | None = None
    exit_code: int


class Evidence(Record):
    """All of one drill. `asked` is the target as it was given, `target` the moment that came of it (as --target)."""

    format: Literal[1] = 1
    id: str
    cluster: str
    system_identifier: int
    verdict: Literal["proven", "failed"]
    asked: str
    target: str | None = None
    started_at: datetime
    finished_at: datetime
    host: str
    versions: dict[str, str]
    timeline: int | None = None
    window: tuple[datetime, datetime] | None = None
    newest_commit: NewestCommit | None = None
    backup: BackupUsed | None = None
    stop: Stop | None = None
    oracle: Oracle | None = None
    checks: tuple[Answer, ...] = ()
    rto: Promise | None = None
    rpo: Promise | None = None
    phases: tuple[Phase, ...] = ()
    notes: tuple[str, ...] = ()
    failure: Failure | None = None

    @property
    def proven(self) -> bool:
        return self.verdict == "proven"

    @property
    def why(self) -> str:
        """Why it failed, in a line; empty for a drill that is proven."""
        if self.failure:
            return self.failure.error
        return "; ".join(f"{check.name}: {check.detail}" for check in self.checks if not check.proven)


def describe(
    *,
    drill_id: str,
    layout: Layout,
    asked: Wish,
    started: datetime,
    versions: dict[str, str],
    chosen: Plan | None,
    seen: Observed | None,
    phases: Sequence[Phase],
    notes: Sequence[str],
    failure: OpsError | None,
) -> Evidence:
    """The document about one drill, with the answers to DRILL_CHECKS by what it has seen."""
    answers: list[Answer] = []
    for check in DRILL_CHECKS if seen else ():
        assert seen is not None
        finding = check.judge(seen)
        answers.append(Answer(name=check.name, proven=finding.proven, detail=finding.detail))
    proven = failure is None and bool(answers) and all(answer.proven for answer in answers)
    return Evidence(
        id=drill_id,
        cluster=layout.cluster,
        system_identifier=layout.system_identifier,
        verdict="proven" if proven else "failed",
        asked=str(asked),
        started_at=started,
        finished_at=datetime.now(UTC),
        host=platform.node(),
        versions=versions,
        checks=tuple(answers),
        phases=tuple(phases),
        notes=tuple(notes),
        failure=_failure(failure),
        **_planned(chosen),
        **_seen(seen),
    )


def _planned(chosen: Plan | None) -> dict[str, Any]:
    if chosen is None:
        return {}
    backup, newest = chosen.backup, chosen.newest
    return {
        "target": str(chosen.target),
        "timeline": chosen.timeline,
        "window": (chosen.window.start, chosen.window.end),
        "newest_commit": NewestCommit(xid=newest.xid, lsn=str(newest.lsn), time=newest.time),
        "backup": BackupUsed(
            id=backup.id,
            stop_time=backup.stop_time,
            size=backup.size,
            host=backup.host,
            from_standby=backup.from_standby,
        ),
    }


def _seen(seen: Observed | None) -> dict[str, Any]:
    if seen is None:
        return {}
    pause, before = seen.pause, seen.before
    return {
        "stop": pause
        and Stop(
            replayed_to=str(pause.replayed_to),
            last_end=pause.last_end,
            left_out_xid=pause.left_out_xid,
            left_out_time=pause.left_out_time,
        ),
        "oracle": before and Oracle(rows=before.count, before=before.last, after=seen.after),
        "rto": seen.rto and Promise(seconds=round(seen.rto.seconds, 3), promised=seen.rto.promised),
        "rpo": seen.rpo and Promise(seconds=round(seen.rpo.seconds, 3), promised=seen.rpo.promised),
    }


def _failure(error: OpsError | None) -> Failure | None:
    if error is None:
        return None
    return Failure(error=error.message, detail=error.detail, hint=error.hint, exit_code=int(error.exit_code))
