"""Which moments the archive reaches: the newest commits in its WAL, read by PostgreSQL's own program."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from ops.errors import Unreachable
from ops.model.continuity import Archive, needed
from ops.model.lsn import LSN
from ops.model.oracle import Commit
from ops.model.plan import Reach
from ops.model.segment import Segment, WalFile
from ops.postgres.programs import newest_commit
from ops.store.repository import Repository
from ops.wal.fetch import fetch
from ops.wal.tail import tail_of


def newest_of(repository: Repository, bin_dir: Path, archive: Archive, group: list[Reach]) -> Commit | None:
    """The last commit that the reaches of `group`, which share a frontier, come to without a gap; the live tail counts.

    None where nothing has committed since the oldest of their backups.
    """
    with tempfile.TemporaryDirectory(prefix="ops-wal-") as name:
        directory = Path(name)
        return _in_tail(repository, bin_dir, directory, archive, group[-1]) or _in_archive(
            repository, bin_dir, directory, _backwards(archive, group[0].frontier, group)
        )


def _backwards(archive: Archive, frontier: Segment, group: list[Reach]) -> Iterable[Segment]:
    """The segments from the frontier back to the end of the oldest backup that reaches it."""
    history = archive.history(group[0].timeline)
    assert history is not None, "reaches() refuses an archive without it"
    first = min(reach.backup.stop_lsn for reach in group)
    last = LSN(frontier.end.position - 1)
    return reversed(list(needed(history, min(first, last), last, archive.segment_size)))


def _in_tail(repository: Repository, bin_dir: Path, directory: Path, archive: Archive, reach: Reach) -> Commit | None:
    """The newest commit that the live tail adds to what is archived; nothing behind a hole."""
    found = None
    for segment, contents in () if reach.holes else _tail(repository, archive, reach):
        file = directory / segment.name
        file.write_bytes(contents)
        try:
            found = newest_commit(bin_dir, file, unfinished=True) or found
        finally:
            file.unlink()
    return found


def _tail(repository: Repository, archive: Archive, reach: Reach) -> Iterator[tuple[Segment, bytes]]:
    """What the live tail has after the frontier: whole segments, and then the one that was being written."""
    history = archive.history(reach.timeline)
    assert history is not None, "reaches() refuses an archive without it"
    following = reach.frontier.end
    while True:
        (segment,) = needed(history, following, following, archive.segment_size)
        file = WalFile.parse(segment.name)
        whole = tail_of(repository, file, whole=True)
        contents = whole or tail_of(repository, file, whole=False)
        if contents is not None:
            yield segment, contents
        if whole is None:
            return
        following = segment.end


def _in_archive(repository: Repository, bin_dir: Path, directory: Path, segments: Iterable[Segment]) -> Commit | None:
    """The last commit of the first of `segments` that has one."""
    for segment in segments:
        file = directory / segment.name
        if not fetch(repository, WalFile.parse(segment.name), file):
            raise Unreachable(f"{repository.store.name} lists {segment.name} and says that it has not got it")
        try:
            commit = newest_commit(bin_dir, file)
        finally:
            file.unlink()
        if commit:
            return commit
    return None
