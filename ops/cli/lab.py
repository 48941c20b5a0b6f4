"""`ops lab`: the local fleet."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import click

from ops.cli.demo import demo
from ops.cli.output import Steps, emit_json, seconds, table
from ops.errors import Exit, OpsError, Unreachable
from ops.lab import fleet, inventory, machine, paths, ssh
from ops.lab.fleet import HostStatus, State
from ops.lab.inventory import LabHost
from ops.lab.paths import DEFAULT_INVENTORY, Lab

inventory_option = click.option(
    "--inventory",
    "inventory_path",
    type=click.Path(path_type=Path),
    default=DEFAULT_INVENTORY,
    help="The inventory that names the hosts. [default: inventories/lab/hosts.py of this checkout]",
)


@click.group()
def lab() -> None:
    """The local fleet: real hosts on this machine, as systemd-nspawn containers.

    Needs root. OPS_LAB_NAME and OPS_LAB_SUBNET make a second lab beside the first.
    """


@lab.command()
@inventory_option
def up(inventory_path: Path) -> None:
    """Boot every host of the inventory; repair what an earlier run left. Disks are kept."""
    the_lab, hosts = _open(inventory_path)
    report, total = _clock()
    fleet.up(the_lab, hosts, report)
    report(f"the lab is up: {len(hosts)} hosts in {total()}; next: ops lab status, ops lab ssh {hosts[0].name}")


@lab.command()
@click.option("--purge", is_flag=True, help="Remove the cached base image and packages too.")
def down(purge: bool) -> None:
    """End every host and remove its disk; leave nothing of the lab behind but the cache."""
    report, total = _clock()
    fleet.down(paths.from_environment(), purge=purge, report=report)
    report(f"the lab is down, in {total()}")


@lab.command()
@inventory_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def status(ctx: click.Context, inventory_path: Path, as_json: bool) -> None:
    """How every host is. Exit code 0 if all run and let us log in, 1 if not, 3 if that cannot be found out."""
    the_lab, hosts = _open(inventory_path)
    found = fleet.status(the_lab, hosts)
    if as_json:
        emit_json({"lab": the_lab.name, "ssh_config": the_lab.ssh_config, "hosts": [_as_dict(one) for one in found]})
    else:
        headers = ("host", "address", "state", "link", "up for", "pid", "groups")
        click.echo(table([_as_row(one) for one in found], headers, right=("up for", "pid")))
    ctx.exit(Exit.OK if all(one.state is State.RUNNING for one in found) else Exit.NO)


@lab.command("ssh", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@inventory_option
@click.argument("host")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh_command(inventory_path: Path, host: str, command: tuple[str, ...]) -> None:
    """Log in to HOST as root, or run COMMAND there. One word is taken as a shell line."""
    the_lab, hosts = _open(inventory_path)
    inventory.find(hosts, host)
    _require_made(the_lab, host)
    command = command[1:] if command[:1] == ("--",) else command
    remote = command if len(command) < 2 else (shlex.join(command),)
    _become(ssh.command(the_lab, host, *remote))


@lab.command()
@inventory_option
@click.argument("host")
@click.option("-f", "--follow", is_flag=True, help="Go on as new lines come.")
@click.option("-n", "--lines", default=1000, show_default=True, help="How many lines to begin with.")
def logs(inventory_path: Path, host: str, follow: bool, lines: int) -> None:
    """The journal of HOST. If it does not let us in: what its console said, and the journal on its disk."""
    the_lab, hosts = _open(inventory_path)
    target = inventory.find(hosts, host)
    _require_made(the_lab, host)
    journal = ["journalctl", "--no-pager", "--output=short-iso", f"--lines={lines}", *(["--follow"] if follow else [])]
    try:
        ssh.login(the_lab, target)
    except Unreachable as error:
        runs = host in machine.running(the_lab)
        click.echo(
            f"{host} {'does not let us in' if runs else 'does not run'} ({error.detail}). Its console:", err=True
        )
        click.echo(machine.last_words(the_lab, host, 20))
        click.echo("Its journal:", err=True)
        _become([*journal, f"--directory={the_lab.journal(host)}"])
    _become(ssh.command(the_lab, host, *journal))


lab.add_command(demo)


def _open(inventory_path: Path) -> tuple[Lab, tuple[LabHost, ...]]:
    the_lab = paths.from_environment()
    return the_lab, inventory.read(the_lab, inventory_path)


def _require_made(the_lab: Lab, host: str) -> None:
    if not the_lab.console(host).exists():
        raise OpsError(f"the host {host} was never booted", hint="run: ops lab up")


def _become(argv: list[str]) -> NoReturn:
    """Turn into another program, so that its terminal, signals and exit code are its own."""
    os.execvp(argv[0], argv)  # noqa: S606 - a list, no shell


def _clock() -> tuple[Callable[[str], None], Callable[[], str]]:
    """A progress report whose lines carry the time since now, and that time in words."""
    start, steps = time.monotonic(), Steps()

    def report(text: str) -> None:
        steps.say(f"  {time.monotonic() - start:6.1f} s  {text}")

    return report, lambda: seconds(time.monotonic() - start)


def _as_row(one: HostStatus) -> tuple[object, ...]:
    uptime = seconds(one.uptime) if one.uptime is not None else ""
    groups = " ".join(one.host.groups)
    return one.host.name, one.host.address, one.state, one.link or "", uptime, one.pid or "", groups


def _as_dict(one: HostStatus) -> dict[str, object]:
    return {
        "host": one.host.name,
        "address": str(one.host.address),
        "groups": list(one.host.groups),
        "state": str(one.state),
        "ssh": one.state is State.RUNNING,
        "link": one.link,
        "pid": one.pid,
        "uptime_seconds": round(one.uptime, 1) if one.uptime is not None else None,
        "seen": one.seen,
    }
