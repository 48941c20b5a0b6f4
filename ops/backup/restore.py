"""Restoring the files of a base backup. What recovery is to do with them is `ops.backup.recovery`'s part.

A directory that is restored only in part must not start: pg_control, without which no server does, is written
last, after everything else is durable.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ops.backup import catalog
from ops.backup.report import Meter, Progress
from ops.backup.unpack import Unpacker, stretches
from ops.errors import OpsError
from ops.model.backup import Backup
from ops.model.datadir import CONTROL_FILE, tablespace_map
from ops.model.manifest import Contents, Directory, File, Manifest
from ops.store.durable import sync_directory
from ops.store.repository import Repository

_PARTIAL = f"{CONTROL_FILE}.restoring"
Item = TypeVar("Item")


def default_tablespaces(backup: Backup, directory: Path) -> dict[str, Path]:
    """Where tablespaces go unless told otherwise, by oid: beside the data directory, never where they came from.

    They cannot go into it: PostgreSQL stops recovery at a tablespace that is no link.
    """
    return {oid: directory.with_name(f"{directory.name}.tablespaces") / oid for oid in backup.tablespaces}


def restore_files(
    repository: Repository,
    backup: Backup,
    directory: Path,
    *,
    workers: int,
    progress: Progress,
    tablespaces: Mapping[str, Path] | None = None,
) -> int:
    """Write the files of `backup` into `directory`, which must be empty or not there yet; bytes written.

    `tablespaces` maps oids to (empty) directories; those that it does not name go to `default_tablespaces`.
    Everything is durable when this returns. No recovery settings are written. Raises Damaged, naming the pack and
    a file, as soon as one stored byte is not what was put there; the directory then has no pg_control.
    """
    manifest = catalog.read(repository, backup.id)
    contents = catalog.contents(repository, manifest)
    info = repository.describe()
    # Absolute: links in pg_tblspc and PostgreSQL itself resolve paths from elsewhere.
    directory = directory.absolute()
    spaces = {oid: path.absolute() for oid, path in _merge(backup, directory, tablespaces or {}).items()}
    _prepare(directory, backup.size)
    unpacker = Unpacker(repository, info, directory, Meter(backup.size, progress))
    try:
        _write(unpacker, directory, manifest=manifest, contents=contents, spaces=spaces, workers=workers)
    except OSError as error:
        raise OpsError(
            f"could not write {error.filename or directory}",
            detail=str(error),
            hint=f"What is in {directory} so far cannot start. Remove it, and restore again.",
        ) from error
    return backup.size


def _write(
    unpacker: Unpacker,
    directory: Path,
    *,
    manifest: Manifest,
    contents: Contents,
    spaces: Mapping[str, Path],
    workers: int,
) -> None:
    """All of a backup into `directory`, in the order that makes half of it harmless."""
    block_size = manifest.backup.block_size
    _make_directories(directory, contents, spaces)
    others = [file for file in contents.files if file.path != CONTROL_FILE]
    control = [replace(file, path=_PARTIAL) for file in contents.files if file.path == CONTROL_FILE]
    _unpack(unpacker, contents, others, block_size, workers)
    _in_parallel(workers, lambda file: _finish(directory / file.path, file), others)
    _write_text(directory / "backup_label", manifest.backup_label)
    if spaces:
        # As pg_backup_stop returned it, but for the paths: recovery makes these links anew from it.
        _write_text(directory / "tablespace_map", tablespace_map({oid: str(path) for oid, path in spaces.items()}))
    _settle(directory, contents.directories, workers)
    _unpack(unpacker, contents, control, block_size, workers)
    for file in control:
        _finish(directory / file.path, file)
        (directory / file.path).rename(directory / CONTROL_FILE)
        sync_directory(directory / "global")


def _merge(backup: Backup, directory: Path, chosen: Mapping[str, Path]) -> dict[str, Path]:
    if unknown := sorted(chosen.keys() - backup.tablespaces.keys()):
        known = ", ".join(f"{oid} ({path})" for oid, path in sorted(backup.tablespaces.items())) or "none"
        raise OpsError(f"backup {backup.id} has no tablespace {', '.join(unknown)}", detail=f"It has: {known}.")
    return default_tablespaces(backup, directory) | dict(chosen)


def _prepare(directory: Path, size: int) -> None:
    """Make `directory`, or see that it is empty, and that `size` bytes have room in it."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(directory, os.W_OK):
            raise PermissionError(errno.EACCES, "may not write", str(directory))
        if any(directory.iterdir()):
            raise OpsError(
                f"{directory} is not empty; nothing was written",
                hint="Name a directory that is empty or does not exist yet.",
            )
    except (NotADirectoryError, FileExistsError):
        raise OpsError(f"{directory} is not a directory; nothing was written") from None
    except PermissionError as error:
        raise OpsError(
            f"may not write to {error.filename}",
            hint=f"Make {directory} first, empty and owned by the user that PostgreSQL runs as.",
        ) from error
    free = shutil.disk_usage(directory).free
    if free < size:
        raise OpsError(
            f"{directory} has too little space for the backup",
            detail=f"needed: {size / 2**30:.1f} GiB, free: {free / 2**30:.1f} GiB",
        )


def _make_directories(root: Path, contents: Contents, spaces: Mapping[str, Path]) -> None:
    for path in spaces.values():
        _prepare(path, 0)
    for directory in contents.directories:  # parents come first
        where = root / directory.path
        if directory.path == f"pg_tblspc/{where.name}" and (space := spaces.get(where.name)):
            where.symlink_to(space)
        else:
            where.mkdir(mode=0o700, exist_ok=True)


def _unpack(unpacker: Unpacker, contents: Contents, files: list[File], block_size: int, workers: int) -> None:
    wanted = stretches(files, block_size)
    _in_parallel(workers, lambda number: unpacker.unpack(contents.packs[number], wanted[number]), wanted)


def _in_parallel(workers: int, action: Callable[[Item], None], items: Iterable[Item]) -> None:
    """`action` on all of `items`. The first that fails is raised, after those that run already have ended."""
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(action, item) for item in items]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _finish(path: Path, file: File) -> None:
    """Size, mode and time of a file whose blocks are written (an empty one has none), and then onto the disk."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.ftruncate(handle, file.size)
        os.fchmod(handle, file.mode)
        os.utime(handle, ns=(file.mtime, file.mtime))
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_text(path: Path, text: str) -> None:
    with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _settle(root: Path, directories: Iterable[Directory], workers: int) -> None:
    """Modes of the directories, and their entries onto the disk."""

    def settle(directory: Directory) -> None:
        (root / directory.path).chmod(directory.mode)
        sync_directory(root / directory.path)

    _in_parallel(workers, settle, directories)
    sync_directory(root.parent)
