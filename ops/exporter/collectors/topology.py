"""Who is there in a cluster, and who leads. What could not be read is left out: silence is no member and no primary."""

from __future__ import annotations

from collections.abc import Iterator

from ops.errors import Unreachable
from ops.exporter.metric import Collector, Sample, gauge
from ops.exporter.watched import Watched

MEMBERS = gauge("ops_cluster_members", "Members, by the inventory.", "cluster")
REACHABLE = gauge("ops_cluster_members_reachable", "Members whose PostgreSQL answers.", "cluster")
PRIMARIES = gauge("ops_cluster_primaries", "Servers that accept writes, of those that answer.", "cluster")
LEADER = gauge("ops_cluster_leader", "Who leads, by Patroni; always 1.", "cluster", "member")
PAUSED = gauge("ops_cluster_paused", "Whether Patroni was told to leave the cluster alone.", "cluster")
TIMELINE = gauge("ops_cluster_timeline", "The leader's timeline.", "cluster")
AGREES = gauge(
    "ops_router_agrees", "Whether a router sends writes to the leader, and nowhere else.", "cluster", "router"
)


def read(watched: Watched) -> Iterator[Sample]:
    snapshot, name = watched.snapshot(), watched.name
    reachable = [server for server in snapshot.servers if server.reachable]
    yield MEMBERS(len(watched.fleet.clusters[name].members), name)
    yield REACHABLE(len(reachable), name)
    yield PRIMARIES(sum(server.writable is True for server in reachable), name)
    if snapshot.paused is not None:
        yield PAUSED(snapshot.paused, name)
    leader = snapshot.leader
    if leader is not None:
        yield LEADER(1, name, leader.name)
        if leader.timeline is not None:
            yield TIMELINE(leader.timeline, name)
        for router in snapshot.routers:
            if router.writes is not None:
                yield AGREES(router.writes == (leader.name,), name, router.name)
    if snapshot.trouble:
        raise Unreachable(snapshot.trouble)


TOPOLOGY = Collector(
    "topology",
    (MEMBERS, REACHABLE, PRIMARIES, LEADER, PAUSED, TIMELINE, AGREES),
    read,
    every=10,
    limit=60,
    scope="cluster",
)
