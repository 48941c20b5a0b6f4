"""`ops drill record` and `ops drill failovers`: the evidence of failover drills, kept beside that of restore drills."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TextIO

import click

from ops.cli.host import as_json_flag, begin, chosen, configured, identified, repository_of
from ops.cli.output import emit_json, seconds, table
from ops.drill import records
from ops.errors import UsageError
from ops.model.failover import Report, as_dict, from_dict


@click.command()
@click.argument("report", type=click.File())
@chosen
@identified
@configured
def record(
    *, report: TextIO, repository_name: str | None, system_identifier: int | None, config_file: Path | None
) -> None:
    """Store REPORT, the JSON of a failover drill (- for standard input), as evidence; prints its key.

    The controller calls this at the end of `ops failover drill`.
    """
    try:
        found = from_dict(json.load(report))
    except ValueError as error:
        raise UsageError("that is not the report of a failover drill", detail=str(error)) from None
    config = begin(config_file, found.cluster, repository_name)
    click.echo(records.failovers(repository_of(config, system_identifier)).put(found.id, as_dict(found)))


@click.command("failovers")
@click.option("--last", default=20, show_default=True, type=click.IntRange(1), help="How many, from the newest back.")
@click.option("--cluster", help="Instead of the cluster that the configuration names.")
@chosen
@identified
@configured
@as_json_flag
def list_command(
    *,
    last: int,
    cluster: str | None,
    repository_name: str | None,
    system_identifier: int | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """The last failover drills, oldest first: what each cost, and whether anything was lost."""
    config = begin(config_file, cluster, repository_name)
    found = records.failovers(repository_of(config, system_identifier)).newest(last)
    if as_json:
        emit_json([as_dict(report) for report in found])
    elif not found:
        click.echo("No failover drill yet. Run one on the controller: ops failover drill switchover", err=True)
    else:
        headers = ("id", "fault", "verdict", "write gap", "read gap", "redundancy", "lost", "why")
        click.echo(table([_cells(report) for report in found], headers, right=headers[3:7]))


def _cells(report: Report) -> tuple[object, ...]:
    times = (report.gap("write"), report.gap("read"), report.moments.redundant)
    return (
        report.id,
        report.kind,
        report.verdict,
        *("" if time is None else seconds(time) for time in times),
        "" if report.rows.lost is None else report.rows.lost,
        "; ".join(report.reasons)[:80],
    )
