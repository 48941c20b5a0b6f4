"""The archiver's queue, and the room that is left for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ops.exporter.host import Host
from ops.exporter.metric import Collector, Sample, counter, gauge
from ops.wal.archiver.status import status

UP = gauge("ops_wal_archiver_up", "Whether the archiver service answers.")
QUEUE = gauge("ops_wal_queue_segments", "Files that PostgreSQL has not been told to be archived.")
OLDEST = gauge("ops_wal_queue_oldest_timestamp_seconds", "Since when the oldest of them waits; absent where none does.")
ARCHIVED = counter("ops_wal_archived_total", "Files that the archiver service has brought to the store.")
ARCHIVED_BYTES = counter("ops_wal_archived_bytes_total", "Bytes of WAL in them, before compression.")
FAILED = counter("ops_wal_archive_failed_total", "Attempts of the archiver service that failed.")
LAST = gauge("ops_wal_last_archived_timestamp_seconds", "When the archiver service last stored a file.")
USED = gauge("ops_wal_directory_bytes", "Size of the files in pg_wal.")
FREE = gauge("ops_wal_directory_free_bytes", "Free space of the file system that pg_wal is on.")
RATE = gauge("ops_wal_written_bytes_per_second", "Rate at which WAL is written: of ten minutes or an hour, the higher.")
FULL = gauge("ops_wal_directory_full_seconds", "Until that file system is full if nothing is archived from now on.")


def read(host: Host) -> Iterator[Sample]:
    """PostgreSQL's own notes, which need no service, and what the service says."""
    found = status(host.config.wal.socket, host.config.postgres.data_dir)
    yield QUEUE(len(found.waiting))
    if found.oldest is not None:
        yield OLDEST(found.oldest)
    if found.room is not None:
        yield USED(found.room.used)
        yield FREE(found.room.free)
        if found.room.rate is not None:
            yield RATE(found.room.rate)
        if found.room.lasts is not None:
            yield FULL(found.room.lasts)
    yield UP(found.service is not None)
    if found.service is not None:
        yield ARCHIVED(found.service["archived_total"])
        yield ARCHIVED_BYTES(found.service["archived_bytes_total"])
        yield FAILED(found.service["failed_total"])
        if found.service["last_archived_at"]:
            yield LAST(datetime.fromisoformat(found.service["last_archived_at"]))


ARCHIVER = Collector(
    "archiver", (UP, QUEUE, OLDEST, ARCHIVED, ARCHIVED_BYTES, FAILED, LAST, USED, FREE, RATE, FULL), read
)
