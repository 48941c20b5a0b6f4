"""Restoring the files of a base backup. What recovery is to do with them is `ops.backup.recovery`'s part.

A directory that is restored only in part must not start: pg_control, without which no server does, goes first from
a directory that is restored over, and gets its name last, after everything else is durable. So a restore that was
killed is begun again, and keeps what it finds in place.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from ops.backup import catalog, place
from ops.backup.place import NEW_ONLY, PARTIAL, PARTIAL_NEW, Consent, Kind
from ops.backup.report import Meter, Progress
from ops.backup.unpack import Unpacker, stretches
from ops.errors import OpsError
from ops.model.backup import Backup
from ops.model.datadir import CONTROL_FILE, tablespace_map
from ops.model.manifest import Contents, File, Manifest
from ops.store.durable import filesystems_synced, sync_directory
from ops.store.repository import Repository
from ops.wal.faults import reached

# Where a test kills a restore.
POINTS = (
    "restore-control",
    "restore-begun",
    "restore-cleared",
    "restore-range",
    "restore-unpacked",
    "restore-told",
    "restore-settled",
    "restore-done",
)
Item = TypeVar("Item")


@dataclass(frozen=True)
class Restored:
    """Bytes of files: all, those that were there already, and those that came from the store, where they are fewer."""

    size: int
    reused: int
    fetched: int


def default_tablespaces(backup: Backup, directory: Path) -> dict[str, Path]:
    """Where tablespaces go unless told otherwise, by oid: beside the data directory, never where they came from.

    They cannot go into it: PostgreSQL stops recovery at a tablespace that is no link.
    """
    return {oid: directory.with_name(f"{directory.name}.tablespaces") / oid for oid in backup.tablespaces}


def place_tablespaces(backup: Backup, directory: Path, chosen: Mapping[str, Path]) -> dict[str, Path]:
    """Where each tablespace goes, by oid. `chosen` names them by oid or by the path that they had."""
    oids = {path: oid for oid, path in backup.tablespaces.items()} | {oid: oid for oid in backup.tablespaces}
    if unknown := sorted(chosen.keys() - oids.keys()):
        known = ", ".join(f"{oid} ({path})" for oid, path in sorted(backup.tablespaces.items())) or "none"
        raise OpsError(f"backup {backup.id} has no tablespace {', '.join(unknown)}", detail=f"It has: {known}.")
    return default_tablespaces(backup, directory) | {oids[name]: path for name, path in chosen.items()}


def _nothing(directory: Path) -> None:
    """What a server is told that Patroni will tell."""


def restore_files(
    repository: Repository,
    backup: Backup,
    directory: Path,
    *,
    workers: int,
    progress: Progress,
    tablespaces: Mapping[str, Path] | None = None,
    consent: Consent = NEW_ONLY,
    tell: Callable[[Path], None] = _nothing,
) -> Restored:
    """Make `directory` the files of `backup`, all of them durable when this returns.

    It must be empty, not there yet, or what a killed restore has left; `consent` says whether it may be more.
    `tablespaces` maps oids, or the paths that they had, to directories; the others go to `default_tablespaces`.
    `tell` writes what the server has to know, into a directory that cannot start yet. Raises Damaged, naming the
    pack and a file, as soon as one stored byte is not what was put there; the directory then has no pg_control.
    """
    # Absolute: links in pg_tblspc and PostgreSQL itself resolve paths from elsewhere.
    directory = directory.absolute()
    spaces = {oid: path.absolute() for oid, path in place_tablespaces(backup, directory, tablespaces or {}).items()}
    place.admit(directory, repository.system_identifier, consent)
    manifest = catalog.read(repository, backup.id)
    contents = catalog.contents(repository, manifest)
    with place.held(directory):
        standing = place.admit(directory, repository.system_identifier, consent)
        place.check_space(directory, contents.files, backup.size)
        place.check_tablespaces(directory, spaces)
        meter = Meter(backup.size, progress)
        reuse = standing.kind is not Kind.EMPTY
        unpacker = Unpacker(repository, repository.describe(), directory, meter, reuse=reuse)
        try:
            _Restore(unpacker, directory, manifest, contents, spaces, workers).run(tell, clear=reuse)
        except OSError as error:
            raise OpsError(
                f"could not write {error.filename or directory}",
                detail=str(error),
                hint=f"What is in {directory} so far cannot start. Restore again: it goes on with what is there.",
            ) from error
    return Restored(backup.size, unpacker.reused, unpacker.fetched)


@dataclass(frozen=True)
class _Restore:
    """All of a backup into a directory, in the order that makes half of it harmless."""

    unpacker: Unpacker
    directory: Path
    manifest: Manifest
    contents: Contents
    spaces: Mapping[str, Path]
    workers: int

    def run(self, tell: Callable[[Path], None], *, clear: bool) -> None:
        backup = self.manifest.backup
        others = [file for file in self.contents.files if file.path != CONTROL_FILE]
        self._begin([file for file in self.contents.files if file.path == CONTROL_FILE])
        if clear:
            place.clear(self.directory, self.contents, self.spaces, backup.postgres_version // 10000)
        reached("restore-cleared")
        self._make_directories()
        with filesystems_synced(self.directory / directory.path for directory in self.contents.directories):
            self._unpack(others, "restore-range")
            reached("restore-unpacked")
            for file in others:
                _finish(self.directory / file.path, file)
            self._label()
            tell(self.directory)
            reached("restore-told")
            for directory in self.contents.directories:
                (self.directory / directory.path).chmod(directory.mode)
        sync_directory(self.directory.parent)
        reached("restore-settled")
        (self.directory / PARTIAL).rename(self.directory / CONTROL_FILE)
        sync_directory(self.directory / "global")
        reached("restore-done")

    def _begin(self, control: list[File]) -> None:
        """pg_control under the name that no server reads: from here on it says whose half a database this is."""
        top = self.directory / "global"
        if not top.is_dir():
            top.unlink(missing_ok=True)
            top.mkdir(mode=0o700)
        # Not written in place: a power cut must leave the old one, or all of the new one.
        (self.directory / PARTIAL_NEW).unlink(missing_ok=True)
        for file in control:
            self._unpack([replace(file, path=PARTIAL_NEW)], "restore-control")
            _finish(self.directory / PARTIAL_NEW, file, durable=True)
            (self.directory / PARTIAL_NEW).rename(self.directory / PARTIAL)
        sync_directory(top)
        (self.directory / CONTROL_FILE).unlink(missing_ok=True)
        sync_directory(top)
        reached("restore-begun")

    def _make_directories(self) -> None:
        for path in self.spaces.values():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for directory in self.contents.directories:  # parents come first
            where = self.directory / directory.path
            space = self.spaces.get(where.name) if directory.path == f"pg_tblspc/{where.name}" else None
            if space is None:
                where.mkdir(mode=0o700, exist_ok=True)
            elif not where.is_symlink():
                where.symlink_to(space)

    def _unpack(self, files: list[File], point: str) -> None:
        wanted, packs = stretches(files, self.manifest.backup.block_size), self.contents.packs
        # Neighbouring packs have parts of the same large file, and only one worker at a time can write to that.
        apart = _apart(sorted(wanted), self.workers)
        _in_parallel(
            self.workers, lambda number: self.unpacker.unpack(packs[number], wanted[number], point=point), apart
        )

    def _label(self) -> None:
        _write_text(self.directory / "backup_label", self.manifest.backup_label)
        if self.spaces:
            # As pg_backup_stop returned it, but for the paths: recovery makes these links anew from it.
            spaces = {oid: str(path) for oid, path in self.spaces.items()}
            _write_text(self.directory / "tablespace_map", tablespace_map(spaces))


def _apart(items: Sequence[Item], workers: int) -> list[Item]:
    """The items in an order in which those that are worked on at the same time lie far from each other."""
    stride = -(-len(items) // workers)
    return [item for start in range(stride) for item in items[start::stride]]


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


def _finish(path: Path, file: File, *, durable: bool = False) -> None:
    """Size, mode and time of a file whose blocks are written (an empty one has none); `durable` on the disk, too."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.ftruncate(handle, file.size)
        os.fchmod(handle, file.mode)
        os.utime(handle, ns=(file.mtime, file.mtime))
        if durable:
            os.fsync(handle)
    finally:
        os.close(handle)


def _write_text(path: Path, text: str) -> None:
    with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
