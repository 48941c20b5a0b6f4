"""Redis as its servers and the Sentinels tell; memory, persistence and single links are the stock exporter's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ops.exporter.metric import Collector, Sample, gauge
from ops.exporter.watched import Watched
from ops.model.readiness import SentinelView

SERVERS = gauge("ops_redis_servers", "Servers that answer.", "cluster")
MASTERS = gauge("ops_redis_masters", "Servers that say they are master.", "cluster")
LINKED = gauge("ops_redis_replicas_linked", "Replicas that are linked to their master.", "cluster")
MASTER = gauge("ops_redis_master", "Who is master; always 1.", "cluster", "host")
SENTINELS = gauge("ops_redis_sentinels", "Sentinels that answer.", "cluster")
AGREEING = gauge("ops_redis_sentinels_agreeing", "Sentinels that name the same master as most of them.", "cluster")
QUORUM = gauge("ops_redis_quorum_ok", "Whether most Sentinels see enough others to replace the master.", "cluster")


def read(watched: Watched) -> Iterator[Sample]:
    snapshot, name = watched.redis(), watched.name
    reachable = [server for server in snapshot.servers if server.reachable]
    yield SERVERS(len(reachable), name)
    yield MASTERS(sum(server.is_master is True for server in reachable), name)
    yield LINKED(sum(server.is_master is False and server.link_up is True for server in reachable), name)
    for server in reachable:
        if server.is_master:
            yield MASTER(1, name, server.name)
    if snapshot.mode == "sentinel":
        yield from _sentinels(snapshot.sentinels, name)


def _sentinels(views: tuple[SentinelView, ...], name: str) -> Iterator[Sample]:
    named = Counter(view.master for view in views if view.master is not None)
    yield SENTINELS(sum(view.reachable for view in views), name)
    yield AGREEING(max(named.values(), default=0), name)
    yield QUORUM(sum(view.quorum is True for view in views) > len(views) // 2, name)


REDIS = Collector(
    "redis", (SERVERS, MASTERS, LINKED, MASTER, SENTINELS, AGREEING, QUORUM), read, every=10, limit=60, scope="redis"
)
