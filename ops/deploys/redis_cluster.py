"""Redis Cluster: members are introduced to each other, slots given out once, and replicas found a master.

Each step reads what the members see at that moment, and does what is missing from it: a new cluster, a member that
comes back without its disk, and a cluster that has failed over are the same case.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra import host, state
from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation

from ops.deploys.operations import Commands
from ops.deploys.redis_facts import OPERATOR, answers, question, wait_until_clear
from ops.deploys.settings.redis import Redis
from ops.model.redis import Server
from ops.model.redis_cluster import (
    Node,
    View,
    Views,
    complaints,
    first_slots,
    former_lives,
    heir,
    master_for,
    orphaned_slots,
    strangers,
    untaken,
)

_IF_NOT = (
    " (if it has a replica: redis-operator -h <replica> CLUSTER FAILOVER TAKEOVER; if it has none, the keys are lost: "
    "CLUSTER FORGET its old id on all others, and CLUSTER ADDSLOTSRANGE on the one that is to own the slots)"
)


class Seen(FactBase[Views]):
    """What every member of a cluster sees of it. A member that does not answer is left out."""

    def command(self, members: tuple[str, ...], port: int) -> str:
        asked = "; ".join(
            f"{question(f'nodes {name}', f'-h {name} -p {port} CLUSTER NODES')}; "
            f"{question(f'info {name}', f'-h {name} -p {port} INFO replication keyspace persistence')}"
            for name in members
        )
        return f"test -x {OPERATOR} && {{ {asked}; }}; true"

    def process(self, output: list[str]) -> Views:
        found = dict(answers(output))
        views = {}
        for what, text in found.items():
            kind, _, name = what.partition(" ")
            info = found.get(f"info {name}", "")
            if kind == "nodes" and "myself" in text and "role:" in info:
                server = Server.parse(info)
                views[name] = View(tuple(map(Node.parse, text.splitlines())), server.keys, server.link_up)
        return views


@dataclass(frozen=True)
class Cluster:
    """A group that is a Redis Cluster, in the eyes of the host `name`."""

    name: str
    group: str
    members: tuple[str, ...]
    redis: Redis

    def views(self) -> Views:
        return host.get_fact(Seen, members=self.members, port=self.redis.port)

    def complaints(self) -> list[str]:
        return complaints(self.members, self.redis.replicas, self.views())

    def leads(self) -> bool:
        views = self.views()
        return self.name in views and heir(self.name, views) is not None

    def hand_over(self) -> str:
        return f"{OPERATOR} -h {heir(self.name, self.views())} CLUSTER FAILOVER"

    def everybody_answers(self) -> list[str]:
        views = self.views()
        return [f"{name} does not answer" for name in self.members if name not in views]

    def acquaintances(self) -> list[str]:
        """Whom this host does not know yet."""
        views = self.views()
        known = {node.id for node in views[self.name].nodes if node.name and "handshake" not in node.flags}
        return [f"{self.name} does not know {other}" for other, v in views.items() if v.myself.id not in known]

    def orphaned_slots(self) -> list[str]:
        return orphaned_slots(self.name, self.views())

    def first_role(self) -> None:
        """A member follows nobody when it starts without any state: by then, a replica must lead in its place."""
        wait_until_clear(
            f"a replica takes over from {self.name}, which has lost its data{_IF_NOT}",
            lambda: untaken(self.name, self.views()),
            deadline=60,
        )


@operation()
def introduced(cluster: Cluster) -> Commands:
    """This member knows all others, and has forgotten who they were before they lost their disk."""
    if not cluster.complaints():
        host.noop("everybody knows everybody")
        return
    if not state.is_executing:
        yield "true"  # shown by a dry run as to be done; what exactly is seen when all servers run
        return
    wait_until_clear("all servers answer", cluster.everybody_answers)
    views = cluster.views()
    for address in strangers(cluster.name, cluster.members, views):
        yield f"{OPERATOR} CLUSTER MEET {address} {cluster.redis.port}"
    wait_until_clear("the members get to know each other", cluster.acquaintances)
    wait_until_clear(f"every slot has an owner that lives{_IF_NOT}", cluster.orphaned_slots, deadline=45)
    for node in former_lives(cluster.name, cluster.views()):
        yield f"{OPERATOR} CLUSTER FORGET {node.id}"


@operation()
def slotted(cluster: Cluster) -> Commands:
    """In a cluster that is being made, this member has its share of the slots."""
    slots = first_slots(cluster.name, cluster.members, cluster.redis.replicas, cluster.views())
    if slots is None:
        host.noop("the slots have owners")
        return
    yield f"{OPERATOR} CLUSTER ADDSLOTSRANGE {slots[0]} {slots[1]}"


@operation()
def replicating(cluster: Cluster) -> Commands:
    """A member that owns nothing replicates the master with the fewest replicas. One after the other."""
    if not cluster.complaints():
        host.noop("every master has its replicas")
        return
    if not state.is_executing:
        yield "true"
        return
    wait_until_clear("the slots have owners", lambda: _unowned(cluster))
    master = master_for(cluster.name, cluster.members, cluster.views())
    if master:
        yield f"{OPERATOR} CLUSTER REPLICATE {master.id}"
        wait_until_clear(f"{cluster.name} is seen to replicate {master.name}", lambda: _unseen(cluster))


def _unowned(cluster: Cluster) -> list[str]:
    return [line for line in cluster.complaints() if "without an owner" in line]


def _unseen(cluster: Cluster) -> list[str]:
    """The members that do not yet take this one for a replica."""
    views = cluster.views()
    me = views[cluster.name].myself
    return [
        f"{other} takes {cluster.name} for a master"
        for other, view in views.items()
        if not any(node.id == me.id and node.master_id for node in view.nodes)
    ]


@operation()
def whole(cluster: Cluster) -> Commands:
    """Every slot has an owner and every master its replicas, in everybody's eyes; otherwise an error, after a while."""
    if not cluster.complaints():
        host.noop("the cluster is whole")
    elif state.is_executing:
        wait_until_clear(f"{cluster.group} is whole", cluster.complaints)
    else:
        yield "true"  # shown by a dry run as to be waited for
