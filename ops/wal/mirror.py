"""One repository's WAL brought to another: how a repository that was away catches up, by itself.

Under the policy `first` a segment counts as archived, and PostgreSQL removes it, when the first repository has it. What
the others lack is then copied from there: opened, verified and sealed anew, since each repository has its own keys.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from ops.errors import OpsError, Unreachable
from ops.model.segment import Kind, WalFile
from ops.store.base import AlreadyExists, NotFound, Stored
from ops.store.repository import Repository, ensure
from ops.wal.stored import compare

_WORKERS = 2
_PAUSE = 5.0


@dataclass(frozen=True)
class Behind:
    """What a repository lacks of another's WAL, in the order in which it is to be copied."""

    missing: tuple[Stored, ...]

    @property
    def size(self) -> int:
        return sum(stored.size for stored in self.missing)

    @property
    def oldest(self) -> datetime | None:
        """When the first repository got the oldest file that is missing."""
        return min((stored.modified for stored in self.missing), default=None)


@dataclass
class Copied:
    """What a run has done: names of the files that were copied, and what is wrong with those that could not be."""

    names: list[str] = field(default_factory=list)
    refused: list[OpsError] = field(default_factory=list)


def behind(source: Repository, target: Repository) -> Behind:
    """What `target` lacks of all that `source` has. Raises Unreachable where one of them gives no answer."""
    there = {_name(stored) for stored in target.store.list(target.layout.wal_root)}
    missing = [
        stored
        for stored in source.store.list(source.layout.wal_root)
        if _is_ours(source, stored) and _name(stored) not in there
    ]
    return Behind(tuple(sorted(missing, key=_place)))


def mirror(source: Repository, target: Repository, stop: Callable[[], bool] = lambda: False, *, level: int) -> Copied:
    """Copy what `target` lacks, histories and old segments first, until `stop` says to end.

    What is damaged in the source, or other WAL of that name in the target, does not keep the rest. Raises Unreachable.
    """
    info = source.describe()
    ensure(target, segment_size=info.segment_size, postgres_version=info.postgres_version)
    done = Copied()

    def copy(stored: Stored) -> None:
        if stop():
            return
        try:
            if _copy(source, target, stored, level):
                done.names.append(_name(stored))
        except Unreachable:
            raise
        except OpsError as error:
            done.refused.append(error)

    with ThreadPoolExecutor(_WORKERS) as pool:
        pending = [pool.submit(copy, stored) for stored in behind(source, target).missing]
        try:
            for future in pending:
                future.result()
        except Unreachable:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return done


def _copy(source: Repository, target: Repository, stored: Stored, level: int) -> bool:
    """Copy one file; False where it was copied, or let go of, meanwhile."""
    file = WalFile.parse(_name(stored))
    try:
        plain = source.unseal(source.store.get(stored.key), kind="wal", name=file.name)
    except NotFound:
        return False
    key = target.layout.wal(file)
    try:
        target.store.put(key, target.seal("wal", file.name, plain, level=level))
    except AlreadyExists:
        compare(target, file, plain)
        return False
    return True


class Mirrors:
    """Keeps further repositories up with the first one, in a thread for each, until it is told to stop.

    A repository that is away is asked again every few seconds, and keeps none of the others.
    """

    def __init__(self, source: Callable[[], Repository], targets: dict[str, Callable[[], Repository]], level: int):
        self._source = source
        self._level = level
        self.troubles: dict[str, OpsError] = {}
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(name, target), name=f"mirror {name}")
            for name, target in targets.items()
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Returns when what was begun has ended."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, name: str, target: Callable[[], Repository]) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                done = mirror(self._source(), target(), self._stop.is_set, level=self._level)
                self.troubles.pop(name, None)
                if done.refused:
                    self.troubles[name] = done.refused[0]
            except OpsError as error:  # nothing archived yet, a store that is away: all of it may pass
                self.troubles[name] = error
            with suppress(ValueError):
                self._stop.wait(max(0.1, _PAUSE - (time.monotonic() - began)))


def _name(stored: Stored) -> str:
    return stored.key.rpartition("/")[2]


def _is_ours(repository: Repository, stored: Stored) -> bool:
    try:
        return repository.layout.wal(WalFile.parse(_name(stored))) == stored.key
    except ValueError:
        return False


def _place(stored: Stored) -> tuple[bool, str, str]:
    """Histories first, then by the position of the WAL, which all timelines share."""
    name = _name(stored)
    if WalFile.parse(name).kind is Kind.HISTORY:
        return False, "f" * 16, name
    return True, name[8:24], name
