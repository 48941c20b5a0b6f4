"""Replication slots: what they hold back fills the disk."""

from __future__ import annotations

from collections.abc import Iterator

from ops.exporter.database import query
from ops.exporter.host import Host
from ops.exporter.metric import Collector, Sample, gauge

ACTIVE = gauge("ops_slot_active", "Whether somebody streams from the slot.", "slot")
RETAINED = gauge("ops_slot_retained_bytes", "WAL that is kept for it.", "slot")
SAFE = gauge(
    "ops_slot_safe_bytes", "WAL that may yet be written before the slot is lost; absent without a limit.", "slot"
)


def read(host: Host) -> Iterator[Sample]:
    with host.postgres.kept() as session:
        for row in session.rows(query("slots")):
            yield ACTIVE(row["active"], row["slot"])
            if row["retained"] is not None:
                yield RETAINED(row["retained"], row["slot"])
            if row["safe"] is not None:
                yield SAFE(row["safe"], row["slot"])


SLOTS = Collector("slots", (ACTIVE, RETAINED, SAFE), read)
