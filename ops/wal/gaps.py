"""What is missing in an archive, put together for a person or a program. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ops.model.continuity import Hole, Start, frontier, merge, missing, unexplained
from ops.model.segment import Segment
from ops.wal.archive import Survey


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
    unexplained: tuple[int, ...]
    strangers: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return not self.holes and not self.unexplained

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
            "missing_histories": [f"{timeline:08X}.history" for timeline in self.unexplained],
            "unknown_keys": list(self.strangers),
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


def examine(survey: Survey, backups: Sequence[Start]) -> Report:
    """The report on what the store holds, for recoveries that begin at any of `backups`, oldest first.

    Without a backup it begins at the oldest WAL: nothing can be recovered yet, and a hole is a hole.
    """
    archive = survey.archive
    starts = tuple(backups)
    if not starts and archive.oldest is not None:
        starts = (Start(archive.oldest.timeline, archive.oldest.start),)
    return Report(
        starts=starts,
        backed_up=bool(backups),
        segments=sum(len(numbers) for numbers in archive.segments.values()),
        frontier=frontier(archive, starts[-1]) if starts else None,
        holes=tuple(merge([hole for start in starts for hole in missing(archive, start)])),
        unexplained=tuple(unexplained(archive)),
        strangers=survey.strangers,
    )
