"""What Patroni promises of synchronous replication. PostgreSQL's own setting shrinks when a standby is gone."""

from __future__ import annotations

from collections.abc import Iterator

from ops.exporter.host import Host
from ops.exporter.metric import Collector, Sample, gauge
from ops.postgres.patroni import Patroni

WANTED = gauge("ops_replication_sync_wanted", "On a primary: members that Patroni promises a commit is on, beside it.")


def read(host: Host) -> Iterator[Sample]:
    """Nothing where no Patroni runs, nor on a replica."""
    if host.config.patroni is None:
        return
    patroni = Patroni(host.config.patroni)
    leads = patroni.own_name() in [member.name for member in patroni.members() if member.is_leader]
    if leads:
        settings = patroni.configuration()
        count = int(settings.get("synchronous_node_count", 1)) if settings.get("synchronous_mode") else 0
        yield WANTED(min(count, len(host.cluster.members) - 1))


PROMISES = Collector("promises", (WANTED,), read, every=15)
