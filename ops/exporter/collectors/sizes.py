"""Size of each database: PostgreSQL asks the file system about every file."""

from __future__ import annotations

from collections.abc import Iterator

from ops.exporter.database import query
from ops.exporter.host import Host
from ops.exporter.metric import Collector, Sample, gauge

SIZE = gauge("ops_database_size_bytes", "Size on disk, indexes and all.", "database")


def read(host: Host) -> Iterator[Sample]:
    with host.postgres.other() as session:
        for row in session.rows(query("sizes"), seconds=30):
            yield SIZE(row["size"], row["database"])


SIZES = Collector("sizes", (SIZE,), read, every=300, limit=120)
