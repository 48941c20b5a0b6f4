"""Bring one file back: complete, verified and durable under its destination, or not at all."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from ops.errors import OpsError, Unreachable
from ops.model.segment import Kind, WalFile
from ops.model.timeline import History
from ops.store.base import NotFound
from ops.store.durable import sync_directory
from ops.store.repository import Repository
from ops.wal.faults import reached
from ops.wal.sources import Sources
from ops.wal.stored import read

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 2.0


class Hole(OpsError):
    """The file is not in the archive, and later WAL of its timeline is: not the end, but a gap."""


def never_written(file: WalFile) -> bool:
    """Whether there can be no such file: the first timeline comes from nowhere. PostgreSQL asks all the same."""
    return file.kind is Kind.HISTORY and file.timeline == 1


def has_history(file: WalFile, pg_wal: Path) -> bool:
    """Whether `file` is a timeline history that the server has itself, intact. Histories never change."""
    if file.kind is not Kind.HISTORY:
        return False
    try:
        return bool(History.parse(file.timeline, (pg_wal / file.name).read_text()).ancestors)
    except (OSError, ValueError):
        return False


def fetch(repository: Repository, file: WalFile, destination: Path) -> bool:
    """Put the archived `file` at `destination`. False where the store answered that it does not have it.

    Raises what `read` raises, and OSError where the destination cannot be written.
    """
    contents = read(repository, file)
    if contents is None:
        return False
    write_durably(destination, contents)
    return True


class Placing:
    """Puts files at their destination, as `ops wal fetch` does."""

    def __init__(self, destination: Path) -> None:
        self._destination = destination

    def bring(self, repository: Repository, file: WalFile) -> bool:
        """From the archive; False where the store answered that it does not have it."""
        return fetch(repository, file, self._destination)

    def put(self, file: WalFile, contents: bytes) -> None:
        """Contents that the caller has."""
        write_durably(self._destination, contents)


def fetch_for_recovery(
    sources: Sources,
    file: WalFile,
    bring: Callable[[Repository], bool],
    tail: Callable[[Repository, bool], bool] | None = None,
) -> bool:
    """`bring` the file for a recovery, which takes the first absent segment for the end of the WAL. False for the end.

    So that it had better not be a gap, nor a bucket, prefix or cluster in which nothing was ever archived: Hole
    and OpsError for these. `tail` brings it from the live tail if that has it, whole or, at the end, what there is.
    """
    for _ in range(2):  # what was absent may have been archived while we looked around
        if sources.bring(file, bring):
            return True
        later = sources.names_from(file)
        if tail is not None and file.kind is Kind.SEGMENT and tail(sources.main, bool(later)):
            return True
        where = sources.main.store.name
        if not later:
            _check_place(sources.main, file)
            return False
        if later[0] != file.name:
            raise Hole(
                f"{file.name} is missing in {where}, and later WAL is there: {later[0]}",
                detail="Recovery cannot go beyond it.",
                hint="See `ops wal gaps`. To recover up to here on purpose, give a target before it.",
            )
    raise Unreachable(f"{where} lists {file.name} and says that it has not got it")


def fetch_for_standby(
    bring: Callable[[], bool],
    *,
    patience: float,
    hurry: Callable[[], bool],
    told: Callable[[Unreachable], None],
) -> bool:
    """`bring` a file, again and again while the store is unreachable, for `patience` seconds or until `hurry`.

    `told` hears of the first failure. Raises the last one when patience is over.
    """
    deadline = time.monotonic() + patience
    pause = _FIRST_PAUSE
    while True:
        try:
            return bring()
        except Unreachable as error:
            if hurry() or time.monotonic() + pause > deadline:
                raise
            if pause == _FIRST_PAUSE:
                told(error)
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def _check_place(repository: Repository, file: WalFile) -> None:
    try:
        repository.describe()
    except NotFound as error:
        raise OpsError(
            f"{repository.store.name} holds nothing of this cluster, so that an absent {file.name} means nothing",
            detail=f"there is no {repository.layout.repository}",
            hint="Is this the right bucket, prefix and cluster?",
        ) from error


def write_durably(destination: Path, contents: bytes) -> None:
    """Durably, and visible only when complete. What a killed predecessor has left is removed."""
    for left in destination.parent.glob(f"{destination.name}.part-*"):
        left.unlink(missing_ok=True)
    part = destination.with_name(f"{destination.name}.part-{os.getpid()}")
    try:
        with open(part, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        reached("fetch-written")
        part.rename(destination)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_directory(destination.parent)
    reached("fetch-placed")
