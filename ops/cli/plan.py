"""`ops plan`: what a deploy would do."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from ops.cli.output import emit_json, table
from ops.deploys import plan as plans
from ops.errors import Exit
from ops.lab.paths import DEFAULT_INVENTORY
from ops.model.changes import Plan, in_words
from ops.model.impact import Impact

inventory_argument = click.argument("inventory", type=click.Path(path_type=Path), default=DEFAULT_INVENTORY)
limit_option = click.option("--limit", multiple=True, metavar="NAME", help="Only this host or group; may be repeated.")


@click.command()
@inventory_argument
@limit_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def plan(ctx: click.Context, inventory: Path, limit: tuple[str, ...], as_json: bool) -> None:
    """What a deploy of INVENTORY would do to the running fleet. Nothing is changed.

    INVENTORY is a folder or its hosts.py [default: the lab's]. Each change is marked: no impact, reload, restart,
    switchover (a restart that includes the primary: replicas first, then one switchover) or destructive.

    Exit 0 when the plan was made, 2 for an inventory that has mistakes, 3 when a host could not be looked at.
    """
    found = plans.plan(inventory, limit)
    if as_json:
        emit_json(asdict(found) | {"impacts": found.impacts, "hosts": found.hosts})
    else:
        if found.changes:
            rows = [(in_words(c.impacts), c.service, c.what, " ".join(c.hosts)) for c in found.changes]
            click.echo(table(rows, ["impact", "service", "change", "hosts"]) + "\n")
        click.echo(_sum(found))
        print_failures(found.failures)
        if found.changes:
            click.echo(f"deploy with: {deploy_command(inventory, limit)}")
    ctx.exit(Exit.UNKNOWN if found.failures else Exit.OK)


def deploy_command(inventory: Path, limit: tuple[str, ...] = ()) -> str:
    """What a person types to have it done."""
    file = inventory / "hosts.py" if inventory.is_dir() else inventory
    return " ".join(["pyinfra", short(file), "deploy.py", *(f"--limit {name}" for name in limit)])


def short(path: Path) -> str:
    """From here, where that is not longer."""
    path = path.absolute()
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def print_failures(failures: dict[str, str]) -> None:
    """The hosts that nothing is known of."""
    for host, why in failures.items():
        click.echo(f"could not look at {host}: {why}", err=True)


def _sum(plan: Plan) -> str:
    if not plan.changes:
        return "nothing to do" if not plan.failures else "nothing to do on the hosts that answered"
    count, hosts = len(plan.changes), len(plan.hosts)
    what = f"{count} change{'s' * (count != 1)} on {hosts} host{'s' * (hosts != 1)}"
    destroyed = "something is destroyed" if Impact.DESTRUCTIVE in plan.impacts else "nothing is destroyed"
    return f"{what}: {in_words(plan.impacts) or Impact.NONE}; {destroyed}"
