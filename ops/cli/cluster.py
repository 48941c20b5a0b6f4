"""`ops cluster`: the PostgreSQL cluster that this host belongs to."""

from __future__ import annotations

import click

from ops.cli.lazy import LazyGroup

_CLUSTERS = ("apply", "drift", "restart", "settle", "show", "switchover")


@click.group(
    cls=LazyGroup,
    elsewhere={
        **{name: f"ops.cli.clusters.{name}" for name in _CLUSTERS},
        "remove": "ops.cli.members.remove",
        "restore": "ops.cli.cluster_restore.restore",
    },
)
def cluster() -> None:
    """Bring a PostgreSQL cluster to what the inventory declares, and show it."""
