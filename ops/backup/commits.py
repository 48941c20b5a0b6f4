"""Which moments the archive reaches: the newest commits in its WAL, read by PostgreSQL's own program."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
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


def newest_of(repository: Repository, bin_dir: Path, archive: Archive, reach: Reach) -> Commit | None:
    """The last commit that `reach` comes to without a gap; None where nothing has committed since its backup."""
    with tempfile.TemporaryDirectory(prefix="ops-wal-") as directory:
        return newest_in(repository, bin_dir, Path(directory), backwards(archive, reach.frontier, [reach]))


def backwards(archive: Archive, frontier: Segment, group: list[Reach]) -> Iterable[Segment]:
    """The segments from the frontier back to the end of the oldest backup that reaches it."""
    history = archive.history(group[0].timeline)
    assert history is not None, "reaches() refuses an archive without it"
    first = min(reach.backup.stop_lsn for reach in group)
    last = LSN(frontier.end.position - 1)
    return reversed(list(needed(history, min(first, last), last, archive.segment_size)))


def newest_in(repository: Repository, bin_dir: Path, directory: Path, segments: Iterable[Segment]) -> Commit | None:
    """The last commit of the first of `segments` that has one. Each comes into `directory` while it is read."""
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
