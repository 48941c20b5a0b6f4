"""The files of a running data directory, as they are to be stored."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ops.errors import OpsError
from ops.model.datadir import CONTROL_FILE, follows_link, left_out
from ops.model.manifest import Directory, File


@dataclass
class Tree:
    """What was found below `root`; paths are relative to it. Files have no runs yet; pg_control is not in them.

    `tablespaces` maps an oid to where its link leads.
    """

    root: Path
    directories: list[Directory] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    tablespaces: dict[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def scan(root: Path, major: int) -> Tree:
    """All that a backup of the data directory `root` of PostgreSQL `major` stores, in the order of the paths.

    Files that are dropped meanwhile are no error. Links are followed where they are PostgreSQL's own.
    """
    tree = Tree(root)
    try:
        _walk(tree, "", major)
    except OSError as error:
        raise unreadable(Path(error.filename or root), error) from error
    return tree


def unreadable(path: Path, error: OSError) -> OpsError:
    """The error for a part of the data directory that cannot be read: leaving it out is no choice."""
    return OpsError(
        f"could not read {path}, which lies in the data directory",
        detail=str(error),
        hint="PostgreSQL's user must be able to read all of it. Move what is not PostgreSQL's elsewhere.",
    )


def _walk(tree: Tree, directory: str, major: int) -> None:
    where = tree.root / directory
    try:
        with os.scandir(where) as listing:
            entries = {entry.name: entry for entry in listing}
        status = where.stat()
    except FileNotFoundError:
        if not directory:
            raise OpsError(f"there is no data directory at {tree.root}") from None
        return  # the database was dropped
    tree.directories.append(Directory(directory, status.st_mode & 0o7777))
    for name in sorted(entries.keys() - left_out(directory, entries, major)):
        path = f"{directory}/{name}" if directory else name
        if entries[name].is_dir():
            if _enters(tree, entries[name], path, directory):
                _walk(tree, path, major)
        elif entries[name].is_file() and path != CONTROL_FILE:
            _add(tree, path)


def _enters(tree: Tree, entry: os.DirEntry[str], path: str, directory: str) -> bool:
    if not entry.is_symlink():
        return True
    if directory == "pg_tblspc":
        tree.tablespaces[entry.name] = str(Path(entry.path).readlink())
        return True
    return follows_link(path)


def _add(tree: Tree, path: str) -> None:
    with suppress(FileNotFoundError):  # the table was dropped
        tree.files.append(describe(tree.root, path))


def describe(root: Path, path: str) -> File:
    """A file without its runs; FileNotFoundError where it is gone."""
    status = (root / path).stat()
    return File(path, status.st_size, status.st_mode & 0o7777, status.st_mtime_ns)
