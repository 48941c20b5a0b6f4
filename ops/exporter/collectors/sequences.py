"""Sequences that are about to be used up: the next row that needs a number cannot be written."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nlargest

from ops.exporter.database import Row, Session, query
from ops.exporter.host import Host
from ops.exporter.inside import inside_each
from ops.exporter.metric import Collector, Sample, gauge

USED = gauge(
    "ops_sequence_used_ratio", "How much of it is used up: the ten fullest above one half.", "database", "sequence"
)


def read(host: Host) -> Iterator[Sample]:
    fullest = nlargest(10, inside_each(host.postgres, _fullest), key=lambda found: found[1]["used"])
    for database, row in fullest:
        yield USED(row["used"], database, row["sequence"])


def _fullest(session: Session) -> list[Row]:
    """Nothing in a database without the extension pend_monitor, which the deploy makes in those that are declared."""
    (found,) = session.rows(query("sequences_known"))
    return session.rows(query("sequences"), seconds=5) if found["known"] else []


SEQUENCES = Collector("sequences", (USED,), read, every=300, limit=300)
