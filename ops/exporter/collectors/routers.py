"""The routers that clients come through."""

from __future__ import annotations

from collections.abc import Iterator

from ops.exporter.metric import Collector, Sample, gauge
from ops.exporter.watched import Watched

UP = gauge("ops_router_up", "Whether a router tells what it thinks of the servers.", "router")


def read(watched: Watched) -> Iterator[Sample]:
    for snapshot in watched.snapshots():
        for router in snapshot.routers:
            yield UP(router.writes is not None, router.name)


ROUTERS = Collector("routers", (UP,), read, every=10, limit=60)
