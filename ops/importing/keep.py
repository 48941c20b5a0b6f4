"""A copy of the files, made before anything is imported: what is read is the copy, and what a rollback gives back."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from ops.errors import OpsError, UsageError
from ops.model.json_files import FILES
from ops.model.json_values import shown_moment
from ops.store.durable import sync_directory

MANIFEST = "manifest.json"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Kept:
    """A file as it was found: its path below the folder, size, SHA-256, and when it was last written (UTC)."""

    name: str
    bytes: int
    sha256: str
    written: str


def beside(folder: Path) -> Path:
    """Where the copies of a folder are kept unless something else is said."""
    return folder.absolute().with_name(f"{folder.absolute().name}.kept")


def keep(folder: Path, kept: Path, progress: Callable[[int, int], None]) -> list[Kept]:
    """Copy the files of `folder` that there are into `kept`, and say what they are.

    Copies that are there already are those of an earlier run: then the files must still be what they were.
    OpsError where one has changed; UsageError where there is none.
    """
    if kept.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{kept} is inside of {folder}", hint="Keep the copies elsewhere, with --keep.")
    names = [name for name in FILES if (folder / name).is_file()]
    if not names:
        raise UsageError(f"{folder} has none of the files", detail=f"looked for {', '.join(FILES)}")
    total, done = sum((folder / name).stat().st_size for name in names), 0
    earlier = {one.name: one for one in manifest(kept)} if (kept / MANIFEST).exists() else None
    kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = list[Kept]()
    for name in names:
        before = done

        def count(read: int, before: int = before) -> None:
            progress(before + read, total)

        one = _copied(folder / name, None if earlier is not None else kept / name, name, count)
        found.append(one)
        done += one.bytes
    if earlier is None:
        _write_manifest(kept, found)
    elif changed := _changed(found, earlier):
        raise OpsError(
            f"{folder} is no longer what was kept in {kept}",
            detail="\n".join(changed),
            hint="To go on with the files as they were, give that folder of copies in place of the files.",
        )
    return found


def manifest(kept: Path) -> list[Kept]:
    """What was kept in a folder; OpsError where nothing was, or where a copy is gone or of another size."""
    try:
        found = [Kept(**one) for one in json.loads((kept / MANIFEST).read_text())]
    except (OSError, ValueError, TypeError) as error:
        raise OpsError(
            f"{kept} holds no copies of an import", detail=str(error), hint="Name the folder with --keep."
        ) from error
    for one in found:
        path = kept / one.name
        if not path.is_file() or path.stat().st_size != one.bytes:
            raise OpsError(f"{path} is not the copy that was kept", detail=f"expected: {one.bytes} bytes")
    return found


def intact(kept: Path, one: Kept) -> bool:
    """Whether a copy still has its checksum."""
    return _copied(kept / one.name, None, one.name, lambda _read: None).sha256 == one.sha256


def _copied(source: Path, target: Path | None, name: str, count: Callable[[int], None]) -> Kept:
    """Read a file to its end, into `target` if there is one, which is on the disk afterwards."""
    digest, read = sha256(), 0
    written = datetime.fromtimestamp(int(source.stat().st_mtime), UTC)
    if target:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with source.open("rb") as file, (target or Path(os.devnull)).open("wb") as copy:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            if target:
                copy.write(chunk)
            read += len(chunk)
            count(read)
        if target:
            copy.flush()
            os.fchmod(copy.fileno(), 0o600)
            os.fsync(copy.fileno())
    if target:
        sync_directory(target.parent)
    return Kept(name, read, digest.hexdigest(), shown_moment(written))


def _write_manifest(kept: Path, found: list[Kept]) -> None:
    """Last of all, and at once: where there is a manifest, all copies are whole."""
    made = kept / f"{MANIFEST}.new"
    with made.open("w") as file:
        json.dump([asdict(one) for one in found], file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    made.rename(kept / MANIFEST)
    sync_directory(kept)
    sync_directory(kept.parent)


def _changed(found: list[Kept], earlier: dict[str, Kept]) -> list[str]:
    now = {one.name: one for one in found}
    words = [f"{name}: gone" for name in earlier if name not in now]
    words += [f"{name}: new" for name in now if name not in earlier]
    words += [
        f"{name}: {earlier[name].bytes} bytes before, {one.bytes} now, with another SHA-256"
        for name, one in now.items()
        if name in earlier and earlier[name].sha256 != one.sha256
    ]
    return words
