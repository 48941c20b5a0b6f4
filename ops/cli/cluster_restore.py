"""`ops cluster restore`: a whole cluster as it was, beside the one that runs; then, on its name, in its place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from ops.backup import beside as restores
from ops.backup import swap as swaps
from ops.cli.host import as_json_flag, begin, configured, identified, repository_of
from ops.cli.output import Shown, Steps, emit_json, pairs, size, table
from ops.cli.restore import parse_target, recovery_command
from ops.config import Config, load
from ops.errors import OpsError, UsageError
from ops.model.target import EXAMPLES

_SHOWN = 20  # tables; all of them are in --json


class Listener(Shown):
    """Stages as steps; how far they are in bytes or in words."""

    def __init__(self, steps: Steps) -> None:
        super().__init__(steps)
        self.note = steps.note


@click.command()
@click.option("--target", "wish", help=f"The moment to go back to: {EXAMPLES}.")
@click.option("--timeline", type=click.IntRange(1), help="Along this timeline instead of the newest.")
@click.option("--look", is_flag=True, help="Restore beside and show the difference; then stop. Needs no root.")
@click.option("--swap", "swap_id", metavar="ID", help="Put in place what an earlier run has restored beside.")
@click.option("--confirm", metavar="CLUSTER", help="The cluster's name, instead of being asked for it.")
@click.option("--wait", type=float, default=900, show_default=True, help="Seconds until the others must be aside.")
@configured
@identified
@as_json_flag
def restore(
    *,
    wish: str | None,
    timeline: int | None,
    look: bool,
    swap_id: str | None,
    confirm: str | None,
    wait: float,
    config_file: Path | None,
    system_identifier: int | None,
    as_json: bool,
) -> None:
    """Bring the whole cluster back to a moment: beside the present one first, in its place when you type its name.

    Run it as root on the member that leads. It restores and replays next to the data directory, shows how that differs
    from what runs, and only then asks. The present data are moved aside on every member and kept; the other members
    become replicas of what was restored.
    """
    if (wish is None) == (swap_id is None):
        raise UsageError("say either --target, to restore beside, or --swap, to put in place what was")
    if look and wish:
        found = _bring_back(wish, timeline, config_file, system_identifier, quiet=False)
        emit_json(found) if as_json else _show(found)
        if not as_json:
            click.echo(f"\nPut it in place, as root on the leader: ops cluster restore --swap {found['id']}")
            click.echo(f"Or remove it: rm -rf {found['directory']}*")
        return
    if os.geteuid() != 0:
        raise UsageError("only root may stop services", hint="Run it as root, or with --look: that changes nothing.")
    config = load(config_file)
    data_dir = restores.data_dir_of(config)
    swaps.refuse_follower(config)
    name = swap_id or _beside_as_user(wish or "", timeline, config_file, system_identifier)
    found = _read(data_dir, name)
    if not as_json:
        _show(found)
    swap = swaps.Swap(config, name, data_dir, Path(found["directory"]), found["system_identifier"])
    _refuse_tablespaces(found)
    others = swaps.check(swap)
    _confirm(config, confirm, found)
    _say_what_others_do(swap, others)
    swaps.run(swap, wait=wait, patience=120, steps=Steps())
    _say_what_is_left(swap, others)
    if as_json:
        emit_json(found)


def _bring_back(
    wish: str, timeline: int | None, config_file: Path | None, system_identifier: int | None, *, quiet: bool
) -> dict[str, Any]:
    target = parse_target(wish)
    config = begin(config_file)
    wanted = restores.Wish(target, timeline, recovery_command(config, config_file))
    repository = repository_of(config, system_identifier)
    return restores.bring_back(config, repository, wanted, Listener(Steps(quiet=quiet))).as_dict()


def _beside_as_user(wish: str, timeline: int | None, config_file: Path | None, system_identifier: int | None) -> str:
    """The id of what was restored beside, by a process of its own: it becomes PostgreSQL's user, and we stay root."""
    ops = str(Path(sys.argv[0]).absolute())
    command = [ops, "cluster", "restore", "--look", "--json", "--target", wish]
    for option, value in (
        ("--timeline", timeline),
        ("--config", config_file),
        ("--system-identifier", system_identifier),
    ):
        command += [option, str(value)] if value is not None else []
    outcome = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if outcome.returncode:
        sys.exit(outcome.returncode)  # it has said why
    return str(json.loads(outcome.stdout)["id"])


