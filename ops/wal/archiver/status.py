"""How archiving is doing: what the service says, and what PostgreSQL's own notes say, which need no service."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ops.errors import OpsError, Unreachable
from ops.model.lookahead import ready
from ops.wal.archiver.protocol import Request
from ops.wal.archiver.server import ask


@dataclass(frozen=True)
class Status:
    """`waiting` are the files that PostgreSQL has not been told to be archived; `service` is None where it is down."""

    waiting: tuple[str, ...]
    oldest: datetime | None
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
    waiting, oldest = _waiting(data_dir)
    try:
        reply = ask(socket, Request("status", Path("/"), ()))
        return Status(waiting, oldest, json.loads(reply.message), None)
    except Unreachable as error:
        return Status(waiting, oldest, None, error.detail)
    except ValueError as error:
        raise OpsError("the archiver service is of another version", detail=str(error)) from error


def _waiting(data_dir: Path | None) -> tuple[tuple[str, ...], datetime | None]:
    """What waits to be archived, in PostgreSQL's order, and since when the oldest does."""
    if data_dir is None:
        return (), None
    folder = data_dir / "pg_wal" / "archive_status"
    try:
        names = ready(path.name for path in folder.iterdir())
    except OSError as error:
        raise Unreachable(
            f"could not read {folder}",
            detail=error.strerror,
            hint="Run as root or as PostgreSQL's user, and compare postgres.data_dir in the configuration.",
        ) from error
    times = [at for name in names if (at := _modified(folder / f"{name}.ready")) is not None]
    return tuple(names), datetime.fromtimestamp(min(times), UTC) if times else None


def _modified(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:  # archived since we looked
        return None
