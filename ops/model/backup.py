"""A base backup, as everything that plans a recovery sees it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from ops.model.lsn import LSN
from ops.model.segment import Segment

# What a server must be started with at least, and what tells a reader which server this was.
SETTINGS = (
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
    "wal_level",
    "track_commit_timestamp",
    "shared_preload_libraries",
    "data_checksums",
    "archive_timeout",
)

_ID = re.compile(r"\d{8}T\d{6}Z")
_START = re.compile(r"^START WAL LOCATION: (\S+) \(file ([0-9A-F]{24})\)$", re.MULTILINE)
_TIMELINE = re.compile(r"^START TIMELINE: (\d+)$", re.MULTILINE)
_FROM = re.compile(r"^BACKUP FROM: (\w+)$", re.MULTILINE)


def backup_id(start: datetime) -> str:
    """The name of a backup that started then: 20261121T105900Z. Names sort by time."""
    return start.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def is_backup_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def started_at(name: str) -> datetime:
    """When the backup of that id began."""
    return datetime.strptime(name, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


@dataclass(frozen=True)
class Backup:
    """What is known of a committed backup.

    `stop_lsn` is the position after the last byte of WAL that the backup needs: on the edge of a segment it does
    not need the one that begins there. `start_time` and `stop_time` are UTC by the server's clock; `stop_time` was
    read after pg_backup_stop had returned, so recovery to any moment from then on is consistent. `size` is the
    bytes of the files stored, `stored_bytes` those of all packs that they lie in, `new_bytes` those of the packs
    that this backup added. `tablespaces` maps an oid to the path on the server that was backed up.
    `postgres_version` is server_version_num. `previous` is the backup whose files and blocks were used again.
    `checked`: page checksums were looked at; `damaged` then has the pages that failed, by file, as stretches from first
    to last. Of a file that was not read, it says what the last backup found.
    """

    id: str
    cluster: str
    system_identifier: int
    timeline: int
    start_lsn: LSN
    stop_lsn: LSN
    start_time: datetime
    stop_time: datetime
    first_segment: str
    last_segment: str
    host: str
    from_standby: bool
    postgres_version: int
    size: int
    stored_bytes: int
    new_bytes: int
    block_size: int
    packs: int
    files: int
    tablespaces: dict[str, str]
    settings: dict[str, str]
    previous: str | None = None
    checked: bool = False
    damaged: dict[str, list[list[int]]] = field(default_factory=dict)

    @property
    def damaged_pages(self) -> int:
        return sum(last - first + 1 for stretches in self.damaged.values() for first, last in stretches)

    def as_dict(self) -> dict[str, Any]:
        """The backup as JSON: LSNs as PostgreSQL prints them, times as ISO 8601 in UTC."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Backup:
        """From `as_dict`; keys of a later version are ignored. ValueError where ours are missing or wrong."""
        known = {one.name: values[one.name] for one in fields(cls) if one.name in values}
        try:
            for name in ("start_lsn", "stop_lsn"):
                known[name] = LSN.parse(known[name])
            for name in ("start_time", "stop_time"):
                known[name] = datetime.fromisoformat(known[name])
            return cls(**known)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the description of a backup is incomplete: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, LSN):
        return str(value)
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


@dataclass(frozen=True)
class Label:
    """What the backup_label that pg_backup_stop returns says of a backup's start."""

    start_lsn: LSN
    first_segment: str
    timeline: int
    from_standby: bool

    @classmethod
    def parse(cls, text: str) -> Label:
        """ValueError where the text is no backup_label of PostgreSQL 15 or later."""
        start, timeline, source = _START.search(text), _TIMELINE.search(text), _FROM.search(text)
        if not (start and timeline and source):
            raise ValueError(f"not a backup_label: {text!r}")
        return cls(LSN.parse(start[1]), start[2], int(timeline[1]), source[1] == "standby")


def needed_wal(label: Label, stop_lsn: LSN, segment_size: int) -> list[Segment]:
    """The segments without which the backup cannot become consistent, in order.

    A stop LSN on the edge of a segment needs only the one before it (PostgreSQL's XLByteToPrevSeg).
    """
    first = Segment.parse(label.first_segment, segment_size)
    last = Segment.holding(label.timeline, LSN(stop_lsn.position - 1), segment_size)
    return [Segment(label.timeline, number, segment_size) for number in range(first.number, last.number + 1)]
