"""Names of the files in an archive: WAL segments, timeline histories, backup labels, partial segments.

The rules are PostgreSQL's (src/include/access/xlog_internal.h): a segment is named by timeline and by two
halves of its number, and the second half runs from 00000000 to (4 GiB / segment size) - 1, so names past
...FF exist only in the imagination of tools that add one to a hexadecimal string.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from ops.model.lsn import LSN

DEFAULT_SEGMENT_SIZE = 16 * 1024 * 1024

_SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})")
_PARTIAL = re.compile(r"([0-9A-F]{24})\.partial")
_BACKUP = re.compile(r"([0-9A-F]{24})\.([0-9A-F]{8})\.backup")
_HISTORY = re.compile(r"([0-9A-F]{8})\.history")


@dataclass(frozen=True, order=True)
class Segment:
    """One WAL segment: `number` counts segments from position 0 of the WAL, whatever the timeline."""

    timeline: int
    number: int
    size: int = DEFAULT_SEGMENT_SIZE

    def __post_init__(self) -> None:
        if not 1 <= self.timeline <= 0xFFFFFFFF:
            raise ValueError(f"timelines run from 1 to 4294967295, not {self.timeline}")
        _check_size(self.size)
        if self.number < 0:
            raise ValueError(f"segments are numbered from 0, not {self.number}")

    @classmethod
    def parse(cls, name: str, size: int = DEFAULT_SEGMENT_SIZE) -> Segment:
        """From a 24-digit name; ValueError where PostgreSQL could not have written it."""
        _check_size(size)
        match = _SEGMENT.fullmatch(name)
        if not match:
            raise ValueError(f"not the name of a WAL segment: {name!r}")
        timeline, high, low = (int(part, 16) for part in match.groups())
        per_id = (1 << 32) // size
        if low >= per_id:
            raise ValueError(f"not the name of a WAL segment of {size} bytes: {name!r} ends beyond {per_id - 1:08X}")
        return cls(timeline, high * per_id + low, size)

    @classmethod
    def holding(cls, timeline: int, lsn: LSN, size: int = DEFAULT_SEGMENT_SIZE) -> Segment:
        """The segment in which the byte at `lsn` lies."""
        return cls(timeline, lsn.position // size, size)

    @property
    def name(self) -> str:
        per_id = (1 << 32) // self.size
        return f"{self.timeline:08X}{self.number // per_id:08X}{self.number % per_id:08X}"

    @property
    def start(self) -> LSN:
        return LSN(self.number * self.size)

    @property
    def end(self) -> LSN:
        """The first position that is not in it any more."""
        return LSN((self.number + 1) * self.size)

    def next(self) -> Segment:
        """The segment that follows on the same timeline."""
        return Segment(self.timeline, self.number + 1, self.size)

    def on(self, timeline: int) -> Segment:
        """The same stretch of WAL on another timeline."""
        return Segment(timeline, self.number, self.size)

    def __str__(self) -> str:
        return self.name


def _check_size(size: int) -> None:
    if size < 1 << 20 or size > 1 << 30 or size & (size - 1):
        raise ValueError(f"a segment is a power of two between 1 MiB and 1 GiB, not {size} bytes")


class Kind(Enum):
    """What a file that PostgreSQL archives or asks for is."""

    SEGMENT = "segment"
    PARTIAL = "partial"
    BACKUP = "backup"
    HISTORY = "history"


def is_segment(name: str) -> bool:
    """Whether a file of that name is a whole WAL segment, of whatever size."""
    return bool(_SEGMENT.fullmatch(name))


@dataclass(frozen=True)
class WalFile:
    """A file that PostgreSQL hands to archive_command or asks restore_command for, by its exact name."""

    name: str
    kind: Kind
    timeline: int

    @classmethod
    def parse(cls, name: str) -> WalFile:
        """From the %f of PostgreSQL; ValueError for any other name."""
        for pattern, kind in (
            (_SEGMENT, Kind.SEGMENT),
            (_PARTIAL, Kind.PARTIAL),
            (_BACKUP, Kind.BACKUP),
            (_HISTORY, Kind.HISTORY),
        ):
            if pattern.fullmatch(name):
                return cls(name, kind, int(name[:8], 16))
        raise ValueError(
            f"not a file that PostgreSQL archives: {name!r} "
            "(expected a WAL segment, .partial, .backup or .history by its bare name)"
        )
