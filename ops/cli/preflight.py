"""`ops preflight`: whether a fleet is fit for a deploy."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from ops.cli.output import emit_json
from ops.cli.plan import inventory_argument, limit_option
from ops.deploys import preflight as preflights
from ops.errors import Exit
from ops.model.preflight import Report, in_lines


@click.command()
@inventory_argument
@limit_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def preflight(ctx: click.Context, inventory: Path, limit: tuple[str, ...], as_json: bool) -> None:
    """Whether the fleet of INVENTORY is fit for a deploy. Nothing is changed.

    INVENTORY is a folder or its hosts.py [default: the lab's]. Every deploy begins with this. Looked at are, on all
    hosts: system, memory, disk, clocks, ports, package sources, certificates, and the majority of etcd.

    Exit 0 when it is (there may be warnings), 1 when a deploy would refuse, 3 when a host cannot be reached.
    """
    report = preflights.check(inventory, limit)
    unreachable = any(finding.check == "reachable" for finding in report.findings)
    if as_json:
        emit_json({"findings": [asdict(finding) for finding in report.findings], "left_out": report.left_out})
    else:
        _print(report)
    ctx.exit(Exit.UNKNOWN if unreachable else Exit.NO if report.problems else Exit.OK)


def _print(report: Report) -> None:
    for title, findings in (("problems", report.problems), ("warnings", report.warnings)):
        if findings:
            click.echo("\n".join([f"{title}:", *in_lines(findings), ""]))
    click.echo("not fit for a deploy: it would change nothing" if report.problems else "fit for a deploy")
