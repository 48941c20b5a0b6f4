"""`ops cluster`, but for `restore` and `remove`: what the cluster is, and is to be."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

import click

from ops.cli.host import as_json_flag, begin
from ops.cli.output import Steps, emit_json, seconds, size, table
from ops.errors import Exit, UsageError
from ops.postgres import cluster as clusters
from ops.postgres import declared as declared_objects
from ops.postgres import drift as drifts
from ops.postgres import rolling
from ops.postgres import switchover as switchovers
from ops.postgres.declared import Difference


@click.command()
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


@click.command()
@click.option("--check", is_flag=True, help="Only say what is pending: exit 0 for nothing, 1 for something.")
@click.option(
    "--declared",
    type=click.Path(path_type=Path),
    help="With --check: another declaration than /etc/ops/cluster.json; - for standard input.",
)
@click.option("--allow-drop", multiple=True, metavar="NAME", help="Drop what is no longer declared, by name.")
@click.option("--wait", type=float, default=180, show_default=True, help="Seconds to wait until a member leads.")
@as_json_flag
@click.pass_context
def apply(
    ctx: click.Context, *, check: bool, declared: Path | None, allow_drop: tuple[str, ...], wait: float, as_json: bool
) -> None:
    """Make roles, databases, extensions, settings and the platform's SQL what /etc/ops/cluster.json says.

    Safe on every member: the one that leads acts, the others only wait until one does. What is no longer declared is
    kept, and listed by --check, until it is named with --allow-drop.
    """
    config = begin(None)
    if check:
        _show_pending(ctx, clusters.check(config, declared, allow_drop), as_json=as_json)
    if declared:
        raise UsageError("--declared is for --check: what is applied is what the deploy has written")
    steps = Steps(quiet=as_json)
    done: list[str] = []

    def made(what: str) -> None:
        done.append(what)
        steps.say(f"  made    {what}")

    with steps.step("bring the cluster to what is declared"):
        clusters.apply(config, wait=wait, allow_drop=allow_drop, progress=steps.note, made=made)
    if as_json:
        emit_json({"made": done})


def _show_pending(ctx: click.Context, found: clusters.Checked, *, as_json: bool) -> NoReturn:
    if as_json:
        emit_json({"pending": [asdict(difference) for difference in found.pending], "kept": found.kept})
    else:
        click.echo(_in_words(found.pending))
        for what in found.kept:
            click.echo(f"no longer declared, kept: {what}  (--allow-drop {what.split()[1]})")
    ctx.exit(Exit.NO if found.pending else Exit.OK)


def _in_words(pending: list[Difference]) -> str:
    rows = [(", ".join(difference.impacts), difference.what) for difference in pending]
    return table(rows, ["impact", "what"]) if rows else "nothing pending"


@click.command()
@click.option("--check", is_flag=True, help="Only say who is due: exit 0 for nobody, 1 for somebody.")
@click.option("--allow-interruption", is_flag=True, help="Restart the only member of a cluster: nobody can take over.")
@click.option("--wait", type=float, default=120, show_default=True, help="Seconds that one step may take to settle.")
@as_json_flag
@click.pass_context
def restart(ctx: click.Context, *, check: bool, allow_interruption: bool, wait: float, as_json: bool) -> None:
    """Restart the members that are due for it: for a setting, or for new programs. Does nothing where nobody is.

    Replicas first, one at a time; then one switchover, which restarts the old primary. Stops at the first step that
    does not come to a good end; run again, it goes on from there. Can be run on any member.
    """
    config = begin(None)
    patroni = clusters.client(config)
    if check:
        due = rolling.pending(config, patroni)
        if as_json:
            emit_json({"pending": [asdict(difference) for difference in due]})
        else:
            click.echo(_in_words(due))
        ctx.exit(Exit.NO if due else Exit.OK)
    steps = Steps(quiet=as_json)

    def made(what: str) -> None:
        steps.say(f"  made    {what}")

    with steps.step("restart who is due"):
        done = rolling.Rolling(config, patroni, wait, allow_interruption, made, steps.note).run()
    if as_json:
        emit_json({"made": done})


@click.command()
@click.argument("member", required=False)
@click.option("--wait", type=float, default=60, show_default=True, help="Seconds until the old primary must follow.")
@as_json_flag
def switchover(member: str | None, wait: float, as_json: bool) -> None:
    """Let MEMBER lead, or the best replica. Refused, with everybody's state, where nobody healthy can take over.

    Returns when the new primary writes and all others stream from it. Can be run on any member.
    """
    config = begin(None)
    steps = Steps(quiet=as_json)
    with steps.step("switchover"):
        made = switchovers.switchover(config, clusters.client(config), member, wait=wait, note=steps.note)
    if as_json:
        emit_json(asdict(made))
    else:
        click.echo(f"{made.new} leads instead of {made.old}: {seconds(made.seconds)} without a primary")


@click.command()
@click.option("--wait", type=float, default=45, show_default=True, help="Seconds, at the most.")
def settle(wait: float) -> None:
    """Wait until PostgreSQL here runs with Patroni's file as it is. What `systemctl reload patroni` ends with."""
    clusters.settle(begin(None), wait)


@click.command()
@as_json_flag
@click.pass_context
def drift(ctx: click.Context, as_json: bool) -> None:
    """Where the server here differs from what is declared, beyond `apply --check`. Exit 1 where it does.

    Reads only. `ops drift`, on the controller, asks every host, and for much more.
    """
    config = begin(None)
    found = drifts.drift(config, clusters.client(config), declared_objects.load())
    if as_json:
        emit_json({"differences": [asdict(difference) for difference in found]})
    elif found:
        click.echo(table([(difference.what, difference.mend) for difference in found], ["what", "mend it with"]))
    else:
        click.echo("no drift")
    ctx.exit(Exit.NO if found else Exit.OK)