def _read(data_dir: Path, name: str) -> dict[str, Any]:
    file = restores.record_of(data_dir, name)
    try:
        found: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"nothing that is known as {name} was restored beside {data_dir}", detail=str(error)) from None
    return found


def _refuse_tablespaces(found: dict[str, Any]) -> None:
    if found["tablespaces"]:
        raise OpsError(
            "this cluster has tablespaces, and they cannot be swapped by themselves; nothing was touched",
            detail=f"They are: {', '.join(found['tablespaces'].values())}.",
            hint=f"Move them aside by hand on every member: {swaps.RUNBOOK}. What was restored stays where it is.",
        )


def _confirm(config: Config, confirm: str | None, found: dict[str, Any]) -> None:
    if confirm is None and sys.stdin.isatty():
        click.echo(f"\nAll that was committed after {found['restored']['moment']} leaves the cluster.", err=True)
        confirm = click.prompt(f"Type the cluster's name ({config.cluster}) to swap", err=True)
    if confirm != config.cluster:
        raise UsageError(
            "the cluster's name was not typed; nothing was touched" if confirm else "nobody has typed the name",
            hint=f"What was restored stays: ops cluster restore --swap {found['id']} --confirm {config.cluster}",
        )


def _say_what_others_do(swap: swaps.Swap, others: list[str]) -> None:
    if others:
        click.echo(f"\nNow on {' and '.join(others)}, as root; this waits:\n\n  {swap.elsewhere}\n", err=True)


def _say_what_is_left(swap: swaps.Swap, others: list[str]) -> None:
    """To stderr, as all that is not a result."""
    back = swap.way_back
    lines = [f"\nNow on {' and '.join(others)}, which become replicas:\n", f"  {swap.come_back}"] if others else []
    lines += [
        "\nThen: ops cluster show; ops cluster apply --check; ops backup create; ops wal gaps",
        f"\nThe data of before are in {swap.before} on every member. The way back, on every member, here last:\n",
        *(f"  {line}" for line in back[:2]),
        "\nthen here, and after it the last line alone on the others:\n",
        *(f"  {line}" for line in back[2:]),
    ]
    click.echo("\n".join(lines), err=True)


def _show(found: dict[str, Any]) -> None:
    """The two sides, and the tables in which they differ, the weightiest first."""
    rows: list[tuple[str, object]] = [
        ("restored", _side(found["restored"], "last commit")),
        ("live", _side(found["live"], "now") if found["live"] else "no server answers here: nothing to compare with"),
        ("backup", found["backup"]),
        ("in", found["directory"]),
    ]
    sides = found["databases"]
    for title, one, other in (("only restored", "restored", "live"), ("only live", "live", "restored")):
        if found["live"] and (names := [name for name in sides[one] if name not in sides[other]]):
            rows.append((f"databases {title}", ", ".join(names)))
    click.echo(pairs(rows))
    changes = found["changes"]
    if changes:
        cells = [
            (one["database"], one["table"], *_cells(one["restored"]), *_cells(one["live"])) for one in changes[:_SHOWN]
        ]
        headers = ("database", "table", "rows restored", "size restored", "rows live", "size live")
        click.echo("\n" + table(cells, headers, right=headers[2:]))
    if found["live"]:
        more = f"; the first {_SHOWN} are shown, --json has all" if len(changes) > _SHOWN else ""
        click.echo(f"\n{len(changes)} tables differ{more}.")


def _side(side: dict[str, Any], what: str) -> str:
    return f"timeline {side['timeline']}, {side['lsn']}, {what} {side['moment'] or 'unknown'}"


def _cells(one: dict[str, Any] | None) -> tuple[str, str]:
    if one is None:
        return "-", "-"
    rows = "?" if one["rows"] is None else f"{'' if one['counted'] else '~'}{one['rows']}"
    return rows, size(one["bytes"])
