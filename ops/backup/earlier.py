"""What earlier backups have left in the store, killed ones too, as far as a new backup may refer to it.

A file is adopted unread when its size and time are those that the last backup saw, and the time lies safely before
that backup's start: whatever was written after it looked has a later time, however coarse the clock of the file
system is. The comparison is for equality, so a clock that was set back cannot hide a change. After a promotion, a
recovery or pg_rewind the timeline is another, and on another host the times are: then everything is read, and what
the store has is only not stored again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from ops.backup import catalog
from ops.backup.packer import Packs
from ops.backup.proof import Proven
from ops.errors import OpsError
from ops.model.backup import Backup
from ops.model.blocks import Run, count_blocks
from ops.model.manifest import Contents, File
from ops.model.pack import FOOTER, Entry, PackError, PackRef, index_length, parse_index, parse_tail
from ops.model.pages import segment_of
from ops.model.tombstones import Tombstone
from ops.store.base import NotFound, Stored
from ops.store.codec import Damaged, Foreign
from ops.store.repository import Repository
from ops.wal.ledger import Ledger

# Times of files are as exact as the file system's clock: 10 ms here, 2 s elsewhere. A minute is neither.
MARGIN = timedelta(minutes=1)
# Below this all indexes of the last backup are read, so that blocks are found under another file's name, too:
# 64 GiB of database, 27 MB of indexes.
_READ_ALL = 1 << 19
_READERS = 8


@dataclass(frozen=True)
class Earlier:
    """The newest backup that can be believed, if there is one; `stored` are the sizes of all packs, by id.

    `strays` are packs that were put after that backup was committed: those of killed ones, oldest first.
    """

    backup: Backup | None
    contents: Contents
    stored: Mapping[str, int]
    strays: tuple[str, ...]

    @property
    def usable(self) -> tuple[PackRef, ...]:
        """The packs of the backup that are still there."""
        return tuple(pack for pack in self.contents.packs if self.stored.get(pack.id) == pack.size)


def look(repository: Repository) -> Earlier:
    """What there is, without damaged backups, damaged packs, and those that retention is to remove or finds sparse."""
    unfit = _unfit(repository)
    listing = [found for found in repository.store.list(repository.layout.packs) if _name(found) not in unfit]
    stored = {_name(found): found.size for found in listing}
    for backup_id in reversed(catalog.ids(repository)):
        try:
            manifest = catalog.read(repository, backup_id)
            contents = catalog.contents(repository, manifest)
        except (Damaged, Foreign, NotFound):
            continue
        committed = repository.store.head(repository.layout.manifest(backup_id)).modified
        mine = {pack.id for pack in contents.packs}
        late = [found for found in listing if found.modified >= committed and _name(found) not in mine]
        return Earlier(manifest.backup, contents, stored, _oldest_first(late))
    return Earlier(None, Contents((), (), ()), stored, _oldest_first(listing))


def _unfit(repository: Repository) -> set[str]:
    """The ids of packs that a new backup had better not refer to."""
    verified = Ledger.load(repository, repository.layout.verified).entries
    unfit = {name for name, entry in verified.items() if entry.verdict != "good"}
    newest = max((found.key for found in repository.store.list(repository.layout.tombstones)), default=None)
    if newest:
        with suppress(NotFound):
            unfit |= Tombstone.decode(repository.store.get(newest)).shunned
    return unfit


def _name(found: Stored) -> str:
    return found.key.rpartition("/")[2]


def _oldest_first(packs: list[Stored]) -> tuple[str, ...]:
    return tuple(_name(found) for found in sorted(packs, key=lambda found: (found.modified, found.key)))


@dataclass(frozen=True)
class Reuse:
    """What of `earlier` holds for a new backup: files adopted unread, files to read, and what is known of these."""

    packs: Packs
    adopted: tuple[File, ...]
    to_read: list[File]
    proven: Proven | None


def plan(repository: Repository, earlier: Earlier, files: Sequence[File], *, same_history: bool) -> Reuse:
    """Which of the `files` need not be read, and the blocks that need not be stored.

    `same_history`: the same host and timeline as then, so that the times of files mean something.
    """
    usable = set(earlier.usable)
    whole = {
        file.path: file
        for file in earlier.contents.files
        if all(earlier.contents.packs[run.pack] in usable for run in file.runs)
    }
    until = _until(earlier.backup) if same_history else None
    unread = {file.path for file in files if _unchanged(file, whole.get(file.path), until)}
    to_read = [file for file in files if file.path not in unread]
    wanted = _wanted(earlier, [whole[file.path] for file in to_read if file.path in whole])
    strays = [(name, earlier.stored[name]) for name in earlier.strays]
    indexes = list(_indexes(repository, [pack for pack in wanted if pack in usable], strays))
    blocks = sum(len(entries) for _, entries in indexes)
    packs = Packs(blocks + sum(count_blocks(file.size, _block_size(earlier)) for file in to_read))
    numbers = {pack: packs.adopt(pack) for pack in earlier.usable}
    for pack, entries in indexes:
        packs.know(numbers[pack] if pack in numbers else packs.adopt(pack), entries)
    position = {place: numbers[pack] for place, pack in enumerate(earlier.contents.packs) if pack in numbers}
    ours = {path: replace(file, runs=_numbered(file.runs, position)) for path, file in whole.items()}
    adopted = tuple(replace(file, runs=ours[file.path].runs) for file in files if file.path in unread)
    return Reuse(packs, adopted, to_read, _proven(earlier.backup, ours))


def _until(backup: Backup | None) -> int | None:
    """Files that have not changed since then, in nanoseconds since 1970, have been read as they were."""
    return int((backup.start_time - MARGIN).timestamp() * 10**9) if backup else None


def _unchanged(file: File, before: File | None, until: int | None) -> bool:
    """Relations only: all else is small, and some of it the server keeps open and writes in ways of its own."""
    if before is None or until is None or segment_of(file.path) is None:
        return False
    return (file.size, file.mtime) == (before.size, before.mtime) and file.mtime < until


def _wanted(earlier: Earlier, predecessors: Iterable[File]) -> Sequence[PackRef]:
    """The packs whose blocks may occur in files that are read."""
    packs = earlier.contents.packs
    if sum(pack.blocks for pack in packs) <= _READ_ALL:
        return packs
    numbers = {run.pack for file in predecessors for run in file.runs}
    return [packs[number] for number in sorted(numbers)]


def _indexes(
    repository: Repository, packs: Sequence[PackRef], strays: Sequence[tuple[str, int]]
) -> Iterator[tuple[PackRef, list[Entry]]]:
    """The blocks of packs, in this order; a pack that cannot be believed is passed over: its blocks are stored anew."""

    def ours(pack: PackRef) -> tuple[PackRef, list[Entry]] | None:
        key = repository.layout.pack(pack.id)
        try:
            return pack, parse_tail(repository.store.get(key, offset=-pack.tail), pack)
        except (NotFound, ValueError):
            return None

    def stray(found: tuple[str, int]) -> tuple[PackRef, list[Entry]] | None:
        name, size = found
        key = repository.layout.pack(name)
        try:
            length = index_length(repository.store.get(key, offset=-min(size, FOOTER.size)))
            if length > size:
                raise PackError("the footer does not point to the index")
            return parse_index(name, size, repository.store.get(key, offset=-length - FOOTER.size))
        except (NotFound, ValueError):
            return None

    with ThreadPoolExecutor(_READERS) as pool:
        for index in (*pool.map(ours, packs), *pool.map(stray, strays)):
            if index:
                yield index


def _block_size(earlier: Earlier) -> int:
    return earlier.backup.block_size if earlier.backup else 128 * 1024


def _numbered(runs: tuple[Run, ...], position: Mapping[int, int]) -> tuple[Run, ...]:
    return tuple(Run(position[run.pack], run.first, run.count) for run in runs)


def _proven(backup: Backup | None, files: Mapping[str, File]) -> Proven | None:
    if backup is None or not backup.checked:
        return None
    return Proven({path: file for path, file in files.items() if path not in backup.damaged}, backup.start_lsn)


def missing(repository: Repository, packs: Sequence[PackRef]) -> list[str]:
    """The ids of those packs that are not in the store with their size (any more)."""
    stored = {_name(found): found.size for found in repository.store.list(repository.layout.packs)}
    return [pack.id for pack in packs if stored.get(pack.id) != pack.size]


def check(repository: Repository, packs: Sequence[PackRef]) -> None:
    """OpsError unless all packs that a backup refers to are there: the last look before it is committed."""
    if gone := missing(repository, packs):
        raise OpsError(
            f"{len(gone)} of {len(packs)} packs that the backup refers to are not in {repository.store.name}",
            detail=", ".join(gone[:5]),
            hint="Nothing was stored as a backup. Find out who deletes there, and take it again: what is left is used.",
        )
