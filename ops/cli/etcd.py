"""`ops etcd`: who keeps the leader lock."""

from __future__ import annotations

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


def _as_dict(one: Member, membership: Membership, declared: tuple[str, ...]) -> dict[str, Any]:
    state = "healthy" if one.id in membership.healthy else "does not answer" if one.has_started else "not started yet"
    return {"member": one.host, "state": state, "id": f"{one.id:x}", "declared": one.host in declared}
