"""Which backup to restore and along which timeline, so that a moment is reached; or why it cannot be reached.

A recovery to a time ends before the first commit after it. Where no such commit is in the archive, PostgreSQL
cannot know that it has arrived, and fails: so what can be restored to ends before the newest commit archived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from ops.model import continuity
from ops.model.backup import Backup
from ops.model.continuity import Archive, Hole, Start
from ops.model.oracle import Commit
from ops.model.segment import Segment
from ops.model.target import AtLsn, AtTime, Latest, Target, parse
from ops.model.timeline import History

# A moment is proven by the heartbeat row after it, too: there is one a second, and it may be a little late.
ROOM_FOR_A_BEAT = timedelta(seconds=2)


@dataclass(frozen=True)
class Random:
    """Any moment that the window of recovery has, each as likely as the others."""

    def __str__(self) -> str:
        return "random"


Wish = AtTime | Latest | Random


@dataclass(frozen=True)
class Refused:
    """Why a wish cannot be granted, in the three parts of an error."""

    message: str
    detail: str | None = None
    hint: str | None = None


@dataclass(frozen=True)
class Reach:
    """How far the archive carries a backup: without a hole to the end of `frontier`, `holes` after that.

    `newest` is the last commit on the way; None where nothing has committed, or is archived, since the backup.
    """

    backup: Backup
    timeline: int
    frontier: Segment
    holes: tuple[Hole, ...] = ()
    newest: Commit | None = None


@dataclass(frozen=True)
class Window:
    """The moments that can be restored to: from `start`, before `end`; holes in the archive aside."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class Plan:
    """What to restore, and how far to replay. `newest` is the newest commit that this backup can be taken to."""

    wish: Wish
    target: AtTime | Latest
    backup: Backup
    timeline: int
    newest: Commit
    window: Window

    @property
    def recovery(self) -> Target:
        """What PostgreSQL is told. The latest moment is a place in the WAL, so that reaching it can be proven."""
        return AtLsn(self.newest.lsn) if isinstance(self.target, Latest) else self.target


def parse_wish(text: str) -> Wish:
    """`latest`, `random` or a time; ValueError for anything else."""
    if text.strip() == "random":
        return Random()
    target = parse(text)
    if not isinstance(target, AtTime | Latest):
        raise ValueError(f"a drill proves latest, random or a time, not {text!r}")
    return target


def reaches(backups: Iterable[Backup], archive: Archive) -> list[Reach] | Refused:
    """How far each backup on the newest history can be taken, oldest first; commits are not known yet.

    Backups on a branch that a failover cut off, and those without the WAL that makes them consistent, are left
    out. Refused where a timeline is there without its history: PostgreSQL would not follow it, and say nothing.
    """
    if orphans := continuity.unexplained(archive):
        names = ", ".join(f"{timeline:08X}.history" for timeline in orphans)
        return Refused(
            f"the archive has WAL of a timeline, but not its history: {names}",
            detail="A recovery that cannot read it takes an older timeline for the newest, and loses what came after.",
            hint="Copy the file from pg_wal of a server on that timeline: ops wal push pg_wal/<name>",
        )
    newest = max(archive.histories.values(), key=lambda history: history.timeline, default=History(1))
    found = (_reach(backup, archive, newest) for backup in backups)
    return sorted((reach for reach in found if reach), key=lambda reach: reach.backup.stop_lsn)


def _reach(backup: Backup, archive: Archive, history: History) -> Reach | None:
    if not history.contains(backup.timeline, backup.stop_lsn):
        return None
    start = Start(backup.timeline, backup.start_lsn, backup.stop_lsn)
    frontier = continuity.frontier(archive, start, history)
    if frontier is None or frontier.end < backup.stop_lsn:
        return None
    return Reach(backup, history.timeline, frontier, tuple(continuity.missing(archive, start, history)))


def with_commits(found: Sequence[Reach], newest: Mapping[Segment, Commit | None]) -> list[Reach]:
    """`found` with the newest commit of each frontier, where that came after the backup."""
    known = ((reach, newest.get(reach.frontier)) for reach in found)
    return [
        replace(reach, newest=commit)
        if commit and commit.lsn >= reach.backup.stop_lsn and commit.time > reach.backup.stop_time
        else reach
        for reach, commit in known
    ]


