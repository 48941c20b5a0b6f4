"""Archive one file, once: checked, sealed, put under its exact name, and never over another one."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ops.errors import OpsError, Unreachable
from ops.model.segment import Kind, WalFile
from ops.model.timeline import History
from ops.postgres.control import major_version, segment_size
from ops.store.base import AlreadyExists
from ops.store.repository import Repository, RepositoryInfo, ensure
from ops.wal.check import Refused, check_file
from ops.wal.faults import reached
from ops.wal.stored import compare


class Pushed(Enum):
    """How a push ended well."""

    STORED = "stored"
    ALREADY_THERE = "already there"


@dataclass(frozen=True)
class Source:
    """The server whose WAL is archived: where it keeps it, and PostgreSQL's programs."""

    data_dir: Path
    bin_dir: Path


class Pusher:
    """Archives the files of one database in its repository. Safe to share between threads. `level` is zstd's.

    What is the same for every file (whose database it is, what the repository says of itself) is read once, and
    again after the store was away: it may have been put up anew.
    """

    def __init__(self, source: Source, repository: Repository, *, level: int) -> None:
        self._source = source
        self._repository = repository
        self._level = level
        self._major = major_version(source.data_dir)
        self._info: RepositoryInfo | None = None
        self._lock = threading.Lock()

    def push(self, path: Path) -> Pushed:
        """Archive the file at `path`; returns when the store has it, by this push or by an earlier one.

        Raises Refused for a file that must not be archived, Unreachable where the store gave no answer.
        """
        try:
            file = WalFile.parse(path.name)
        except ValueError as error:
            raise Refused(f"{path} is no WAL file", detail=str(error)) from None
        try:
            return self._store_once(file, self._sealed(file, path))
        except Unreachable:
            self._info = None
            raise

    def _sealed(self, file: WalFile, path: Path) -> bytes:
        """The object to store. The plain bytes are let go of before it travels."""
        contents = _read(path)
        reached("push-read")
        check_file(
            file,
            contents,
            system_identifier=self._repository.system_identifier,
            major_version=self._major,
            history=_local_history(path.parent, file.timeline),
        )
        self._ensure(len(contents) if file.kind in (Kind.SEGMENT, Kind.PARTIAL) else None)
        return self._repository.seal("wal", file.name, contents, level=self._level)

    def _ensure(self, size: int | None) -> RepositoryInfo:
        """What the repository says of itself, made to agree with this server. `size`: of a segment, where known."""
        with self._lock:
            if self._info is None or (size is not None and size != self._info.segment_size):
                size = size or segment_size(self._source.bin_dir, self._source.data_dir)
                self._info = ensure(self._repository, segment_size=size, postgres_version=self._major)
            return self._info

    def _store_once(self, file: WalFile, blob: bytes) -> Pushed:
        reached("push-sealed")
        store, key = self._repository.store, self._repository.layout.wal(file)
        try:
            store.put(key, blob)
        except AlreadyExists:
            # Sealed again and again differs each time, and our own plain bytes were let go of: `blob` has them.
            compare(self._repository, file, self._repository.unseal(blob, kind="wal", name=file.name))
            return Pushed.ALREADY_THERE
        reached("push-stored")
        return Pushed.STORED


def _read(path: Path) -> bytes:
    """The contents of a file that nobody writes to meanwhile: PostgreSQL reuses the files that are archived."""
    try:
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            contents = file.read()
            after = path.stat()
    except OSError as error:
        raise OpsError(f"could not read {path}", detail=error.strerror) from error
    if (before.st_ino, before.st_size, before.st_mtime_ns) != (after.st_ino, len(contents), after.st_mtime_ns):
        raise OpsError(f"{path} changed while it was read", hint="PostgreSQL asks again, if it still has that file.")
    return contents


def _local_history(pg_wal: Path, timeline: int) -> History | None:
    """The history of `timeline` as the server has it beside its WAL; None where it has not."""
    if timeline == 1:
        return History(1)
    name = f"{timeline:08X}.history"
    try:
        return History.parse(timeline, (pg_wal / name).read_text())
    except OSError:
        return None
    except ValueError as error:
        raise Refused(f"{name} beside the WAL is damaged", detail=str(error)) from error
