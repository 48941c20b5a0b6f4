"""Whether one backup can be taken to a target, as far as that can be known before PostgreSQL has replayed the WAL."""

from __future__ import annotations

from ops.backup import catalog
from ops.errors import OpsError
from ops.model import plan
from ops.model.backup import Backup
from ops.model.plan import Reach
from ops.model.target import AtLsn, AtTime, Latest, Target
from ops.store.repository import Repository
from ops.wal.archive import load_archive


def reach(repository: Repository, backup: Backup, target: Target) -> Reach:
    """How far the archive carries `backup`; OpsError where it cannot carry it to `target`.

    A target that lies behind the end of the archive is not noticed here: recovery fails at it, and says so.
    """
    found = plan.reaches([backup], load_archive(repository))
    if isinstance(found, plan.Refused):
        raise OpsError(found.message, detail=found.detail, hint=found.hint)
    if not found:
        raise OpsError(
            f"backup {backup.id} cannot be recovered",
            detail="It lies on a branch that a failover cut off, or WAL that it needs is not in the store.",
            hint="`ops wal gaps` names what is missing; `ops backup list` shows the other backups.",
        )
    if _too_early(backup, target):
        raise OpsError(
            f"{target} is before the end of backup {backup.id}",
            detail=f"It is consistent from {backup.stop_time.isoformat()}, {backup.stop_lsn} on.",
            hint="Restore an earlier backup: `ops backup list`.",
        )
    if isinstance(target, Latest) and found[0].holes:
        raise OpsError(
            "the newest WAL lies behind a gap in the archive",
            detail=f"Missing: {', '.join(map(str, found[0].holes))}.",
            hint="Look for these segments in pg_wal of every server of the cluster, and push them: ops wal push.\n"
            f"Or restore to a moment before the gap: the WAL is whole up to {found[0].frontier}.",
        )
    return found[0]


def newest_before(repository: Repository, target: Target) -> Backup:
    """The newest backup that can be taken to `target`: the least WAL to replay. OpsError where there is none."""
    backups = catalog.backups(repository)
    found = plan.reaches([one for one in backups if not _too_early(one, target)], load_archive(repository))
    if isinstance(found, plan.Refused):
        raise OpsError(found.message, detail=found.detail, hint=found.hint)
    if found:
        return found[-1].backup
    if not backups:
        return catalog.get(repository, catalog.LATEST)  # which says that there is none
    raise OpsError(
        f"no base backup can be recovered to {target}",
        detail=f"The oldest backup, {backups[0].id}, is consistent from {backups[0].stop_time.isoformat()} on.",
        hint="`ops backup list` shows the others, `ops wal gaps` what WAL is missing.",
    )


def _too_early(backup: Backup, target: Target) -> bool:
    if isinstance(target, AtTime):
        return target.time < backup.stop_time
    return isinstance(target, AtLsn) and target.lsn < backup.stop_lsn