def plan(wish: Wish, found: Sequence[Reach], now: datetime, pick: Callable[[int], int]) -> Plan | Refused:
    """The newest backup that ended before the target, if the archive carries it there.

    `found` comes from `with_commits`. `pick(n)` is any number below n: where Random gets its luck from.
    """
    usable = [(reach, reach.newest) for reach in found if reach.newest]
    if not usable:
        return _nothing(found)
    window = Window(min(reach.backup.stop_time for reach, _ in usable), max(newest.time for _, newest in usable))
    if isinstance(wish, Latest):
        reach, newest = usable[-1]
        if reach.holes:
            return _hole(reach, newest, "the latest moment")
        return Plan(wish, wish, reach.backup, reach.timeline, newest, window)
    if isinstance(wish, AtTime):
        return _to_time(wish, wish, usable, window, now)
    if window.end - window.start <= ROOM_FOR_A_BEAT:
        return _too_short(window)
    return _to_time(wish, _any_moment(window, pick), usable, window, now)


def _to_time(
    wish: Wish, target: AtTime, usable: Sequence[tuple[Reach, Commit]], window: Window, now: datetime
) -> Plan | Refused:
    before = [(reach, newest) for reach, newest in usable if reach.backup.stop_time < target.time]
    if not before:
        return Refused(
            f"{target} is before the first moment that can be restored to",
            detail=f"The oldest backup, {usable[0][0].backup.id}, is consistent after {_clock(window.start)}.",
            hint=_window_hint(window),
        )
    reach, newest = before[-1]
    if target.time < newest.time:
        return Plan(wish, target, reach.backup, reach.timeline, newest, window)
    if target.time > now:
        return Refused(
            f"{target} is in the future",
            detail=_newest(newest),
            hint=f"It is {_clock(now)} now. {_window_hint(window)}",
        )
    if reach.holes:
        return _hole(reach, newest, str(target))
    return Refused(
        f"{target} is beyond the frontier of the archive",
        detail=_newest(newest),
        hint="Wait until the next segment is archived (archive_timeout), or use --target latest.\n"
        + _window_hint(window),
    )


def _any_moment(window: Window, pick: Callable[[int], int]) -> AtTime:
    microsecond = timedelta(microseconds=1)
    span = (window.end - ROOM_FOR_A_BEAT - window.start) // microsecond
    return AtTime(window.start + microsecond * (1 + pick(span)))


def _too_short(window: Window) -> Refused:
    return Refused(
        "nothing can be proven yet: the archive reaches hardly beyond the end of a base backup",
        detail=f"It reaches from {_clock(window.start)} to {_clock(window.end)}; a moment is proven by a heartbeat "
        "row on either side of it, and there is one a second.",
        hint="Wait until the next segment is archived (archive_timeout).",
    )


def _nothing(found: Sequence[Reach]) -> Refused:
    if not found:
        return Refused(
            "there is no base backup that could be restored",
            detail="Either there is none, or none lies on the newest timeline with the WAL that it needs.",
            hint="Take one on a database host: ops backup create. `ops wal gaps` names the WAL that is missing.",
        )
    backup, frontier = found[-1].backup, found[-1].frontier
    return Refused(
        "nothing can be proven yet: no commit after the end of a base backup is in the archive",
        detail=f"The newest backup, {backup.id}, ended at {_clock(backup.stop_time)}; the WAL ends with {frontier}.",
        hint="Wait until the next segment is archived (archive_timeout), and see that `ops heartbeat run` runs.",
    )


def _hole(reach: Reach, newest: Commit, wanted: str) -> Refused:
    return Refused(
        f"{wanted} lies behind a gap in the archive",
        detail=f"Missing: {', '.join(map(str, reach.holes))}. From backup {reach.backup.id} the WAL reaches to "
        f"{_clock(newest.time)}.",
        hint="Look for these segments in pg_wal of every server of the cluster, and push them: ops wal push. "
        "If they are lost, take a new backup now.",
    )


def _newest(commit: Commit) -> str:
    return f"The newest recoverable commit is of {_clock(commit.time)} (transaction {commit.xid}, {commit.lsn})."


def _window_hint(window: Window) -> str:
    return f"Any moment after {_clock(window.start)} and before {_clock(window.end)} can be restored to."


def _clock(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
