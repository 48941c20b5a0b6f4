"""Redis Cluster: who owns which slots, who replicates whom, and what is missing from the layout that a group has.

A group of N hosts with R replicas of each key has N / (1 + R) masters. Which hosts they are is read from the cluster;
the first ones of the inventory become masters only where nobody owns any slot yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SLOTS = 16384


@dataclass(frozen=True)
class Node:
    """A node as another one sees it. `name`: the member's, as it announces it. `slots`: how many it owns."""

    id: str
    name: str
    address: str
    master_id: str | None
    flags: frozenset[str]
    link_up: bool
    slots: int

    @property
    def is_gone(self) -> bool:
        return bool(self.flags & {"fail", "noaddr"})

    @classmethod
    def parse(cls, line: str) -> Node:
        """From a line of CLUSTER NODES: id ip:port@cport,name flags master ping pong epoch link slots…"""
        ident, where, flags, master, _ping, _pong, _epoch, link, *slots = line.split()
        address, _, extra = where.partition(",")
        return cls(
            id=ident,
            name=extra.split(",")[0],
            address=address.rpartition(":")[0],
            master_id=None if master == "-" else master,
            flags=frozenset(flags.split(",")),
            link_up=link == "connected",
            slots=sum(_length(part) for part in slots if not part.startswith("[")),
        )


def _length(part: str) -> int:
    first, _, last = part.partition("-")
    return int(last or first) - int(first) + 1


@dataclass(frozen=True)
class View:
    """What one member sees. `link_up`: whether it, as a replica, has its master's data stream."""

    nodes: tuple[Node, ...]
    keys: int
    link_up: bool

    @property
    def myself(self) -> Node:
        return next(node for node in self.nodes if "myself" in node.flags)


Views = Mapping[str, View]


def layout(members: tuple[str, ...], replicas: int) -> dict[str, tuple[int, int]]:
    """The first slots of a new cluster: master -> first and last slot."""
    masters = members[: len(members) // (1 + replicas)]
    edges = [round(SLOTS * number / len(masters)) for number in range(len(masters) + 1)]
    return {name: (edges[number], edges[number + 1] - 1) for number, name in enumerate(masters)}


def is_blank(views: Views, members: tuple[str, ...]) -> bool:
    """Whether this is a cluster yet to be made: everybody answers, and nobody knows of a slot or has a key."""
    return set(views) == set(members) and all(
        not view.keys and not any(node.slots for node in view.nodes) for view in views.values()
    )


def first_slots(name: str, members: tuple[str, ...], replicas: int, views: Views) -> tuple[int, int] | None:
    """The slots that `name` takes in a cluster that is being made, None for none.

    The others may already have taken theirs: what counts is that nobody has a key, and nobody more than its share.
    """
    shares = layout(members, replicas)
    if name not in shares or set(views) != set(members) or views[name].myself.slots:
        return None
    untouched = all(
        not view.keys
        and not view.myself.master_id
        and (other in shares or not view.myself.slots)
        and all(node.name in shares for node in view.nodes if node.slots)
        for other, view in views.items()
    )
    return shares[name] if untouched else None


def strangers(name: str, members: tuple[str, ...], views: Views) -> list[str]:
    """The members that `name` has to be introduced to: their addresses. Each knows its own, announced."""
    known = {node.id for node in views[name].nodes if "handshake" not in node.flags}
    return [
        views[other].myself.address
        for other in members
        if other != name and other in views and views[other].myself.id not in known
    ]


def former_lives(name: str, views: Views) -> list[Node]:
    """The nodes that `name` still knows of members that have lost their disk, and are other nodes since."""
    current = {view.myself.name: view.myself.id for view in views.values()}
    return [node for node in views[name].nodes if current.get(node.name, node.id) != node.id]


def untaken(name: str, views: Views) -> list[str]:
    """What the others still expect of `name`, which is about to start without its data: slots, in words.

    Its replicas would find the empty server at the old address, and empty themselves after it.
    """
    return [
        f"{other} takes {name} for the owner of {node.slots} slots"
        for other, view in views.items()
        for node in view.nodes
        if other != name and node.name == name and node.slots
    ]


def orphaned_slots(name: str, views: Views) -> list[str]:
    """The slots that went with a disk and that no replica has taken over, in words."""
    return [
        f"{node.name} came back without its data, and nobody has taken over its {node.slots} slots"
        for node in former_lives(name, views)
        if node.slots
    ]


def master_for(name: str, members: tuple[str, ...], views: Views) -> Node | None:
    """Whom a member without slots, keys or a master is to replicate: the master with the fewest replicas."""
    view = views[name]
    if view.myself.slots or view.keys or view.myself.master_id:
        return None
    masters = [node for node in view.nodes if node.slots and not node.is_gone]
    followed = [node.master_id for node in view.nodes if not node.is_gone]
    order = {member: number for number, member in enumerate(members)}
    masters.sort(key=lambda node: (followed.count(node.id), order.get(node.name, len(order))))
    return masters[0] if masters else None


def complaints(members: tuple[str, ...], replicas: int, views: Views) -> list[str]:
    """What keeps it from being one healthy cluster of all members, in words; empty where nothing does."""
    found = [f"{name} does not answer" for name in members if name not in views]
    for name, view in views.items():
        me = view.myself
        known = {node.name for node in view.nodes if not node.is_gone and "handshake" not in node.flags}
        found += [f"{name} does not know {other}" for other in members if other not in known]
        found += [f"{name} sees {node.name or node.id} fail" for node in view.nodes if node.flags & {"fail", "fail?"}]
        if len(view.nodes) > len(members):
            found.append(f"{name} knows {len(view.nodes)} nodes; the group has {len(members)}")
        covered = sum(node.slots for node in view.nodes)
        if covered != SLOTS:
            found.append(f"{name} sees {SLOTS - covered} slots without an owner")
        if me.master_id and not view.link_up:
            found.append(f"{name} has lost its link to its master")
        if not me.master_id and not me.slots:
            found.append(f"{name} is neither a replica nor the owner of slots")
        if me.slots and sum(node.master_id == me.id for node in view.nodes) < replicas:
            found.append(f"{name} has fewer than {replicas} replicas")
    return found


def heir(name: str, views: Views) -> str | None:
    """The replica that is to take over from a master: one that has its data stream."""
    me = views[name].myself
    candidates = [other for other, view in views.items() if view.myself.master_id == me.id and view.link_up]
    return min(candidates, default=None)
