"""`ops exporter host`: what a database host can know of itself."""

from __future__ import annotations

import platform
from contextlib import closing
from pathlib import Path

import click

from ops import fleet
from ops.cli.exporter import endpoint, listening, report, serve
from ops.cli.host import begin, configured
from ops.exporter.build import exporter
from ops.exporter.collectors.of_host import HOST_COLLECTORS
from ops.exporter.host import this_host


@click.command()
@listening
@configured
@click.option("--name", default=platform.node, help="This host, as the fleet's file has it; its own name unless given.")
def host(
    *,
    listen: str,
    certificate: Path,
    key: Path,
    client_ca: Path,
    fleet_file: Path | None,
    config_file: Path | None,
    name: str,
) -> None:
    """Tell of this database host: WAL, PostgreSQL, PgBouncer, schedules. As the user that PostgreSQL runs as."""
    config = begin(config_file)
    with closing(this_host(config, fleet.load(fleet_file), name)) as source:
        serve(
            endpoint(listen, certificate, key, client_ca),
            exporter("host", HOST_COLLECTORS, {"": {"": source}}, report),
        )
