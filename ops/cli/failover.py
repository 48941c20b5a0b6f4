"""`ops failover`: whether a failover would go well (`check`, on a host), and proof that one did (`drill`, from the
controller)."""

from __future__ import annotations

import click

from ops.cli.lazy import LazyGroup


@click.group(
    cls=LazyGroup,
    elsewhere={
        "check": "ops.cli.failover_check.check",
        "drill": "ops.cli.failover_drill.drill",
    },
)
def failover() -> None:
    """Whether a failover would go well, and proof that one did."""
