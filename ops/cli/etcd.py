"""`ops etcd`: who keeps the leader lock."""

from __future__ import annotations

import platform
from typing import Any

import click

from ops.cli.host import as_json_flag, begin
from ops.cli.output import Steps, emit_json, table
from ops.errors import Exit
from ops.model.etcd import Member, Membership, removable
from ops.postgres.etcd import Etcd


@click.group()
def etcd() -> None:
    """The members of etcd, where Patroni keeps the leader lock."""


@etcd.command("members")
@as_json_flag
@click.pass_context
def members_command(ctx: click.Context, as_json: bool) -> None:
    """Every member, and whether it answers. Exit 1 where one does not, 3 where there is no majority to ask."""
    client = Etcd.of(begin(None))
    membership = client.membership()
    rows = [_as_dict(one, membership, client.declared) for one in membership.members]
    rows.sort(key=lambda row: str(row["member"]))
    if as_json:
        emit_json({"members": rows})
    else:
        cells = [(row["member"], row["state"], row["id"], "yes" if row["declared"] else "no") for row in rows]
        click.echo(table(cells, ["member", "state", "id", "in the inventory"]))
    ctx.exit(Exit.OK if all(row["state"] == "healthy" for row in rows) else Exit.NO)


@etcd.command()
@click.argument("member")
def remove(member: str) -> None:
    """Take MEMBER off etcd's list of members, for good. Its data are kept, and of no use to anybody.

    Only for a host that is no longer in the inventory's group `etcd`: one that has lost its disk is replaced by the
    deploy. Refused where the others would be left without a majority.
    """
    client = Etcd.of(begin(None))
    steps = Steps()
    with steps.step(f"take {member} off the list"):
        membership = client.membership()
        client.remove(removable(membership, member, client.declared), membership)
    click.echo(f"\nLeft to do, on {member} if it lives: systemctl disable --now etcd")


@etcd.command("step-aside")
@click.argument("event", nargs=-1)
def step_aside(event: tuple[str, ...]) -> None:
    """Let another member lead etcd, where the one on this host does.

    Patroni calls it with EVENT, what has just happened to PostgreSQL here; then it acts only on a new primary. A host
    that is lost takes its etcd along, and a new leader of etcd grants every lock its whole time anew: the loss of a
    primary beside etcd's leader would cost five seconds more.
    """
    if event and "primary" not in event:
        return
    leads = Etcd.of(begin(None)).step_aside(platform.node())
    click.echo(f"{leads.host} leads etcd now" if leads else "nothing to do")


def _as_dict(one: Member, membership: Membership, declared: tuple[str, ...]) -> dict[str, Any]:
    state = "healthy" if one.id in membership.healthy else "does not answer" if one.has_started else "not started yet"
    return {"member": one.host, "state": state, "id": f"{one.id:x}", "declared": one.host in declared}
