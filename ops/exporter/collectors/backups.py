"""A cluster's base backups, and whether what they lie in was read since."""

from __future__ import annotations

from collections.abc import Iterator

from ops.errors import Unreachable
from ops.exporter.metric import Collector, Sample, gauge
from ops.exporter.watched import Watched
from ops.model.backup import Backup
from ops.status.holdings import Packs

COUNT = gauge("ops_backups", "Base backups that are complete in the store.", "cluster")
LAST = gauge("ops_backup_last_timestamp_seconds", "When the newest base backup ended.", "cluster")
SIZE = gauge("ops_backup_last_size_bytes", "Size of the database in the newest base backup.", "cluster")
PREVIOUS = gauge("ops_backup_previous_size_bytes", "Size of the database in the one before.", "cluster")
STORED = gauge("ops_backup_last_stored_bytes", "Size in the store of all that the newest one needs.", "cluster")
DURATION = gauge("ops_backup_last_duration_seconds", "How long the newest base backup took.", "cluster")
VERIFIED = gauge(
    "ops_backup_verified_timestamp_seconds",
    "When the pack was read and proven that waits longest; one that never was counts from when it came.",
    "cluster",
)
DAMAGED = gauge("ops_backup_damaged_packs", "Packs that were read and are damaged.", "cluster")


def read(watched: Watched) -> Iterator[Sample]:
    holdings, name = watched.holdings(), watched.name
    if holdings.backups.seen is not None:
        yield from _backups(holdings.backups.seen.found, name)
    if holdings.packs.seen is not None:
        yield from _packs(holdings.packs.seen, name)
    if trouble := holdings.backups.trouble or holdings.packs.trouble:
        raise Unreachable(trouble)


def _backups(found: tuple[Backup, ...], cluster: str) -> Iterator[Sample]:
    yield COUNT(len(found), cluster)
    if found:
        newest = found[-1]
        yield LAST(newest.stop_time, cluster)
        yield SIZE(newest.size, cluster)
        yield STORED(newest.stored_bytes, cluster)
        yield DURATION((newest.stop_time - newest.start_time).total_seconds(), cluster)
    if len(found) > 1:
        yield PREVIOUS(found[-2].size, cluster)


def _packs(packs: Packs, cluster: str) -> Iterator[Sample]:
    yield DAMAGED(len(packs.damaged), cluster)
    if packs.oldest is not None:
        yield VERIFIED(min(packs.oldest, packs.unread_since or packs.oldest), cluster)


BACKUPS = Collector(
    "backups",
    (COUNT, LAST, SIZE, PREVIOUS, STORED, DURATION, VERIFIED, DAMAGED),
    read,
    every=60,
    limit=300,
    scope="cluster",
)
