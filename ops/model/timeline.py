"""Timeline histories: which timeline continued which, and from where.

A `.history` file names the ancestors of a timeline, oldest first, one a line: parent timeline, the LSN at
which the child left it, a reason (PostgreSQL, src/backend/access/transam/timeline.c).
"""

from __future__ import annotations

from dataclasses import dataclass

from ops.model.lsn import LSN


@dataclass(frozen=True)
class Ancestor:
    """A timeline that a later one continued, and the LSN at which it was left."""

    timeline: int
    left_at: LSN


@dataclass(frozen=True)
class History:
    """A timeline and its ancestors, oldest first; timeline 1 has none."""

    timeline: int
    ancestors: tuple[Ancestor, ...] = ()

    @classmethod
    def parse(cls, timeline: int, text: str) -> History:
        """From the contents of `<timeline>.history`; ValueError where it is not one."""
        ancestors: list[Ancestor] = []
        for number, line in enumerate(text.splitlines(), start=1):
            fields = line.split(None, 2)
            if not fields or fields[0].startswith("#"):
                continue
            try:
                ancestor = Ancestor(int(fields[0]), LSN.parse(fields[1]))
            except (ValueError, IndexError) as error:
                raise ValueError(f"line {number} of {timeline:08X}.history is not a history line: {line!r}") from error
            if ancestors and ancestor.timeline <= ancestors[-1].timeline:
                raise ValueError(f"line {number} of {timeline:08X}.history: timelines must ascend")
            ancestors.append(ancestor)
        if ancestors and ancestors[-1].timeline >= timeline:
            raise ValueError(f"{timeline:08X}.history names timeline {ancestors[-1].timeline} as its own ancestor")
        return cls(timeline, tuple(ancestors))

    def left_at(self, timeline: int) -> LSN | None:
        """Where this history left `timeline`; None for the timeline itself.

        Raises KeyError for a timeline that is no ancestor.
        """
        if timeline == self.timeline:
            return None
        for ancestor in self.ancestors:
            if ancestor.timeline == timeline:
                return ancestor.left_at
        raise KeyError(timeline)

    def contains(self, timeline: int, lsn: LSN) -> bool:
        """Whether the position `lsn` of `timeline` is part of this history, not of a branch cut off."""
        try:
            end = self.left_at(timeline)
        except KeyError:
            return False
        return end is None or lsn <= end

    def timeline_at(self, lsn: LSN) -> int:
        """The timeline on which the WAL at `lsn` was written, along this history."""
        for ancestor in self.ancestors:
            if lsn < ancestor.left_at:
                return ancestor.timeline
        return self.timeline
