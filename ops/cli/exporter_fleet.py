"""`ops exporter fleet`: what only who looks at all hosts can know, and the status page."""

from __future__ import annotations

from pathlib import Path

import click

from ops import fleet as fleets
from ops.cli.exporter import endpoint, listening, report, serve
from ops.exporter.build import exporter
from ops.exporter.collectors.of_fleet import FLEET_COLLECTORS
from ops.exporter.reference import markdown
from ops.exporter.status import StatusPage
from ops.exporter.watched import Sources


@click.command()
@listening
@click.option(
    "--login-file", type=click.Path(path_type=Path), help="Who may see the status page: `ops exporter login`."
)
def fleet(
    *, listen: str, certificate: Path, key: Path, client_ca: Path, fleet_file: Path | None, login_file: Path | None
) -> None:
    """Tell of the fleet: recovery windows, backups, drills, readiness, Redis, certificates; and show its status."""
    sources = Sources(fleets.load(fleet_file))
    serve(
        endpoint(listen, certificate, key, client_ca, login_file),
        exporter("fleet", FLEET_COLLECTORS, sources.by_scope(), report),
        StatusPage(sources) if login_file else None,
    )


@click.command()
def metrics() -> None:
    """Print what every metric of both exporters says, as Markdown: docs/metrics.md."""
    click.echo(markdown(), nl=False)
