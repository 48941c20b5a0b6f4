"""What a repository holds of a cluster's WAL: names from one listing, and the contents of the histories."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from ops.errors import OpsError
from ops.model.continuity import Archive
from ops.model.segment import Kind, Segment, WalFile
from ops.model.timeline import History
from ops.store.base import Stored
from ops.store.codec import Damaged, Foreign
from ops.store.repository import Repository


@dataclass(frozen=True)
class Timeline:
    """One timeline's segments in the store: how many, which, how many bytes as stored, when the last one came."""

    number: int
    segments: int
    oldest: Segment
    newest: Segment
    stored_bytes: int
    newest_stored: datetime

    def as_dict(self) -> dict[str, Any]:
        """The summary as `--json` prints it."""
        return asdict(self) | {"oldest": self.oldest.name, "newest": self.newest.name}


@dataclass(frozen=True)
class Survey:
    """The archive, and what a person wants to know of it.

    `stored` are PostgreSQL's files by their key below wal/, `strangers` are keys that no such file has, `unbelievable`
    are the histories that cannot be read as such, and are missing in the archive.
    """

    archive: Archive
    timelines: tuple[Timeline, ...]
    stored: dict[str, Stored]
    strangers: tuple[str, ...]
    unbelievable: tuple[OpsError, ...]


def load_archive(repository: Repository) -> Archive:
    """The archive by name: one listing, and one read for each timeline history; Damaged, Foreign where one is that."""
    found = survey(repository)
    if found.unbelievable:
        raise found.unbelievable[0]
    return found.archive


def survey(repository: Repository) -> Survey:
    """The archive with a summary of each timeline. Raises NotFound where the repository does not exist."""
    size = repository.describe().segment_size
    found: dict[int, list[tuple[Segment, Stored]]] = defaultdict(list)
    histories: dict[int, History] = {}
    stored_files: dict[str, Stored] = {}
    strangers, unbelievable = [], []
    for stored in repository.store.list(repository.layout.wal_root):
        try:
            file = WalFile.parse(stored.key.rpartition("/")[2])
            segment = Segment.parse(file.name, size) if file.kind is Kind.SEGMENT else None
        except ValueError:
            file = None
        if file is None or repository.layout.wal(file) != stored.key:
            strangers.append(stored.key)
            continue
        stored_files[stored.key.removeprefix(repository.layout.wal_root)] = stored
        if segment is not None:
            found[file.timeline].append((segment, stored))
        elif file.kind is Kind.HISTORY:
            try:
                histories[file.timeline] = read_history(repository, file)
            except (Damaged, Foreign) as error:
                unbelievable.append(error)
    segments = {timeline: frozenset(segment.number for segment, _ in entries) for timeline, entries in found.items()}
    timelines = tuple(_summary(timeline, found[timeline]) for timeline in sorted(found))
    return Survey(Archive(segments, histories, size), timelines, stored_files, tuple(strangers), tuple(unbelievable))


def read_history(repository: Repository, file: WalFile) -> History:
    """The history of a timeline, from the store; Damaged where it is not one."""
    blob = repository.store.get(repository.layout.wal(file))
    text = repository.unseal(blob, kind="wal", name=file.name)
    try:
        return History.parse(file.timeline, text.decode())
    except ValueError as error:
        raise Damaged(f"{file.name} in the store is no timeline history", detail=str(error)) from error


def segment_of(key: str, size: int) -> Segment | None:
    """The segment that has this name or key; None for any other file."""
    name = key.rpartition("/")[2]
    try:
        return Segment.parse(name, size) if WalFile.parse(name).kind is Kind.SEGMENT else None
    except ValueError:
        return None


def _summary(timeline: int, entries: list[tuple[Segment, Stored]]) -> Timeline:
    oldest, newest = min(entries, key=_number), max(entries, key=_number)
    return Timeline(
        number=timeline,
        segments=len(entries),
        oldest=oldest[0],
        newest=newest[0],
        stored_bytes=sum(stored.size for _, stored in entries),
        newest_stored=newest[1].modified,
    )


def _number(entry: tuple[Segment, Stored]) -> int:
    return entry[0].number
