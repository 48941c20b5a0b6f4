"""The WAL of a repository on a clock: from when to when it can be recovered, and which stretches are lost. Pure.

Names and the times of a listing are all that is read, so that it can be looked at every minute. A segment does not say
when its commits were made, only the store when it came: what is said here ends when the store got the last WAL, and the
commits in it are older by as long as it took to get there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ops.model.backup import Backup
from ops.model.continuity import Archive, Hole, Start, needed, newest_history
from ops.model.ledger import Entry, stands
from ops.model.lsn import LSN
from ops.model.segment import Segment
from ops.store.base import Stored
from ops.wal.archive import Survey, segment_of
from ops.wal.gaps import Bad, Report, examine
from ops.wal.ledger import seen


@dataclass(frozen=True)
class Gap:
    """A stretch of WAL that no recovery crosses: `segments` of them, from `first` to `last`.

    `since`: when the store got the last WAL before it; `until`: the end of the first backup behind it, from which on
    recovery is possible again. None: nothing before it is there, or no backup behind it yet.
    """

    first: str
    last: str
    segments: int
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True)
class BadFile:
    """A stored file that was read and is not what its name says; `gap` is what it costs, None for nothing."""

    name: str
    detail: str
    gap: Gap | None


@dataclass(frozen=True)
class Continuity:
    """What can be recovered: every moment from `start` (the end of the oldest backup) to `end`, save the gaps.

    `end`: when the store got the last WAL that a recovery reaches, the live tail included; `newest`: the last WAL at
    all, behind a gap too. `frontier` is the last whole segment that is reached. `histories` are timeline histories
    that are missing. `read` of `files` were read and judged as they are now, the one that was first at `oldest_read`.
    """

    start: datetime | None
    end: datetime | None
    newest: datetime | None
    frontier: str | None
    gaps: tuple[Gap, ...]
    damaged: tuple[BadFile, ...]
    foreign: tuple[BadFile, ...]
    histories: tuple[str, ...]
    strangers: tuple[str, ...]
    files: int
    stored_bytes: int
    read: int
    oldest_read: datetime | None

    @property
    def missing(self) -> int:
        """How many segments are missing."""
        return sum(gap.segments for gap in self.gaps)

    @property
    def whole(self) -> bool:
        return not (self.gaps or self.damaged or self.foreign or self.histories)

    @property
    def lost(self) -> tuple[Gap, ...]:
        """Every stretch that cannot be recovered, whether its WAL is missing or not to be believed."""
        return (*self.gaps, *(bad.gap for bad in (*self.damaged, *self.foreign) if bad.gap))


def examined(
    survey: Survey,
    backups: Sequence[Backup],
    starts: Sequence[Start],
    ledger: Mapping[str, Entry],
    tail: Callable[[Segment], datetime | None],
) -> Continuity:
    """What the store holds, for recoveries that begin at `starts` (those of `backups` that all later WAL is kept for).

    `tail` tells when the store got the last piece of that segment, which is still being written; None for none.
    """
    archive, size = survey.archive, survey.archive.segment_size
    report = examine(survey, _spanning(starts, archive), ledger)
    bad = {
        key
        for key, found in survey.stored.items()
        if (entry := ledger.get(key)) and entry.verdict != "good" and stands(entry, seen(found))
    }
    usable = archive.without(segment for key in bad if (segment := segment_of(key, size)))
    clock = _Clock(survey, backups)
    files = [(one.verdict, BadFile(one.name, one.detail, clock.cost(one))) for one in report.bad]
    whole = [start for start in starts if _stands_alone(start, usable)]
    return Continuity(
        start=clock.end_of(whole[0]) if whole else None,
        end=_end(report, archive, starts, clock, tail) if whole else None,
        newest=max((timeline.newest_stored for timeline in survey.timelines), default=None),
        frontier=report.frontier.name if report.frontier else None,
        gaps=tuple(clock.gap(hole) for hole in report.holes),
        damaged=tuple(file for verdict, file in files if verdict == "damaged"),
        foreign=tuple(file for verdict, file in files if verdict == "foreign"),
        histories=tuple(f"{timeline:08X}.history" for timeline in report.unexplained),
        strangers=report.strangers,
        files=report.verified.all_objects,
        stored_bytes=report.verified.all_bytes,
        read=report.verified.objects,
        oldest_read=moment(report.verified.oldest),
    )


def moment(microseconds: int | None) -> datetime | None:
    """A time of the ledger."""
    return None if microseconds is None else datetime.fromtimestamp(microseconds / 1_000_000, UTC)


def _spanning(starts: Sequence[Start], archive: Archive) -> list[Start]:
    """The first and the last start along each history: what is missing for one between them, these miss too.

    A recovery from each of thirty backups needs nearly the same WAL; nobody looks at all of it thirty times a minute.
    """
    along: dict[int, list[Start]] = {}
    for start in starts:
        along.setdefault(newest_history(archive, start).timeline, []).append(start)
    ends = [end for group in along.values() for end in (min(group, key=_position), max(group, key=_position))]
    return [start for start in starts if start in ends]


def _position(start: Start) -> LSN:
    return start.lsn


def _stands_alone(start: Start, usable: Archive) -> bool:
    """Whether the WAL is there that makes the backup consistent, on the history that is the newest."""
    newest = max(usable.histories.values(), key=lambda history: history.timeline, default=None)
    if start.through is None or (newest and not newest.contains(start.timeline, start.through)):
        return False
    own = usable.history(start.timeline)
    last = LSN(start.through.position - 1)
    return own is not None and all(
        usable.holds(segment) for segment in needed(own, start.lsn, last, usable.segment_size)
    )


def _end(
    report: Report,
    archive: Archive,
    starts: Sequence[Start],
    clock: _Clock,
    tail: Callable[[Segment], datetime | None],
) -> datetime | None:
    if report.frontier is None:
        return None
    history, after = newest_history(archive, starts[-1]), report.frontier.end
    (following,) = needed(history, after, after, archive.segment_size)
    # A segment that should be there whole leads nowhere by its pieces: they are gone, or WAL behind them is missing.
    piece = None if archive.holds(following) else tail(following)
    ends = [end for end in (clock.put(report.frontier), piece) if end]
    return max(ends, default=None)


class _Clock:
    """When the store got what, and when the backups ended."""

    def __init__(self, survey: Survey, backups: Sequence[Backup]) -> None:
        self._size = survey.archive.segment_size
        self._backups = sorted(backups, key=lambda backup: backup.start_lsn)
        self._put: dict[Segment, Stored] = {}
        for key, found in survey.stored.items():
            if segment := segment_of(key, self._size):
                self._put[segment] = found
        self._numbers: dict[int, Segment] = {}
        for segment in sorted(self._put):
            self._numbers[segment.number] = segment  # of the newest timeline that has it

    def put(self, segment: Segment) -> datetime | None:
        found = self._put.get(segment)
        return found.modified if found else None

    def end_of(self, start: Start) -> datetime:
        """When the backup was consistent that begins there."""
        place = (start.timeline, start.lsn)
        return next(one.stop_time for one in self._backups if (one.timeline, one.start_lsn) == place)

    def gap(self, hole: Hole) -> Gap:
        before = self._numbers.get(hole.first.number - 1)
        behind = [one.stop_time for one in self._backups if one.start_lsn >= hole.last.end]
        return Gap(
            hole.first.name,
            hole.last.name,
            len(hole.names),
            self.put(before) if before else None,
            min(behind, default=None),
        )

    def cost(self, bad: Bad) -> Gap | None:
        return self.gap(bad.hole) if bad.hole else None
