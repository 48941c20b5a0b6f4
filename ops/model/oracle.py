"""The judgement of a restore drill: what was observed, and whether it proves what was promised.

The oracle is `ops.heartbeat`: a row a second with contiguous ids, whose exact commit times PostgreSQL keeps. A
restore stopped at a moment when the last row that is there was committed at or before it, and the row with the
next id, which replay brings later from the same archive, after it. The primary is never asked: it may be gone.

PostgreSQL stops before the first commit record later than the target, in WAL order. Two sessions that commit
within the same microseconds can write their records in the other order than their clocks read; the oracle rows
come from one session, a second apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ops.model.lsn import LSN
from ops.model.target import AtTime, Target

# Rows are written every second and a failover takes some more. If the heartbeat was silent for longer around
# the target, then the rows on both sides say too little about the moment between them.
MAX_SILENCE = timedelta(seconds=60)
_UNKNOWN = "the server does not know when it was committed (track_commit_timestamp)"


@dataclass(frozen=True)
class Commit:
    """A transaction's commit as the WAL records it: `lsn` is where the record starts, `time` is in UTC."""

    xid: int
    lsn: LSN
    time: datetime


@dataclass(frozen=True)
class Beat:
    """A row of ops.heartbeat. `committed_at` is None where the server does not know it (any more)."""

    id: int
    committed_at: datetime | None
    host: str | None = None


@dataclass(frozen=True)
class Beats:
    """The rows that are there at one moment: how many, the lowest id, and the last row."""

    count: int
    first_id: int
    last: Beat


@dataclass(frozen=True)
class Pause:
    """What the server said when it had paused.

    `last_end` is when the last transaction that was replayed ended (None: none was), `left_out_*` is the
    transaction before whose end recovery stopped, as the server's log names it. `promoted`: it did not pause, but
    opened for writing by itself.
    """

    replayed_to: LSN
    last_end: datetime | None
    promoted: bool = False
    left_out_xid: int | None = None
    left_out_time: datetime | None = None


@dataclass(frozen=True)
class Scan:
    """A search for damage: what it covered, in words, and what it found. Something it could not cover is a fault."""

    covered: str
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measured:
    """A duration beside what was promised, in seconds."""

    seconds: float
    promised: float


@dataclass(frozen=True)
class Observed:
    """All that one drill saw. None stands for what it did not get to see, and proves nothing.

    `newest` is the last commit in the archive, read from the WAL; `newest_here` is when the restored server says
    that this transaction committed.
    """

    target: Target
    newest: Commit
    pause: Pause | None = None
    newest_here: datetime | None = None
    before: Beats | None = None
    after: Beat | None = None
    relations: Scan | None = None
    invariants: Scan | None = None
    opened: bool | None = None
    checksums: Scan | None = None
    rto: Measured | None = None
    rpo: Measured | None = None


@dataclass(frozen=True)
class Finding:
    """One answer: proven or not, and the figures that say so."""

    proven: bool
    detail: str


def stopped_at_target(seen: Observed) -> Finding:
    """Replay went as far as the target and no further, by the server's own account."""
    pause = seen.pause
    if pause is None:
        return _no("recovery did not reach the target")
    if pause.promoted:
        return _no("the server did not stop at the target: it ended recovery by itself")
    if isinstance(seen.target, AtTime):
        return _ended_at_time(pause, seen.target.time)
    return _ended_at_newest(pause, seen.newest, seen.newest_here)


def _ended_at_time(pause: Pause, time: datetime) -> Finding:
    if pause.left_out_time is None:
        return _no(f"the server paused at {pause.replayed_to} without naming a transaction that it left out")
    left_out = f"transaction {pause.left_out_xid}, {_clock(pause.left_out_time)}"
    if pause.left_out_time <= time:
        return _no(f"left out {left_out}, which is not after the target")
    if pause.last_end is not None and pause.last_end > time:
        return _no(f"replayed a transaction that ended at {_clock(pause.last_end)}, after the target")
    return _yes(f"at {pause.replayed_to}; the first one left out is {left_out}")


def _ended_at_newest(pause: Pause, newest: Commit, here: datetime | None) -> Finding:
    expected = f"the newest commit in the archive, transaction {newest.xid}, {_clock(newest.time)}"
    if pause.replayed_to <= newest.lsn:
        return _no(f"at {pause.replayed_to}, before {expected}, at {newest.lsn}")
    if here != newest.time:
        seen = f"committed it at {_clock(here)}" if here else "does not know it"
        return _no(f"at {pause.replayed_to}, past {expected}, but the restored server {seen}")
    return _yes(f"at {pause.replayed_to}, right after {expected}")


