"""Pushes WAL files in parallel: those that PostgreSQL asks for, and those that it will ask for next.

A file that was pushed ahead is answered for when PostgreSQL asks, by what the store said then. That one is remembered
by name is not enough: a data directory can be exchanged under a running service, so its identity on disk counts too.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ops.errors import OpsError, Unreachable
from ops.model.lookahead import next_to_push, ready
from ops.wal.archiver.state import State
from ops.wal.faults import reached
from ops.wal.push import Pushed, Pusher

_FIRST_REST = 1.0  # seconds without looking ahead after the store did not answer, doubled each time
_LONGEST_REST = 30.0
_SURVEY_EVERY = 0.2  # seconds; reading the directory of a large backlog takes milliseconds
_SURVEY_SIZE = 256  # files to look ahead before the directory is read again


@dataclass(frozen=True)
class _Mark:
    """Which file it is, whatever its name: another one, or the same with other contents, has another mark."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, path: Path) -> _Mark:
        try:
            status = path.stat()
        except OSError as error:
            raise OpsError(f"could not read {path}", detail=error.strerror) from error
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@dataclass(frozen=True)
class _Task:
    mark: _Mark
    outcome: Future[Pushed]


class Queue:
    """`workers` pushes at a time. What succeeded is kept until PostgreSQL has taken note; what failed is forgotten."""

    def __init__(self, state: State, *, workers: int) -> None:
        self._state = state
        self._room = 2 * workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="push")
        self._lock = threading.RLock()
        self._tasks: dict[Path, _Task] = {}
        self._pending = 0
        self._ahead: dict[Path, deque[str]] = {}
        self._surveyed: dict[Path, float] = {}
        self._rest, self._rest_until = _FIRST_REST, 0.0
        self._stopping = False

    def push(self, path: Path, pusher: Pusher) -> Future[Pushed]:
        """The outcome for a file that PostgreSQL asks to have archived, which may be there already.

        CancelledError where nothing is begun any more: whoever asks does better to do it by himself.
        """
        mark = _Mark.of(path)
        with self._lock:
            if self._stopping:
                raise CancelledError
            task = self._tasks.get(path)
            if task is None or task.mark != mark:
                task = self._submit(path, mark, pusher)
            return task.outcome

    def look_ahead(self, pg_wal: Path, pusher: Pusher) -> None:
        """Push what waits in `pg_wal`, as far as there is room. Called again whenever a push ends."""
        with self._lock:
            if self._stopping or time.monotonic() < self._rest_until:
                return
            ahead = self._ahead.get(pg_wal) or self._survey(pg_wal)
            while ahead and self._pending < self._room:
                path = pg_wal / ahead.popleft()
                # Gone by now, or asked for meanwhile.
                with suppress(OpsError):
                    if path not in self._tasks:
                        self._submit(path, _Mark.of(path), pusher)

    def counts(self) -> dict[str, int]:
        """How many pushes wait or run, and how many are stored but not asked for yet."""
        with self._lock:
            return {"in_flight": self._pending, "stored_ahead": len(self._tasks) - self._pending}

    def stop(self) -> None:
        """Finish what has begun; what only waits is left for the next start."""
        with self._lock:
            self._stopping = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _survey(self, pg_wal: Path) -> deque[str]:
        """What waits in `pg_wal` and nobody takes care of. What does not wait any more is archived, and forgotten."""
        now = time.monotonic()
        if now < self._surveyed.get(pg_wal, 0.0) + _SURVEY_EVERY:
            return deque()
        self._surveyed[pg_wal] = now
        try:
            waiting = ready(os.listdir(pg_wal / "archive_status"))  # noqa: PTH208  a Path for each of 10 000 names takes long
        except OSError:  # the directory is being replaced, or there is no server
            waiting = []
        present = set(waiting)
        self._state.settled(present)
        for path, task in list(self._tasks.items()):
            if path.parent == pg_wal and task.outcome.done() and path.name not in present:
                del self._tasks[path]
        taken = {path.name for path in self._tasks if path.parent == pg_wal} | self._state.hopeless()
        self._ahead[pg_wal] = deque(next_to_push(waiting, taken, _SURVEY_SIZE))
        return self._ahead[pg_wal]

    def _submit(self, path: Path, mark: _Mark, pusher: Pusher) -> _Task:
        task = _Task(mark, self._pool.submit(self._push, path, mark, pusher))
        task.outcome.add_done_callback(lambda _: self._ended(path.parent, pusher))
        self._tasks[path] = task
        self._pending += 1
        return task

    def _push(self, path: Path, mark: _Mark, pusher: Pusher) -> Pushed:
        try:
            pushed = pusher.push(path)
        except BaseException as error:
            self._failed(path, mark, error)
            raise
        with self._lock:
            self._rest, self._rest_until = _FIRST_REST, 0.0
        self._state.archived(path.name, mark.size)
        reached("push-recorded")
        return pushed

    def _failed(self, path: Path, mark: _Mark, error: BaseException) -> None:
        with self._lock:
            task = self._tasks.get(path)
            if task is not None and task.mark == mark:
                del self._tasks[path]
            if isinstance(error, Unreachable):
                self._rest_until = time.monotonic() + self._rest
                self._rest = min(2 * self._rest, _LONGEST_REST)
        self._state.refused(path.name, error)

    def _ended(self, pg_wal: Path, pusher: Pusher) -> None:
        with self._lock:
            self._pending -= 1
        self.look_ahead(pg_wal, pusher)
