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
from ops.store.codec import unseal
from ops.store.durable import sync_directory
from ops.store.repository import Repository

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

    Anything that leaves the question open is raised: Unreachable; Damaged or Foreign where the object is not
    what it has to be; OSError where the destination cannot be written.
    """
    try:
        blob = repository.store.get(repository.layout.wal(file))
    except NotFound:
        return False
    _write(destination, unseal(blob, kind="wal", name=file.name, system_identifier=repository.system_identifier))
    return True


def fetch_for_recovery(repository: Repository, file: WalFile, destination: Path) -> bool:
    """`fetch` for a recovery, which takes the first absent segment for the end of the WAL. False for the end.

    So that it had better not be a gap, nor a bucket, prefix or cluster in which nothing was ever archived: Hole
    and OpsError for these.
    """
    for _ in range(2):  # what was absent may have been archived while we looked around
        if fetch(repository, file, destination):
            return True
        later = _names_from(repository, file)
        if not later:
            _check_place(repository, file)
            return False
        if later[0] != file.name:
            raise Hole(
                f"{file.name} is missing in {repository.store.name}, and later WAL is there: {later[0]}",
                detail="Recovery cannot go beyond it.",
                hint="See `ops wal gaps`. To recover up to here on purpose, give a target before it.",
            )
    raise Unreachable(f"{repository.store.name} lists {file.name} and says that it has not got it")


def fetch_for_standby(
    repository: Repository,
    file: WalFile,
    destination: Path,
    *,
    patience: float,
    hurry: Callable[[], bool],
    told: Callable[[Unreachable], None],
) -> bool:
    """`fetch`, repeated while the store is unreachable, for `patience` seconds or until `hurry` says to stop.

    `told` hears of the first failure. Raises the last one when patience is over. There is none where the server
    has a file of that name itself, which it tries next: so it is when it is promoted, and that must not wait.
    """
    deadline = time.monotonic() + (0 if destination.with_name(file.name).exists() else patience)
    pause = _FIRST_PAUSE
    while True:
        try:
            return fetch(repository, file, destination)
        except Unreachable as error:
            if hurry() or time.monotonic() + pause > deadline:
                raise
            if pause == _FIRST_PAUSE:
                told(error)
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def _names_from(repository: Repository, file: WalFile) -> list[str]:
    """The stored segments of the file's timeline from it onwards, as far as this and the next 4 GiB of WAL."""
    if file.kind is not Kind.SEGMENT:
        return []
    folder = repository.layout.wal(file).removesuffix(file.name)
    prefixes = (file.name[:16], f"{file.name[:8]}{int(file.name[8:16], 16) + 1:08X}")
    keys = [found.key for prefix in prefixes for found in repository.store.list(folder + prefix)]
    names = (key.removeprefix(folder) for key in keys)
    return [name for name in names if len(name) == len(file.name) and name >= file.name]


def _check_place(repository: Repository, file: WalFile) -> None:
    try:
        repository.describe()
    except NotFound as error:
        raise OpsError(
            f"{repository.store.name} holds nothing of this cluster, so that an absent {file.name} means nothing",
            detail=f"there is no {repository.layout.repository}",
            hint="Is this the right bucket, prefix and cluster?",
        ) from error


def _write(destination: Path, contents: bytes) -> None:
    """Durably, and visible only when complete. What a killed predecessor has left is removed."""
    for left in destination.parent.glob(f"{destination.name}.part-*"):
        left.unlink(missing_ok=True)
    part = destination.with_name(f"{destination.name}.part-{os.getpid()}")
    try:
        with open(part, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        part.rename(destination)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_directory(destination.parent)
