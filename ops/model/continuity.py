"""Is the WAL complete? Which segments a recovery will ask for, which of them are missing, how far it can get.

A recovery follows one timeline history. For each stretch of WAL it needs one file, that of the newest timeline
of its history that had begun by the end of the stretch: when a timeline begins in the middle of a segment,
PostgreSQL copies what came before into the first segment of the new timeline.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ops.model.lsn import LSN
from ops.model.segment import DEFAULT_SEGMENT_SIZE, Segment
from ops.model.timeline import History


@dataclass(frozen=True)
class Archive:
    """What a store holds of one cluster's WAL, by name alone.

    `segments` maps a timeline to the numbers of its segments; `histories` maps a timeline to its history,
    timeline 1 left out because it has none.
    """

    segments: Mapping[int, frozenset[int]] = field(default_factory=dict)
    histories: Mapping[int, History] = field(default_factory=dict)
    segment_size: int = DEFAULT_SEGMENT_SIZE

    def joined(self, segments: Iterable[Segment]) -> Archive:
        """With these segments as well."""
        return self._changed(segments, frozenset.union)

    def without(self, segments: Iterable[Segment]) -> Archive:
        """As if these segments were not there."""
        return self._changed(segments, frozenset.difference)

    def _changed(
        self, segments: Iterable[Segment], change: Callable[[frozenset[int], frozenset[int]], frozenset[int]]
    ) -> Archive:
        found: defaultdict[int, set[int]] = defaultdict(set)
        for segment in segments:
            found[segment.timeline].add(segment.number)
        held = {
            timeline: change(self.segments.get(timeline, frozenset()), frozenset(found.get(timeline, ())))
            for timeline in self.segments.keys() | found.keys()
        }
        return Archive(held, self.histories, self.segment_size)

    def holds(self, segment: Segment) -> bool:
        return segment.number in self.segments.get(segment.timeline, frozenset())

    def history(self, timeline: int) -> History | None:
        """How `timeline` came to be; None where its `.history` is not in the archive."""
        return History(1) if timeline == 1 else self.histories.get(timeline)

    @property
    def oldest(self) -> Segment | None:
        """The first segment of the oldest timeline."""
        timelines = [timeline for timeline, numbers in self.segments.items() if numbers]
        if not timelines:
            return None
        return Segment(min(timelines), min(self.segments[min(timelines)]), self.segment_size)


@dataclass(frozen=True)
class Start:
    """Where a recovery begins: a backup's start. Without the WAL before `through`, its stop, it is worth nothing."""

    timeline: int
    lsn: LSN
    through: LSN | None = None


@dataclass(frozen=True, order=True)
class Hole:
    """Consecutive segments, from `first` to `last`, that are missing although WAL after them is there."""

    first: Segment
    last: Segment

    @property
    def names(self) -> list[str]:
        numbers = range(self.first.number, self.last.number + 1)
        return [Segment(self.first.timeline, number, self.first.size).name for number in numbers]

    def __str__(self) -> str:
        if self.first == self.last:
            return self.first.name
        return f"{self.first.name} to {self.last.name} ({self.last.number - self.first.number + 1} segments)"


def newest_history(archive: Archive, start: Start) -> History:
    """The history of the newest timeline that descends from `start`; its own where none does."""
    own = archive.history(start.timeline) or History(start.timeline)
    descendants = [history for history in archive.histories.values() if history.contains(start.timeline, start.lsn)]
    return max([own, *descendants], key=lambda history: history.timeline)


