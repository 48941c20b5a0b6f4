"""What the collectors of a database host read from: this host's own servers, files and timers."""

from __future__ import annotations

from dataclasses import dataclass, field

from ops.config import Config
from ops.errors import UsageError
from ops.exporter import database
from ops.exporter.database import Server
from ops.fleet import Cluster, Fleet
from ops.model.statements import Totals


@dataclass(frozen=True)
class Host:
    """A member of a cluster. `totals` are of its statements, since the exporter began."""

    config: Config
    cluster: Cluster
    postgres: Server
    pgbouncer: Server
    totals: Totals = field(default_factory=Totals)

    def close(self) -> None:
        self.postgres.close()
        self.pgbouncer.close()


def this_host(config: Config, fleet: Fleet, name: str) -> Host:
    """The host of that name. UsageError where the fleet has no such member of the configuration's cluster."""
    cluster = fleet.clusters.get(config.cluster)
    member = cluster.members.get(name) if cluster else None
    if cluster is None or member is None:
        raise UsageError(
            f"{name} is no member of the cluster {config.cluster!r} in the fleet's file",
            detail=f"Its members: {', '.join(cluster.members)}." if cluster else "There is no such cluster in it.",
            hint="`ops exporter host` is for database hosts; the deploy writes /etc/ops/fleet.toml there.",
        )
    return Host(
        config,
        cluster,
        database.postgres(member, fleet.identity),
        database.pgbouncer(member, fleet.identity),
    )
