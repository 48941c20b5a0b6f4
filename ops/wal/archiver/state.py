"""What the service has done and is doing, for `ops wal status`; safe to write to from any thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ops.errors import OpsError, Unreachable

_WINDOW = 60.0  # seconds over which the throughput is taken


@dataclass(frozen=True)
class Failure:
    """A file that could not be archived, why, and whether trying again may help."""

    name: str
    reason: str
    at: datetime
    passing: bool


@dataclass
class State:
    """Counters since the service began, and the last of each kind of event."""

    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    pushed: int = 0
    pushed_bytes: int = 0
    failed: int = 0
    fetched: int = 0
    prefetched: int = 0
    last_archived: str | None = None
    last_archived_at: datetime | None = None
    failures: dict[str, Failure] = field(default_factory=dict)
    _recent: deque[tuple[float, int]] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def archived(self, name: str, size: int) -> None:
        """A file is in the store now."""
        with self._lock:
            self.pushed += 1
            self.pushed_bytes += size
            self.last_archived, self.last_archived_at = name, datetime.now(UTC)
            self.failures.pop(name, None)
            now = time.monotonic()
            self._recent.append((now, size))
            while self._recent[0][0] < now - _WINDOW:
                self._recent.popleft()

    def refused(self, name: str, error: BaseException) -> None:
        """A file is not in the store."""
        reason = error.message if isinstance(error, OpsError) else f"{type(error).__name__}: {error}"
        with self._lock:
            self.failed += 1
            self.failures[name] = Failure(name, reason, datetime.now(UTC), isinstance(error, Unreachable))

    def settled(self, waiting: set[str]) -> None:
        """Forget the failures of files that do not wait any more."""
        with self._lock:
            for name in self.failures.keys() - waiting:
                del self.failures[name]

    def hopeless(self) -> set[str]:
        """The files that nobody need try before PostgreSQL asks again."""
        with self._lock:
            return {name for name, failure in self.failures.items() if not failure.passing}

    def served(self, *, ahead: bool) -> None:
        """A fetched file was handed out; `ahead`: it was here before it was asked for."""
        with self._lock:
            self.fetched += 1
            self.prefetched += ahead

    def as_dict(self) -> dict[str, Any]:
        """For the service's answer to `status`."""
        with self._lock:
            now = time.monotonic()
            recent = [(at, size) for at, size in self._recent if at >= now - _WINDOW]
            span = max(now - recent[0][0], 1.0) if recent else _WINDOW
            return {
                "started": self.started.isoformat(),
                "last_archived": self.last_archived,
                "last_archived_at": self.last_archived_at and self.last_archived_at.isoformat(),
                "archived_total": self.pushed,
                "archived_bytes_total": self.pushed_bytes,
                "failed_total": self.failed,
                "fetched_total": self.fetched,
                "prefetched_total": self.prefetched,
                "bytes_per_second": round(sum(size for _, size in recent) / span),
                "segments_per_second": round(len(recent) / span, 2),
                "failures": [
                    {"file": each.name, "reason": each.reason, "at": each.at.isoformat(), "passing": each.passing}
                    for each in self.failures.values()
                ],
            }
