"""The directory that a restore writes into: what may be in it already, and what of that has to go.

While a restore is on its way there is no pg_control, without which no server starts; what will become of it lies
beside, as `pg_control.restoring`. So a directory that a killed restore has left is known for what it is.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ops.errors import OpsError, Unreachable
from ops.model.datadir import CONTROL_FILE, follows_link
from ops.model.manifest import Contents, File
from ops.postgres.control import ControlData
from ops.postgres.running import running_in

PARTIAL = f"{CONTROL_FILE}.restoring"
PARTIAL_NEW = f"{PARTIAL}.new"  # while it is being written


class Kind(Enum):
    """What a directory to restore into can be."""

    EMPTY = "empty, or not there"
    UNFINISHED = "what a restore has left that was killed"
    DATABASE = "a database"


@dataclass(frozen=True)
class Standing:
    """What is in a directory. `system_identifier` is None where there is no control file to say it."""

    kind: Kind
    system_identifier: int | None = None


@dataclass(frozen=True)
class Consent:
    """What the person has agreed to: `delta` to keep what fits, `confirmed` to lose the database that is there."""

    delta: bool = False
    confirmed: bool = False


NEW_ONLY = Consent()


def look(directory: Path) -> Standing:
    """What `directory` holds; OpsError where that is neither nothing nor a database."""
    try:
        if not directory.exists() or _is_bare(directory):
            return Standing(Kind.EMPTY)
    except NotADirectoryError:
        raise OpsError(f"{directory} is not a directory; nothing was written") from None
    except PermissionError as error:
        raise _closed(directory, error) from error
    if (directory / CONTROL_FILE).exists():
        return Standing(Kind.DATABASE, ControlData.read(directory).system_identifier)
    if (directory / PARTIAL).exists():
        return Standing(Kind.UNFINISHED, ControlData.read_from(directory / PARTIAL).system_identifier)
    if (directory / "PG_VERSION").exists():
        return Standing(Kind.DATABASE)
    raise OpsError(
        f"{directory} is not empty, and no database; nothing was written",
        hint="Name a directory that is empty or does not exist yet.",
    )


def _is_bare(directory: Path) -> bool:
    """Whether there is nothing in it, or the very first that a restore puts there."""
    first = directory / PARTIAL_NEW
    return all(path == first.parent and set(path.iterdir()) <= {first} for path in directory.iterdir())


def needs_confirmation(standing: Standing, system_identifier: int) -> bool:
    """Whether somebody must say that what is there may be lost: all but nothing, and what we have left ourselves."""
    if standing.kind is Kind.UNFINISHED:
        return standing.system_identifier != system_identifier
    return standing.kind is Kind.DATABASE


def admit(directory: Path, system_identifier: int, consent: Consent) -> Standing:
    """What is in `directory`; OpsError unless a restore of the database `system_identifier` may write there."""
    standing = look(directory)
    if pid := running_in(directory):
        raise OpsError(
            f"{directory} is not empty: a server runs in it (process {pid}); nothing was written",
            hint="Restore into another directory, or stop that server first.",
        )
    if not needs_confirmation(standing, system_identifier):
        return standing
    if not consent.delta:
        raise OpsError(
            f"{directory} is not empty; nothing was written",
            detail=_describe(standing, system_identifier),
            hint="Name a directory that is empty or does not exist yet. Or restore over it: --delta.",
        )
    if not consent.confirmed:
        raise OpsError(
            f"{directory} holds a database that would be lost; nothing was written",
            detail=_describe(standing, system_identifier),
            hint="If it is to be lost, say so with the cluster's name: --delta --confirm CLUSTER",
        )
    return standing


def _describe(standing: Standing, system_identifier: int) -> str:
    if standing.system_identifier is None:
        return "It holds a database without a control file."
    whose = "this" if standing.system_identifier == system_identifier else "another"
    return f"It holds {whose} cluster's database, with the system identifier {standing.system_identifier}."


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Made, if it is not there yet, and ours alone: the kernel lets go of it when we end, however that comes about."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(directory, os.W_OK):
            raise PermissionError(errno.EACCES, "may not write", str(directory))
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except (NotADirectoryError, FileExistsError):
        raise OpsError(f"{directory} is not a directory; nothing was written") from None
    except PermissionError as error:
        raise _closed(directory, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Unreachable(f"another restore into {directory} is under way; nothing was written") from None
    finally:
        os.close(handle)


def _closed(directory: Path, error: PermissionError) -> OpsError:
    return OpsError(
        f"may not write to {error.filename}",
        hint=f"Make {directory} first, empty and owned by the user that PostgreSQL runs as.",
    )


def check_space(directory: Path, files: Collection[File], size: int) -> None:
    """OpsError unless `size` bytes have room, counting what the files take that are there already."""
    there = sum(_size(directory / file.path) for file in files)
    free = shutil.disk_usage(directory).free
    if free + there < size:
        raise OpsError(
            f"{directory} has too little space for the backup",
            detail=f"needed: {(size - there) / 2**30:.1f} GiB, free: {free / 2**30:.1f} GiB",
        )


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def check_tablespaces(directory: Path, spaces: Mapping[str, Path]) -> None:
    """OpsError unless each place is empty, or holds that very tablespace of what is in `directory`; not in it."""
    places = [directory, *spaces.values()]
    for oid, place in spaces.items():
        for other in places:
            if place is not other and (place == other or other in place.parents):
                raise OpsError(f"tablespace {oid} cannot go into {place}", detail=f"It lies in {other}.")
        filled = place.exists() and (not place.is_dir() or any(place.iterdir()))
        if filled and not _leads_to(directory / "pg_tblspc" / oid, place):
            raise OpsError(
                f"{place} is not empty; nothing was written",
                detail=f"It is to be the place of tablespace {oid}, and is not that of the one in {directory}.",
                hint="Name a directory that is empty or does not exist yet.",
            )


def clear(root: Path, contents: Contents, spaces: Mapping[str, Path], major: int) -> None:
    """Remove all that does not belong there. Nothing is removed, or written later, through somebody else's link."""
    directories = {directory.path for directory in contents.directories}
    files = {file.path for file in contents.files} | {PARTIAL}

    def belongs(entry: os.DirEntry[str], path: str) -> bool:
        if entry.is_symlink():
            space = spaces.get(entry.name) if path == f"pg_tblspc/{entry.name}" else None
            return _leads_to(entry, space) if space else path in directories and follows_link(path) and entry.is_dir()
        if entry.is_dir():
            return path in directories
        # A file of several names is also somebody else's: we would write into theirs.
        return path in files and entry.is_file() and entry.stat().st_nlink == 1

    places = {f"pg_tblspc/{oid}" for oid in spaces}
    # What is not of this version is of the one before an upgrade, mostly.
    _clear(root, "", belongs, lambda path, name: path in places and not name.startswith(f"PG_{major}_"))


def _clear(
    root: Path, path: str, belongs: Callable[[os.DirEntry[str], str], bool], spared: Callable[[str, str], bool]
) -> None:
    with os.scandir(root / path) as found:
        for entry in list(found):
            inside = f"{path}/{entry.name}" if path else entry.name
            if spared(path, entry.name):
                continue
            if belongs(entry, inside):
                if entry.is_dir():
                    _clear(root, inside, belongs, spared)
            elif entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry)
            else:
                Path(entry).unlink()


def _leads_to(link: os.PathLike[str], place: Path | None) -> bool:
    try:
        return Path(link).readlink() == place
    except OSError:
        return False
