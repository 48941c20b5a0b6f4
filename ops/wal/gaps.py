"""What is missing in an archive, or not what it should be, put together for a person or a program. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ops.model.continuity import Archive, Hole, Start, frontier, merge, missing, unexplained
from ops.model.ledger import Entry, stands
from ops.model.segment import Segment
from ops.wal.archive import Survey, segment_of
from ops.wal.ledger import seen


@dataclass(frozen=True)
class Bad:
    """A stored file that is damaged, or foreign: another's, or not what its name says.

    `hole` is what it costs, as if the segment were missing; None where no recovery needs it.
    """

    name: str
    verdict: str
    detail: str
    verified: int | None
    hole: Hole | None


@dataclass(frozen=True)
class Verified:
    """How much of the archive was read and judged as it is listed now, of how much. `oldest`: when, at the longest."""

    objects: int
    stored_bytes: int
    all_objects: int
    all_bytes: int
    oldest: int | None

    @property
    def complete(self) -> bool:
        return self.objects == self.all_objects


@dataclass(frozen=True)
class Report:
    """The state of the archive, from the start of its oldest backup to the frontier.

    `frontier` is the last segment that a recovery from the newest start reaches; `unexplained` are timelines
    without their `.history`; `strangers` are keys that no PostgreSQL file has, which costs nothing.
    """

    starts: tuple[Start, ...]
    backed_up: bool
    segments: int
    frontier: Segment | None
    holes: tuple[Hole, ...]
    bad: tuple[Bad, ...]
    unexplained: tuple[int, ...]
    strangers: tuple[str, ...]
    verified: Verified

    @property
    def complete(self) -> bool:
        return not self.holes and not self.unexplained and not self.bad

    @property
    def origin(self) -> str:
        """Where the examination began, in words."""
        if not self.starts:
            return "no WAL and no base backup"
        first = self.starts[0]
        what = "the start of the oldest base backup" if self.backed_up else "the oldest WAL; there is no base backup"
        return f"{first.lsn} on timeline {first.timeline}, {what}"

    def until(self, hole: Hole) -> str:
        """Where recovery is possible again, in words."""
        regained = self._regained(hole)
        return f"until {regained}, where the next backup ends" if regained else "on"

    def as_dict(self) -> dict[str, Any]:
        """The report as `--json` prints it; LSNs as PostgreSQL prints them."""
        return {
            "complete": self.complete,
            "starts": [
                {
                    "timeline": start.timeline,
                    "lsn": str(start.lsn),
                    "through": None if start.through is None else str(start.through),
                }
                for start in self.starts
            ],
            "backups": len(self.starts) if self.backed_up else 0,
            "segments": self.segments,
            "frontier": self.frontier and {"segment": self.frontier.name, "lsn": str(self.frontier.end)},
            "holes": [self._hole(hole) for hole in self.holes],
            "bad": [
                {
                    "file": bad.name,
                    "verdict": bad.verdict,
                    "detail": bad.detail,
                    "unrecoverable_from": bad.hole and str(bad.hole.first.start),
                    "unrecoverable_until": bad.hole and self._regained(bad.hole),
                }
                for bad in self.bad
            ],
            "missing_histories": [f"{timeline:08X}.history" for timeline in self.unexplained],
            "unknown_keys": list(self.strangers),
            "verified": {
                "complete": self.verified.complete,
                "objects": self.verified.objects,
                "of_objects": self.verified.all_objects,
                "stored_bytes": self.verified.stored_bytes,
                "of_stored_bytes": self.verified.all_bytes,
                "oldest_timestamp_seconds": self.verified.oldest and self.verified.oldest / 1_000_000,
            },
        }

    def _hole(self, hole: Hole) -> dict[str, Any]:
        return {
            "first": hole.first.name,
            "last": hole.last.name,
            "segments": hole.names,
            "unrecoverable_from": str(hole.first.start),
            "unrecoverable_until": self._regained(hole),
        }

    def _regained(self, hole: Hole) -> str | None:
        """The end of the first backup that began behind the hole; None where none did."""
        ends = [start.through for start in self.starts if start.through is not None and start.lsn >= hole.last.end]
        return str(min(ends)) if ends else None


def examine(survey: Survey, backups: Sequence[Start], ledger: Mapping[str, Entry]) -> Report:
    """The report on what the store holds, for recoveries that begin at any of `backups`, oldest first.

    Without a backup it begins at the oldest WAL: nothing can be recovered yet, and a hole is a hole. What the `ledger`
    (by key below wal/) has once seen counts as missing where it is gone, the newest WAL too.
    """
    archive, size = survey.archive, survey.archive.segment_size
    starts = tuple(backups)
    if not starts and archive.oldest is not None:
        starts = (Start(archive.oldest.timeline, archive.oldest.start),)
    wrong = {
        key: entry
        for key, found in survey.stored.items()
        if (entry := ledger.get(key)) and entry.verdict != "good" and stands(entry, seen(found))
    }
    usable = archive.without(segment for key in wrong if (segment := segment_of(key, size)))
    known = archive.joined(segment for key in ledger if (segment := segment_of(key, size)))
    return Report(
        starts=starts,
        backed_up=bool(backups),
        segments=sum(len(numbers) for numbers in archive.segments.values()),
        frontier=frontier(usable, starts[-1]) if starts else None,
        holes=_holes(archive, starts, known),
        bad=(
            *(
                Bad(error.message.partition(" ")[0], "damaged", error.detail or error.message, None, None)
                for error in survey.unbelievable
            ),
            *_bad(wrong, _holes(usable, starts, known), size),
        ),
        unexplained=tuple(unexplained(archive)),
        strangers=survey.strangers,
        verified=_verified(survey, ledger),
    )


def _holes(archive: Archive, starts: Sequence[Start], known: Archive) -> tuple[Hole, ...]:
    return tuple(merge([hole for start in starts for hole in missing(archive, start, known=known)]))


def _bad(wrong: Mapping[str, Entry], holes: Sequence[Hole], size: int) -> list[Bad]:
    """Each bad file with what it costs: the holes are those of the archive as if it were not there."""
    needed = {name for hole in holes for name in hole.names}
    found = []
    for key, entry in sorted(wrong.items()):
        name = key.rpartition("/")[2]
        if name.endswith(".history"):
            continue  # named already: it could not be read as one
        segment = segment_of(key, size)
        cost = Hole(segment, segment) if segment and name in needed else None
        found.append(Bad(name, entry.verdict, entry.detail, entry.verified, cost))
    return found


def _verified(survey: Survey, ledger: Mapping[str, Entry]) -> Verified:
    read = {
        key: entry for key, found in survey.stored.items() if stands(entry := ledger.get(key), seen(found)) and entry
    }
    return Verified(
        objects=len(read),
        stored_bytes=sum(survey.stored[key].size for key in read),
        all_objects=len(survey.stored),
        all_bytes=sum(found.size for found in survey.stored.values()),
        oldest=min((entry.verified for entry in read.values()), default=None),
    )
