"""etcd, which keeps the leader lock of every cluster."""

from __future__ import annotations

from collections.abc import Iterator

from ops.exporter.metric import Collector, Sample, gauge
from ops.exporter.watched import Watched

MEMBERS = gauge("ops_etcd_members", "Members of etcd.")
HEALTHY = gauge("ops_etcd_members_healthy", "Members that answer and know who leads.")
READ = gauge("ops_etcd_read_seconds", "How long a linearizable read takes, where it takes longest.")


def read(watched: Watched) -> Iterator[Sample]:
    """As one of the snapshots has it: there is one etcd for all clusters."""
    views = [snapshot.etcd for snapshot in watched.snapshots() if snapshot.etcd is not None]
    if views:
        view = max(views, key=lambda seen: len(seen.healthy))
        yield MEMBERS(len(view.members))
        yield HEALTHY(len(view.healthy))
        if view.latency is not None:
            yield READ(view.latency)


ETCD = Collector("etcd", (MEMBERS, HEALTHY, READ), read, every=10, limit=60)
