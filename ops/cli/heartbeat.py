"""`ops heartbeat`: the row a second that restore drills are measured by."""

from __future__ import annotations

import platform
from contextlib import closing
from pathlib import Path

import click

from ops.cli.host import begin, configured
from ops.postgres import heartbeat as beats


@click.group()
def heartbeat() -> None:
    """The row a second that restore drills are measured by."""


@heartbeat.command()
@configured
def run(config_file: Path | None) -> None:
    """Write a row into ops.heartbeat at the start of every second, as long as this server is the primary.

    For systemd, on every PostgreSQL host: where the server is a replica or down, it waits. Says only what changes.
    """
    config = begin(config_file)
    with closing(beats.Heartbeat(config.postgres, platform.node())) as writer:
        beats.run(writer, lambda state: click.echo(f"heartbeat: {state}", err=True))
