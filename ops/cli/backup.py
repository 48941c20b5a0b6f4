"""`ops backup`: take base backups, look after them, and bring them back."""

from __future__ import annotations

import click

from ops.cli.lazy import LazyGroup


@click.group(
    cls=LazyGroup,
    elsewhere={
        "clone": "ops.cli.clone.clone",
        "create": "ops.cli.backups.create",
        "expire": "ops.cli.expire.expire",
        "list": "ops.cli.backups.list_command",
        "restore": "ops.cli.restore.restore",
        "schedule": "ops.cli.schedule.schedule",
        "show": "ops.cli.backups.show",
        "verify": "ops.cli.verify.verify",
    },
)
def backup() -> None:
    """Take, list and restore base backups."""
