"""A store in a local or mounted folder, for air-gapped copies and for tests."""

from __future__ import annotations

import builtins
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from ops.errors import OpsError, Unreachable
from ops.store.base import AlreadyExists, Forbidden, NotFound, Stored, Traits
from ops.store.durable import sync_directory

# Objects appear under their key only when they are complete: they are written here first, then linked.
_STAGING = ".incoming"


class FolderStore:
    """Objects as files, keys as relative paths. The folder itself must exist: a mount that is gone is no answer."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def name(self) -> str:
        return str(self._path)

    def put(self, key: str, body: bytes) -> None:
        target = self._file(key)
        staged = self._path / _STAGING / uuid.uuid4().hex
        with self._answering(f"store {key}"):
            _make_directories(self._path, staged.parent)
            _make_directories(self._path, target.parent)
            try:
                _write(staged, body)
                os.link(staged, target)  # fails where the name is taken, which rename would not
            except FileExistsError:
                raise AlreadyExists(f"{key} is already in {self.name}") from None
            finally:
                with suppress(FileNotFoundError):
                    staged.unlink()
            sync_directory(target.parent)

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        with self._answering(f"read {key}"), self._file(key).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = offset if offset >= 0 else size + offset
            end = size if length is None else start + length
            if not 0 <= start <= end <= size:
                raise ValueError(f"{key} has {size} bytes; asked for {length or 'all'} from {offset}")
            file.seek(start)
            return file.read(end - start)

    def head(self, key: str) -> Stored:
        with self._answering(f"look at {key}"):
            return self._stored(self._file(key))

    def list(self, prefix: str) -> Iterator[Stored]:
        # Only the folder that the prefix lies in is walked, not the whole store.
        folder = self._path / prefix.rpartition("/")[0]
        found = []
        with self._answering(f"list {prefix}"):
            for path in _files(folder):
                key = self._key(path)
                if key.startswith(prefix) and not key.startswith(f"{_STAGING}/"):
                    with suppress(FileNotFoundError):  # deleted while we walked
                        found.append(self._stored(path))
        yield from sorted(found, key=lambda stored: stored.key)

    def folders(self, prefix: str) -> builtins.list[str]:
        folder = self._path / prefix
        with self._answering(f"list {prefix}"):
            below = [path for path in folder.iterdir() if path.name != _STAGING] if folder.is_dir() else []
            return sorted(path.name for path in below if path.is_dir() and any(_files(path)))

    def delete(self, key: str) -> None:
        with self._answering(f"delete {key}"):
            self._file(key).unlink(missing_ok=True)

    def traits(self, key: str) -> Traits:
        return Traits()

    def _file(self, key: str) -> Path:
        parts = key.split("/")
        if not key or any(part in ("", ".", "..", _STAGING) for part in parts) or "\0" in key:
            raise ValueError(f"not a key: {key!r}")
        return self._path.joinpath(*parts)

    def _key(self, path: Path) -> str:
        return path.relative_to(self._path).as_posix()

    def _stored(self, path: Path) -> Stored:
        status = path.stat()
        if not path.is_file():
            raise FileNotFoundError(path)
        return Stored(self._key(path), status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    @contextmanager
    def _answering(self, what: str) -> Iterator[None]:
        """Turns what the file system says into the store's three answers: yes, no, and no answer."""
        try:
            if not self._path.is_dir():
                raise self._unreachable(what, "the folder does not exist, or its file system is not mounted")
            yield
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            if not self._path.is_dir():
                raise self._unreachable(what, str(error)) from error
            raise NotFound(f"could not {what}: it is not in {self.name}") from None
        except PermissionError as error:
            raise self._unreachable(what, str(error), Forbidden) from error
        except OSError as error:
            raise self._unreachable(what, str(error)) from error

    def _unreachable(self, what: str, detail: str, kind: type[Unreachable] = Unreachable) -> OpsError:
        return kind(
            f"could not {what}: {self.name} does not answer",
            detail=detail,
            hint="Mount it, and see that the user who runs PostgreSQL may read and write there.",
        )


def _files(folder: Path) -> Iterator[Path]:
    """All files below `folder`; OSError where a directory cannot be read, which a listing must not pass over."""

    def fail(error: OSError) -> None:
        raise error

    if folder.is_dir():
        for directory, _, names in os.walk(folder, onerror=fail):
            yield from (Path(directory) / name for name in names)


def _write(path: Path, body: bytes) -> None:
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())


def _make_directories(root: Path, folder: Path) -> None:
    """`folder` below `root`, each new directory made durable in the one that holds it."""
    missing = [folder, *folder.parents]
    for path in reversed(missing[: missing.index(root)]):
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
            sync_directory(path.parent)