def needed(history: History, first: LSN, last: LSN, size: int) -> Iterator[Segment]:
    """The segments that a recovery along `history` reads for the bytes from `first` to `last`, both included."""
    for number in range(first.position // size, last.position // size + 1):
        end = LSN((number + 1) * size - 1)
        yield Segment(history.timeline_at(end), number, size)


def missing(
    archive: Archive, start: Start, history: History | None = None, *, known: Archive | None = None
) -> list[Hole]:
    """The holes between `start` and the last WAL along `history` (default: the newest one), in order.

    What is not archived yet is no hole: WAL counts as missing where later WAL is there, or before `through`, or where
    it is `known` to have been there once.
    """
    history = history or newest_history(archive, start)
    end = _end(known or archive, start, history)
    if end is None:
        return []
    gone = (segment for segment in needed(history, start.lsn, end, archive.segment_size) if not archive.holds(segment))
    return _runs(gone)


def frontier(archive: Archive, start: Start, history: History | None = None) -> Segment | None:
    """The last segment that a recovery from `start` along `history` can reach without a hole; None for none."""
    history = history or newest_history(archive, start)
    end = _end(archive, start, history)
    reached = None
    if end is not None:
        for segment in needed(history, start.lsn, end, archive.segment_size):
            if not archive.holds(segment):
                break
            reached = segment
    return reached


def unexplained(archive: Archive) -> list[int]:
    """Timelines that the archive has WAL of, or that others descend from, but not the `.history` of.

    A recovery cannot follow such a timeline, and one that looks for the newest timeline stops before it.
    """
    known = {timeline for timeline, numbers in archive.segments.items() if numbers}
    ancestors = {ancestor.timeline for history in archive.histories.values() for ancestor in history.ancestors}
    return sorted(timeline for timeline in known | ancestors if archive.history(timeline) is None)


def owed(history: History, replayed: LSN, here: Iterable[Segment], archive: Archive) -> list[Segment]:
    """Segments that a member still has and the archive lacks, of the timelines that `history` has left; in order.

    The server of that timeline is gone, so that nobody else will archive them. `replayed`: the member has all WAL
    along `history` before it, so that what ends there is complete. Nothing that reaches beyond the point where the
    history left its timeline: these bytes belong to a branch that was cut off. And nothing older than what is archived:
    that was let go of on purpose.
    """
    size = archive.segment_size
    left = {ancestor.timeline: ancestor.left_at for ancestor in history.ancestors}
    stored = [
        min(numbers)
        for timeline, numbers in archive.segments.items()
        if numbers and timeline in {*left, history.timeline}
    ]
    oldest = min(stored, default=0)
    return sorted(
        segment
        for segment in set(here)
        if segment.size == size
        and segment.number >= oldest
        and segment.timeline in left
        and segment.end <= min(left[segment.timeline], replayed)
        and not archive.holds(segment)
    )


def merge(holes: Sequence[Hole]) -> list[Hole]:
    """The same segments as holes that do not overlap: backups share most of the WAL that they need."""
    size_of = {hole.first.timeline: hole.first.size for hole in holes}
    numbers = {
        (hole.first.timeline, number) for hole in holes for number in range(hole.first.number, hole.last.number + 1)
    }
    return _runs(Segment(timeline, number, size_of[timeline]) for timeline, number in sorted(numbers))


def _end(archive: Archive, start: Start, history: History) -> LSN | None:
    """The last byte that has to be there: where the WAL along `history` ends, at least `through`."""
    size = archive.segment_size
    ends = [] if start.through is None else [LSN(start.through.position - 1)]
    for timeline in (*(ancestor.timeline for ancestor in history.ancestors), history.timeline):
        left = history.left_at(timeline)
        # Beyond the point where the history left a timeline, its segments belong to a branch that was cut off.
        numbers = [
            number
            for number in archive.segments.get(timeline, frozenset())
            if number >= start.lsn.position // size and (left is None or (number + 1) * size <= left.position)
        ]
        if numbers:
            ends.append(LSN((max(numbers) + 1) * size - 1))
    return max(ends, default=None)


def _runs(segments: Iterable[Segment]) -> list[Hole]:
    holes: list[Hole] = []
    for segment in segments:
        if holes and segment == holes[-1].last.next():
            holes[-1] = Hole(holes[-1].first, segment)
        else:
            holes.append(Hole(segment, segment))
    return holes
