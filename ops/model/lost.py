"""What damaged base backups cost: the times that no recovery reaches any more. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ops.model.backup import Backup, started_at
from ops.model.continuity import Archive, Start, frontier, missing


@dataclass(frozen=True)
class Loss:
    """A damaged backup. Recovery to times from `since` until `until` (None: on) is lost, unless `instead`, an intact
    earlier backup, gets there with more WAL to replay.
    """

    backup: str
    since: datetime
    until: datetime | None
    instead: str | None

    def as_dict(self) -> dict[str, Any]:
        """The loss as `--json` prints it."""
        return {
            "backup": self.backup,
            "recovery_lost_from": None if self.instead else self.since.isoformat(),
            "recovery_lost_until": self.until.isoformat() if self.until and not self.instead else None,
            "reached_from_backup": self.instead,
        }

    def __str__(self) -> str:
        if self.instead:
            return f"no time is lost: recovery starts from backup {self.instead}, with more WAL to replay"
        end = f"until {_clock(self.until)}, when the next intact backup ended" if self.until else "on"
        return f"no recovery to a time from {_clock(self.since)} {end}"


def losses(damaged: Iterable[str], known: Sequence[Backup], archive: Archive) -> list[Loss]:
    """What each of the `damaged` ids costs. `known` are all backups whose manifest can be read, damaged ones too."""
    bad = set(damaged)
    by_id = {backup.id: backup for backup in known}
    intact = sorted((backup for backup in known if backup.id not in bad), key=lambda backup: backup.stop_lsn)
    return [_loss(name, by_id.get(name), intact, archive) for name in sorted(bad)]


def _loss(name: str, backup: Backup | None, intact: Sequence[Backup], archive: Archive) -> Loss:
    since = backup.stop_time if backup else started_at(name)
    following = next((one for one in intact if one.id > name), None)
    earlier = [one for one in intact if one.id < name and _reaches(one, following, archive)]
    until = following.stop_time if following else None
    return Loss(name, since, until, earlier[-1].id if earlier else None)


def _reaches(backup: Backup, following: Backup | None, archive: Archive) -> bool:
    """Whether the WAL is whole from `backup` to the end of `following`, or to its own end where none follows."""
    start = Start(backup.timeline, backup.start_lsn, backup.stop_lsn)
    if following is None:
        return not missing(archive, start)
    end = frontier(archive, start)
    return end is not None and end.end >= following.stop_lsn


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=' ', timespec='seconds')}Z"