def row_before(seen: Observed) -> Finding:
    """The last heartbeat row that is there was committed at or before the target."""
    if seen.before is None:
        return _no("ops.heartbeat has no row at this moment, or is not there at all")
    last = seen.before.last
    if last.committed_at is None:
        return _no(f"row {last.id}: {_UNKNOWN}")
    if last.committed_at > _moment(seen):
        return _no(f"row {last.id} was committed at {_clock(last.committed_at)}, after the target")
    return _yes(f"row {last.id}, committed {_clock(last.committed_at)}, is there")


def row_after(seen: Observed) -> Finding:
    """The next row is in the archive, was not there at the target, and was committed after it."""
    if not isinstance(seen.target, AtTime):
        return _yes("the target is the newest commit: the archive has nothing after it")
    if seen.before is None:
        return _no("without a row before the target there is none to follow it")
    expected = seen.before.last.id + 1
    if seen.after is None:
        return _no(f"row {expected} did not come when replay went on")
    if seen.after.id != expected:
        return _no(f"the row that follows {expected - 1} is {seen.after.id}: row {expected} is missing")
    return _committed_after(seen.after, seen.target.time)


def _committed_after(row: Beat, time: datetime) -> Finding:
    if row.committed_at is None:
        return _no(f"row {row.id}: {_UNKNOWN}")
    if row.committed_at <= time:
        return _no(f"row {row.id} was committed at {_clock(row.committed_at)} and should have been there")
    return _yes(f"row {row.id}, committed {_clock(row.committed_at)}, was not, and came with later WAL")


def rows_unbroken(seen: Observed) -> Finding:
    """No row is missing, and the heartbeat was not silent around the target: the bracket is tight."""
    if seen.before is None:
        return _no("there are no rows")
    expected = seen.before.last.id - seen.before.first_id + 1
    if seen.before.count != expected:
        missing = expected - seen.before.count
        return _no(f"{missing} of rows {seen.before.first_id} to {seen.before.last.id} {_are(missing)} missing")
    start = seen.before.last.committed_at
    end = seen.after.committed_at if seen.after and isinstance(seen.target, AtTime) else _moment(seen)
    if start is None or end is None:
        return _no("without commit times nothing says how close the rows are to the target")
    if end - start > MAX_SILENCE:
        return _no(
            f"the heartbeat was silent for {(end - start).total_seconds():.1f} s around the target "
            f"(at most {MAX_SILENCE.total_seconds():.0f} s prove anything)"
        )
    return _yes(f"{expected} rows without a gap, {(end - start).total_seconds():.3f} s around the target")


def relations_sound(seen: Observed) -> Finding:
    """Every table and index is intact by pg_amcheck."""
    return _nothing_in(seen.relations)


def invariants_hold(seen: Observed) -> Finding:
    """Every statement in sql/checks/ holds."""
    return _nothing_in(seen.invariants)


def opened_for_writing(seen: Observed) -> Finding:
    """After all else, and with nothing of it leaving the drill's directory, the server takes writes."""
    return _yes("recovery ended, a transaction committed") if seen.opened else _no("it was not tried, or did not work")


def checksums_match(seen: Observed) -> Finding:
    """Every page has the checksum that it was written with."""
    return _nothing_in(seen.checksums)


def rto_kept(seen: Observed) -> Finding:
    """From the decision to restore to the first answer at the target, within what was promised."""
    return _within(seen.rto, "no answer at the target, so that no time to it could be measured")


def rpo_kept(seen: Observed) -> Finding:
    """From the newest commit that could be restored to the moment of asking, within what was promised."""
    return _within(seen.rpo, "not measured")


def _nothing_in(scan: Scan | None) -> Finding:
    if scan is None:
        return _no("not looked at: the drill ended before")
    if not scan.faults:
        return _yes(scan.covered)
    shown = "; ".join(scan.faults[:3])
    rest = f"; and {len(scan.faults) - 3} more" if len(scan.faults) > 3 else ""
    return _no(f"{shown}{rest}")


def _within(measured: Measured | None, otherwise: str) -> Finding:
    if measured is None:
        return _no(otherwise)
    return Finding(
        measured.seconds <= measured.promised, f"{measured.seconds:.1f} s; promised are {measured.promised:.0f} s"
    )


def _moment(seen: Observed) -> datetime:
    return seen.target.time if isinstance(seen.target, AtTime) else seen.newest.time


def _clock(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%fZ")


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _yes(detail: str) -> Finding:
    return Finding(True, detail)


def _no(detail: str) -> Finding:
    return Finding(False, detail)
