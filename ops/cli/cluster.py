"""`ops cluster`: the PostgreSQL cluster that this host belongs to."""

from __future__ import annotations

from dataclasses import asdict

import click

from ops.cli.host import as_json_flag, begin
from ops.cli.output import Steps, emit_json, size, table
from ops.errors import Exit
from ops.postgres import cluster as clusters


@click.group()
def cluster() -> None:
    """Bring a PostgreSQL cluster to what the inventory declares, and show it."""


@cluster.command()
@as_json_flag
@click.pass_context
def show(ctx: click.Context, as_json: bool) -> None:
    """Who leads, who follows, and how far behind. Exit 1 where a member is not healthy."""
    config = begin(None)
    members = clusters.client(config).members()
    if as_json:
        emit_json({"cluster": config.cluster, "members": [asdict(member) for member in members]})
    else:
        rows = [
            (m.name, m.role, m.state, m.timeline or "", "" if m.is_leader or m.lag is None else size(m.lag))
            for m in members
        ]
        click.echo(table(rows, ["member", "role", "state", "timeline", "lag"], right=["timeline", "lag"]))
    healthy = all(member.is_healthy for member in members) and any(member.is_leader for member in members)
    ctx.exit(Exit.OK if healthy else Exit.NO)


@cluster.command()
@click.option("--check", is_flag=True, help="Only say what is pending: exit 0 for nothing, 1 for something.")
@click.option("--wait", type=float, default=180, show_default=True, help="Seconds to wait until a member leads.")
@as_json_flag
@click.pass_context
def apply(ctx: click.Context, check: bool, wait: float, as_json: bool) -> None:
    """Make roles, databases, extensions, settings and the platform's SQL what /etc/ops/cluster.json says.

    Safe on every member: the one that leads acts, the others only wait until one does.
    """
    config = begin(None)
    if check:
        waiting = clusters.check(config)
        if as_json:
            emit_json({"pending": waiting})
        else:
            click.echo("\n".join(waiting) or "nothing pending")
        ctx.exit(Exit.NO if waiting else Exit.OK)
    steps = Steps(quiet=as_json)
    done: list[str] = []

    def made(what: str) -> None:
        done.append(what)
        steps.say(f"  made    {what}")

    with steps.step("bring the cluster to what is declared"):
        clusters.apply(config, wait=wait, progress=steps.note, made=made)
    if as_json:
        emit_json({"made": done})
