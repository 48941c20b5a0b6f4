"""Whether one backup can be taken to a target, as far as that can be known before PostgreSQL has replayed the WAL."""

from __future__ import annotations

from pathlib import Path

from ops.backup import catalog
from ops.backup.commits import newest_of
from ops.errors import OpsError
from ops.model import plan
from ops.model.backup import Backup
from ops.model.continuity import Archive
from ops.model.oracle import Commit
from ops.model.plan import Reach
from ops.model.target import AtLsn, AtTime, Latest, Target
from ops.store.repository import Repository
from ops.wal.archive import load_archive


def reach(
    repository: Repository,
    backup: Backup,
    target: Target,
    *,
    timeline: int | None = None,
    bin_dir: Path | None = None,
) -> Reach:
    """How far the archive carries `backup` along `timeline`, or the newest; OpsError where not to `target`.

    With `bin_dir`, PostgreSQL's programs say which moments lie before a gap; without, none does. A target behind the
    end of the archive is not noticed here: recovery fails at it, and says so. Nor is a transaction or a name behind a
    gap.
    """
    archive = _along(load_archive(repository), timeline)
    found = plan.reaches([backup], archive)
    if isinstance(found, plan.Refused):
        raise OpsError(found.message, detail=found.detail, hint=found.hint)
    if not found:
        raise OpsError(
            f"backup {backup.id} cannot be recovered" + (f" along timeline {timeline}" if timeline else ""),
            detail="It lies on a branch that a failover cut off, or WAL that it needs is not in the store.",
            hint="`ops wal gaps` names what is missing; `ops backup list` shows the other backups, and --timeline "
            f"{backup.timeline} goes to the end of the branch.",
        )
    if _too_early(backup, target):
        raise OpsError(
            f"{target} is before the end of backup {backup.id}",
            detail=f"It is consistent from {backup.stop_time.isoformat()}, {backup.stop_lsn} on.",
            hint="Restore an earlier backup: `ops backup list`.",
        )
    if found[0].holes:
        _refuse_behind_gap(found[0], target, newest_of(repository, bin_dir, archive, found[:1]) if bin_dir else None)
    return found[0]


def newest_before(repository: Repository, target: Target, *, timeline: int | None = None) -> Backup:
    """The newest backup that can be taken to `target`: the least WAL to replay. OpsError where there is none."""
    backups = catalog.backups(repository)
    archive = _along(load_archive(repository), timeline)
    found = plan.reaches([one for one in backups if not _too_early(one, target)], archive)
    if isinstance(found, plan.Refused):
        raise OpsError(found.message, detail=found.detail, hint=found.hint)
    if found:
        return found[-1].backup
    if not backups:
        return catalog.get(repository, catalog.LATEST)  # which says that there is none
    raise OpsError(
        f"no base backup can be recovered to {target}" + (f" along timeline {timeline}" if timeline else ""),
        detail=f"The oldest backup, {backups[0].id}, is consistent from {backups[0].stop_time.isoformat()} on.",
        hint="`ops backup list` shows the others, `ops wal gaps` what WAL is missing.",
    )


def _along(archive: Archive, timeline: int | None) -> Archive:
    """The archive as if `timeline` were the newest, and all that does not lead to it had never been."""
    if timeline is None:
        return archive
    history = archive.history(timeline)
    known = sorted({1, *archive.segments, *archive.histories})
    if history is None or timeline not in known:
        raise OpsError(
            f"the archive cannot lead along timeline {timeline}",
            detail=f"It has: {', '.join(map(str, known))}.",
            hint="`ops wal list` shows the timelines.",
        )
    kept = {timeline, *(ancestor.timeline for ancestor in history.ancestors)}
    return Archive(
        {number: segments for number, segments in archive.segments.items() if number in kept},
        {number: found for number, found in archive.histories.items() if number in kept},
        archive.segment_size,
    )


def _refuse_behind_gap(found: Reach, target: Target, newest: Commit | None) -> None:
    """OpsError where a recovery to `target` would have to cross the gap."""
    if isinstance(target, AtTime):
        behind = newest is None or target.time >= newest.time
    elif isinstance(target, AtLsn):
        behind = target.lsn >= found.frontier.end
    else:
        behind = isinstance(target, Latest)
    if not behind:
        return
    reachable = f"The WAL is whole up to {found.frontier}"
    if newest:
        reachable += f": any moment before {AtTime(newest.time)} can be reached"
    raise OpsError(
        "the newest WAL lies behind a gap in the archive"
        if isinstance(target, Latest)
        else f"{target} lies behind a gap in the archive",
        detail=f"Missing: {', '.join(map(str, found.holes))}.\n{reachable}.",
        hint="Look for these segments in pg_wal of every server of the cluster, and push them: ops wal push.\n"
        "Or restore to a moment before the gap.",
    )


def _too_early(backup: Backup, target: Target) -> bool:
    if isinstance(target, AtTime):
        return target.time < backup.stop_time
    return isinstance(target, AtLsn) and target.lsn < backup.stop_lsn
