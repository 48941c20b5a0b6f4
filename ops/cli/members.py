"""`ops cluster remove`: a member leaves for good."""

from __future__ import annotations

import os
from dataclasses import asdict

import click

from ops.cli.host import as_json_flag
from ops.cli.output import Steps, emit_json
from ops.config import Config, load
from ops.errors import UsageError
from ops.postgres import removal


@click.command()
@click.argument("member")
@click.option("--wait", type=float, default=90, show_default=True, help="Seconds that each step may take.")
@as_json_flag
def remove(member: str, wait: float, as_json: bool) -> None:
    """Take MEMBER out of this host's cluster: its place in Patroni and its replication slot. Its data are kept.

    On MEMBER's own host, where it lives: Patroni is stopped cleanly and disabled first. On any other member, where it
    is dead. Refused for the leader and for a member that commits wait for. Take it out of hosts.py before.
    """
    if os.geteuid() != 0:
        raise UsageError("only root may stop services", hint="Run it as root (sudo).")
    config = load()
    steps = Steps(quiet=as_json)
    done = removal.remove(config, member, wait=wait, steps=steps)
    if as_json:
        emit_json(asdict(done))
        return
    click.echo(f"\n{member} is no member of {config.cluster} any more; {done.leader} leads. Its slot: {done.slot}.")
    click.echo("\nLeft to do:\n" + "\n".join(f"  - {text}" for text in _left(config, done)))


def _left(config: Config, done: removal.Removed) -> list[str]:
    """What only a person can decide."""
    member = done.member
    left = [f"take {member} out of {config.cluster} in hosts.py, if it is still there, and deploy"]
    if not done.stopped_here:
        left.append(f"should {member} come back: systemctl disable --now patroni ops-heartbeat, on {member}")
    if config.etcd and member in config.etcd.members:
        left.append(f"it is a member of etcd, too: after the deploy, ops etcd remove {member}")
    left.append(f"its data are still in {config.postgres.data_dir} on {member}: remove them when nobody needs them")
    return left
