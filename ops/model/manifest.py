"""What a base backup consists of, in the two objects that describe it (docs/repository-format.md).

`manifest` is small: the backup, the label and the digest of the other. It is put last, and its existence is the
commit. `files` is one JSON document a line, so that it can be read as a stream: packs, then directories and
files, then a line that counts them. Files carry no digest of their own: each of their blocks is named by one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ops.model.backup import Backup
from ops.model.blocks import Run, count_blocks
from ops.model.pack import PackRef

FORMAT = 1


class ManifestError(ValueError):
    """The bytes are no manifest of ours, or a damaged one."""


@dataclass(frozen=True)
class Manifest:
    """A backup with the texts that pg_backup_stop returned, and the SHA-256 of the plain bytes of its `files`."""

    backup: Backup
    backup_label: str
    tablespace_map: str
    files_sha256: str

    def encode(self) -> bytes:
        document = {
            "format": FORMAT,
            "backup": self.backup.as_dict(),
            "backup_label": self.backup_label,
            "tablespace_map": self.tablespace_map,
            "files_sha256": self.files_sha256,
        }
        return json.dumps(document, indent=1).encode()

    @classmethod
    def decode(cls, plain: bytes) -> Manifest:
        """ManifestError where it is damaged or of a later format."""
        try:
            document = json.loads(plain)
            if document["format"] != FORMAT:
                raise ManifestError(f"has format {document['format']}; this version reads format {FORMAT}")
            return cls(
                Backup.from_dict(document["backup"]),
                document["backup_label"],
                document["tablespace_map"],
                document["files_sha256"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ManifestError(f"{type(error).__name__}: {error}") from error


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory, by its path relative to the data directory ("" for itself)."""

    path: str
    mode: int


@dataclass(frozen=True, slots=True)
class File:
    """A file and where its blocks lie. `size` in bytes, `mtime` in nanoseconds since 1970 by the server's clock."""

    path: str
    size: int
    mode: int
    mtime: int
    runs: tuple[Run, ...] = ()


@dataclass(frozen=True)
class Contents:
    """All that a backup consists of. A run's pack is the position in `packs`."""

    packs: tuple[PackRef, ...]
    directories: tuple[Directory, ...]
    files: tuple[File, ...]

    def encode(self) -> bytes:
        return b"\n".join(json.dumps(line, separators=(",", ":")).encode() for line in self._lines()) + b"\n"

    def _lines(self) -> Iterator[dict[str, Any]]:
        for pack in self.packs:
            yield {"pack": pack.id, "size": pack.size, "blocks": pack.blocks, "tail_sha256": pack.tail_sha256}
        for directory in self.directories:
            yield {"directory": directory.path, "mode": directory.mode}
        for file in self.files:
            runs = [[run.pack, run.first, run.count] for run in file.runs]
            yield {"file": file.path, "size": file.size, "mode": file.mode, "mtime": file.mtime, "runs": runs}
        yield {"end": [len(self.packs), len(self.directories), len(self.files)]}

    @classmethod
    def decode(cls, plain: bytes, block_size: int) -> Contents:
        """ManifestError where it is cut off, damaged, refers to blocks that its packs do not have, or leads outside."""
        packs: list[PackRef] = []
        directories: list[Directory] = []
        files: list[File] = []
        end: list[int] | None = None
        try:
            for line in plain.splitlines():
                if end is not None:
                    raise ManifestError("goes on after its last line")
                match json.loads(line):
                    case {"pack": name, "size": size, "blocks": blocks, "tail_sha256": digest}:
                        packs.append(PackRef(name, size, blocks, digest))
                    case {"directory": path, "mode": mode}:
                        directories.append(Directory(_inside(path), mode))
                    case {"file": path, "size": size, "mode": mode, "mtime": mtime, "runs": found}:
                        files.append(File(_inside(path), size, mode, mtime, tuple(Run(*run) for run in found)))
                    case {"end": end}:
                        pass
                    case unknown:
                        raise ManifestError(f"has a line that this version does not know: {unknown!r}")
        except (ValueError, TypeError) as error:
            raise ManifestError(f"{type(error).__name__}: {error}") from error
        if end != [len(packs), len(directories), len(files)]:
            raise ManifestError("is cut off: its last line does not count what is in it")
        _check_runs(files, packs, block_size)
        return cls(tuple(packs), tuple(directories), tuple(files))


def digest(plain: bytes) -> str:
    """The SHA-256 by which a manifest vouches for its `files`."""
    return hashlib.sha256(plain).hexdigest()


def _inside(path: str) -> str:
    """`path`, if it cannot lead out of the directory that it is restored into."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\0" in path:
        raise ManifestError(f"names a path that leads outside: {path!r}")
    return path


def _check_runs(files: Iterable[File], packs: list[PackRef], block_size: int) -> None:
    for file in files:
        if sum(run.count for run in file.runs) != count_blocks(file.size, block_size):
            raise ManifestError(f"gives {file.path} more or fewer blocks than its size needs")
        for run in file.runs:
            fits = 0 <= run.pack < len(packs) and run.first >= 0 and run.count > 0
            if not fits or run.first + run.count > packs[run.pack].blocks:
                raise ManifestError(f"gives {file.path} blocks that its packs do not have")
