"""What the store tells of a backup beside its manifest: how far recovery gets from it, and when it was verified."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from ops.backup import catalog
from ops.model.backup import Backup
from ops.model.continuity import Start, frontier
from ops.model.ledger import stands
from ops.model.segment import WalFile
from ops.store.repository import Repository
from ops.wal.archive import survey
from ops.wal.ledger import Ledger, seen


@dataclass(frozen=True)
class Window:
    """From its `stop_time` on a backup can be recovered to all of `last`, a segment that the store has since `stored`.

    None where WAL is missing that the backup itself needs.
    """

    last: str | None
    stored: datetime | None


@dataclass(frozen=True)
class Verified:
    """How many of a backup's packs `ops backup verify` found good, and when the one was that it read longest ago."""

    packs: int
    good: int
    oldest: datetime | None

    @property
    def all(self) -> bool:
        return self.good == self.packs


def window(repository: Repository, backup: Backup) -> Window:
    """How far the WAL in the store goes from that backup on, by its names."""
    found = survey(repository)
    last = frontier(found.archive, Start(backup.timeline, backup.start_lsn, backup.stop_lsn))
    if last is None:
        return Window(None, None)
    key = repository.layout.wal(WalFile.parse(last.name)).removeprefix(repository.layout.wal_root)
    return Window(last.name, found.stored[key].modified)


def verified(repository: Repository, backup: Backup) -> Verified:
    """What the ledger of `ops backup verify` says of the packs of that backup, as they are stored now."""
    packs = catalog.contents(repository, catalog.read(repository, backup.id)).packs
    folder = repository.layout.packs
    listing = {found.key.removeprefix(folder): found for found in repository.store.list(folder)}
    entries = Ledger.load(repository, repository.layout.verified).entries
    good = [
        entry.verified
        for pack in packs
        if pack.id in listing
        and (entry := entries.get(pack.id))
        and stands(entry, seen(listing[pack.id]))
        and entry.verdict == "good"
    ]
    oldest = datetime.fromtimestamp(min(good) / 1_000_000, UTC) if good else None
    return Verified(len(packs), len(good), oldest)
