"""What can be recovered right now, read from the store alone: which backups, how far, up to which commit."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from ops.backup import catalog
from ops.backup.commits import newest_of
from ops.model.plan import Reach, Refused, reaches, with_commits
from ops.model.segment import Segment
from ops.store.repository import Repository
from ops.wal.archive import load_archive


def survey(repository: Repository, bin_dir: Path) -> list[Reach] | Refused:
    """Every backup that can be restored, and the newest commit that it can be taken to.

    Only listings, and the last segment that is archived or in the live tail, are read.
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
    commits = {frontier: newest_of(repository, bin_dir, archive, group) for frontier, group in sharing.items()}
    return with_commits(found, commits)
