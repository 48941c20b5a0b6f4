"""TimescaleDB's packages. What it asks of its cluster is data: ops/deploys/settings/timescaledb.py."""

from __future__ import annotations

from ops.deploys.apt_source import packages_from
from ops.deploys.platform import serves
from ops.deploys.site import Host, section

NAME = "pend-ops-timescaledb"


@section("TimescaleDB packages")
def timescaledb(this: Host) -> None:
    """On every host that runs or restores a cluster with TimescaleDB, before the extension is made or updated in it."""
    cluster = serves(this)
    settings = this.inventory.timescaledb(cluster) if cluster else None
    if settings is None:
        return
    packages_from(NAME, settings.source, settings.packages, settings.version)
