"""`ops drift`: where the running fleet differs from what the inventory declares."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from ops.cli.output import emit_json, table
from ops.cli.plan import deploy_command, inventory_argument, limit_option, print_failures
from ops.deploys import drift as drifts
from ops.errors import Exit
from ops.model.drift import Drift


@click.command()
@inventory_argument
@limit_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def drift(ctx: click.Context, inventory: Path, limit: tuple[str, ...], as_json: bool) -> None:
    """Where the fleet of INVENTORY differs from what is declared, and how to mend it. Nothing is changed.

    INVENTORY is a folder or its hosts.py [default: the lab's]. Looked at are all that a deploy would change, and the
    running state: systemd units, Patroni, PostgreSQL's settings, roles, databases and extensions, and every service.

    Exit 0 for none, 1 for drift, 2 for an inventory that has mistakes, 3 when a host could not be asked everything.
    """
    found, deploy = drifts.drift(inventory, limit), deploy_command(inventory, limit)
    if as_json:
        findings = [asdict(finding) | {"mend": finding.mend or deploy} for finding in found.findings]
        emit_json({"findings": findings, "failures": found.failures})
    else:
        if found.findings:
            rows = [(finding.host, finding.what, finding.mend or "deploy") for finding in found.findings]
            click.echo(table(rows, ["host", "difference", "mend"]) + "\n")
        click.echo(_sum(found))
        print_failures(found.failures)
        if any(finding.mend is None for finding in found.findings):
            click.echo(f"deploy with: {deploy}")
    ctx.exit(Exit.UNKNOWN if found.failures else Exit.NO if found.findings else Exit.OK)


def _sum(drift: Drift) -> str:
    count, hosts = len(drift.findings), len(drift.hosts)
    if not count:
        return "no drift" + (" on the hosts that answered" if drift.failures else "")
    return f"{count} difference{'s' * (count != 1)} on {hosts} host{'s' * (hosts != 1)}"
