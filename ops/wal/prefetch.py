"""Fetch ahead: while PostgreSQL replays one segment, the next ones are brought to disk and verified.

The spool lies outside of every data directory: in pg_wal, files that no server wrote would be in the way of pg_rewind.
It is emptied when the service begins, and what is in it was read by this very service from the repository that it is
asked about; so nothing in it is older than that, or another database's. That a file does not exist is never remembered.
"""

from __future__ import annotations

import itertools
import threading
import time
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ops.errors import UsageError
from ops.model.lookahead import next_to_fetch, widen
from ops.model.segment import Kind, Segment, WalFile
from ops.store.repository import Repository
from ops.wal.fetch import write_durably
from ops.wal.stored import read

_WORKERS = 2
_IDLE = 300.0  # seconds after which nobody will come for a file any more


@dataclass(frozen=True)
class Spooled:
    """A verified file on disk. `ahead`: it was there, or on its way, before it was asked for."""

    path: Path
    size: int
    ahead: bool = False


@dataclass(frozen=True)
class _Key:
    """Which file of which database in which store."""

    store: str
    root: str
    name: str


@dataclass(frozen=True)
class _Entry:
    outcome: Future[Spooled | None]
    since: float


class SpoolError(Exception):
    """The spool cannot be written, which says nothing about the file nor about where it was to go."""


class Spool:
    """Files on their way to PostgreSQL: at most `limit` bytes fetched ahead. Safe to share between threads."""

    def __init__(self, directory: Path, *, limit: int) -> None:
        self._directory = directory
        self._limit = limit
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="prefetch")
        self._lock = threading.Lock()
        self._stopping = False
        self._entries: dict[_Key, _Entry] = {}
        self._expected: dict[str, tuple[str, int]] = {}  # by repository: the name to come next, and how far to look
        self._numbers = itertools.count()
        self._handed_out: dict[Path, float] = {}
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for left in directory.glob("[0-9]*-[0-9A-F]*"):
                left.unlink()
        except OSError as error:
            raise UsageError(f"cannot use {directory}", detail=str(error), hint="See wal.spool_dir.") from error

    def bring(self, repository: Repository, file: WalFile) -> Spooled | None:
        """The archived `file`, on disk and verified, for the caller to move away. None where the store has none.

        Raises what `ops.wal.stored.read` raises, and SpoolError.
        """
        spooled = self._ahead(_key(repository, file)) or self._fetch(repository, file)
        if spooled is not None:
            with self._lock:
                self._handed_out[spooled.path] = time.monotonic()
            self._look_ahead(repository, file, spooled.size)
        return spooled

    def put(self, file: WalFile, contents: bytes) -> Spooled:
        """Contents that the caller has, on disk for it to move away."""
        spooled = self._write(file, contents)
        with self._lock:
            self._handed_out[spooled.path] = time.monotonic()
        return spooled

    def tidy(self) -> None:
        """Remove what nobody came for: a recovery that ended, a client that was killed."""
        horizon = time.monotonic() - _IDLE
        with self._lock:
            old = [key for key, entry in self._entries.items() if entry.since < horizon and entry.outcome.done()]
            forgotten = [self._entries.pop(key) for key in old]
            uncollected = [path for path, at in self._handed_out.items() if at < horizon]
            for path in uncollected:
                del self._handed_out[path]
        for entry in forgotten:
            entry.outcome.add_done_callback(_discard)
        for path in uncollected:
            path.unlink(missing_ok=True)

    def stop(self) -> None:
        """Fetch only what is asked for, nothing ahead; what is left in the directory goes at the next start."""
        with self._lock:
            self._stopping = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _ahead(self, key: _Key) -> Spooled | None:
        """The file, if it was fetched ahead or is just being so. A failure ahead is no answer: it is tried anew."""
        with self._lock:
            entry = self._entries.pop(key, None)
        spooled = _result(entry.outcome) if entry else None
        if spooled is None or not spooled.path.exists():
            return None
        return Spooled(spooled.path, spooled.size, ahead=True)

    def _fetch(self, repository: Repository, file: WalFile) -> Spooled | None:
        contents = read(repository, file)
        return None if contents is None else self._write(file, contents)

    def _write(self, file: WalFile, contents: bytes) -> Spooled:
        path = self._directory / f"{next(self._numbers)}-{file.name}"
        try:
            write_durably(path, contents)
        except OSError as error:
            raise SpoolError(f"could not write {path}: {error.strerror}") from error
        return Spooled(path, len(contents))

    def _look_ahead(self, repository: Repository, file: WalFile, size: int) -> None:
        """Begin to fetch what follows, further ahead the longer files are asked for in sequence; and nothing else."""
        if file.kind is not Kind.SEGMENT:
            return
        root = repository.layout.root
        with self._lock:
            if self._stopping:
                return
            expected, ahead = self._expected.get(root, ("", 0))
            ahead = widen(ahead, self._limit // size, in_sequence=file.name == expected)
            following = {
                _key(repository, each): each for each in map(WalFile.parse, next_to_fetch(file.name, size, ahead))
            }
            self._expected[root] = (Segment.parse(file.name, size).next().name, ahead)
            for key in [key for key in self._entries if key.root == root and key not in following]:
                self._entries.pop(key).outcome.add_done_callback(_discard)
            for key, each in following.items():
                if key not in self._entries:
                    self._entries[key] = _Entry(self._pool.submit(self._fetch, repository, each), time.monotonic())


def _key(repository: Repository, file: WalFile) -> _Key:
    return _Key(repository.store.name, repository.layout.root, file.name)


def _discard(outcome: Future[Spooled | None]) -> None:
    spooled = _result(outcome)
    if spooled is not None:
        spooled.path.unlink(missing_ok=True)


def _result(outcome: Future[Spooled | None]) -> Spooled | None:
    try:
        return outcome.result()
    except (Exception, CancelledError):
        return None
