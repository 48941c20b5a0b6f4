"""What can be recovered right now, read from the store alone: which backups, how far, up to which commit."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from ops.backup import catalog
from ops.backup.commits import backwards, newest_in
from ops.model.plan import Reach, Refused, reaches, with_commits
from ops.model.segment import Segment
from ops.store.repository import Repository
from ops.wal.archive import load_archive


def survey(repository: Repository, bin_dir: Path, directory: Path) -> list[Reach] | Refused:
    """Every backup that can be restored, and the newest commit that it can be taken to.

    Only listings, and the last archived segment, which comes into `directory` for as long as it is read.
    """
    # The backups first: a backup that is listed has its WAL in the store, so that the later listing holds it.
    backups = catalog.backups(repository)
    archive = load_archive(repository)
    found = reaches(backups, archive)
    if isinstance(found, Refused):
        return found
    sharing: defaultdict[Segment, list[Reach]] = defaultdict(list)
    for reach in found:
        sharing[reach.frontier].append(reach)
    newest = {
        frontier: newest_in(repository, bin_dir, directory, backwards(archive, frontier, group))
        for frontier, group in sharing.items()
    }
    return with_commits(found, newest)
