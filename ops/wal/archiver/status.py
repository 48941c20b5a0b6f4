"""How archiving is doing: what the service says, and what PostgreSQL's own notes say, which need no service."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG
from typing import Any

from ops.errors import OpsError, Unreachable
from ops.model.lookahead import ready
from ops.model.room import Room, wal_rate
from ops.model.segment import is_segment
from ops.wal.archiver.protocol import Request
from ops.wal.archiver.server import ask


@dataclass(frozen=True)
class Status:
    """`waiting` are the files that PostgreSQL has not been told to be archived; `service` is None where it is down.

    `room` is None where there is no WAL to look at: on a host without a database.
    """

    waiting: tuple[str, ...]
    oldest: datetime | None
    room: Room | None
    service: dict[str, Any] | None
    trouble: str | None

    @property
    def healthy(self) -> bool:
        """Whether the service answers, nothing failed that still waits, and nothing keeps it from its other duties."""
        return self.service is not None and not self.service["failures"] and not self.service["troubles"]

    @property
    def oldest_age(self) -> float:
        """Seconds for which the oldest file has been waiting."""
        return max((datetime.now(UTC) - self.oldest).total_seconds(), 0.0) if self.oldest else 0.0

    def as_dict(self) -> dict[str, Any]:
        """The status as `--json` prints it. The same keys whether or not the service runs; its own are then null."""
        own = self.service or {}
        return {
            "healthy": self.healthy,
            "service": "up" if self.service is not None else "down",
            "queue": len(self.waiting),
            "in_flight": own.get("in_flight"),
            "stored_ahead": own.get("stored_ahead"),
            "oldest_unarchived": self.waiting[0] if self.waiting else None,
            "oldest_unarchived_seconds": round(self.oldest_age, 1),
            "pg_wal": _room_as_dict(self.room) if self.room else None,
            "last_archived": own.get("last_archived"),
            "last_archived_at": own.get("last_archived_at"),
            "archived_total": own.get("archived_total"),
            "archived_bytes_total": own.get("archived_bytes_total"),
            "failed_total": own.get("failed_total"),
            "fetched_total": own.get("fetched_total"),
            "prefetched_total": own.get("prefetched_total"),
            "bytes_per_second": own.get("bytes_per_second"),
            "segments_per_second": own.get("segments_per_second"),
            "tail": own.get("tail"),
            "failures": own.get("failures", []),
            "troubles": own.get("troubles", {}),
            "started": own.get("started"),
        }


def status(socket: Path, data_dir: Path | None) -> Status:
    """How archiving of the database in `data_dir` is doing. Unreachable where its notes cannot be read."""
    waiting, oldest, room = _notes(data_dir) if data_dir else ((), None, None)
    try:
        reply = ask(socket, Request("status", Path("/"), ()))
        return Status(waiting, oldest, room, json.loads(reply.message), None)
    except Unreachable as error:
        return Status(waiting, oldest, room, None, error.detail)
    except ValueError as error:
        raise OpsError("the archiver service is of another version", detail=str(error)) from error


def _notes(data_dir: Path) -> tuple[tuple[str, ...], datetime | None, Room | None]:
    """What waits to be archived, in PostgreSQL's order, since when the oldest does, and how much room pg_wal has."""
    folder = data_dir / "pg_wal"
    try:
        files, notes = _scan(folder), _scan(folder / "archive_status")
        disk = os.statvfs(folder)
    except OSError as error:
        raise Unreachable(
            f"could not read {error.filename or folder}",
            detail=error.strerror,
            hint="Run as root or as PostgreSQL's user, and compare postgres.data_dir in the configuration.",
        ) from error
    names = ready(notes)
    oldest = min((notes[f"{name}.ready"].st_mtime for name in names), default=None)
    return tuple(names), None if oldest is None else datetime.fromtimestamp(oldest, UTC), _room(files, notes, disk)


def _scan(folder: Path) -> dict[str, os.stat_result]:
    """The files of a directory of which PostgreSQL may remove any while we look."""
    found = {}
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            found[path.name] = path.stat()
    return found


def _room(files: dict[str, os.stat_result], notes: dict[str, os.stat_result], disk: os.statvfs_result) -> Room | None:
    """A note is as old as the end of its segment: PostgreSQL writes it then, and only renames it afterwards."""
    sizes = [found.st_size for name, found in files.items() if is_segment(name)]
    if not sizes:
        return None
    ended = [found.st_mtime for name, found in notes.items() if is_segment(Path(name).stem)]
    used = sum(found.st_size for found in files.values() if S_ISREG(found.st_mode))
    return Room(used, disk.f_bavail * disk.f_frsize, max(sizes), wal_rate(ended, max(sizes), time.time()))


def _room_as_dict(room: Room) -> dict[str, Any]:
    lasts, rate = room.lasts, room.rate
    return {
        "bytes": room.used,
        "free_bytes": room.free,
        "bytes_per_second": None if rate is None else round(rate),
        "full_in_seconds": None if lasts is None else round(lasts),
    }
