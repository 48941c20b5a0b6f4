"""Groups of Redis servers: one master, replicas that are linked to it, and Sentinels that agree."""

from __future__ import annotations

from collections.abc import Iterator

from ops.model.failover_checks.surroundings import judge_certificates
from ops.model.failover_checks.words import names
from ops.model.readiness import Finding, RedisSnapshot

SLOTS = 16384


def redis_servers(snapshot: RedisSnapshot) -> Iterator[Finding]:
    """Every server answers."""
    for server in snapshot.servers:
        if server.reachable:
            yield Finding("redis_servers", "ok", "master" if server.is_master else "replica", server.name)
        else:
            hint = "systemctl status redis-server; journalctl -u redis-server (there)"
            summary = f"does not answer: {server.trouble}"
            yield Finding("redis_servers", "failed", summary, server.name, hint, "RedisDown")


def redis_master(snapshot: RedisSnapshot) -> Iterator[Finding]:
    """There is one master, and every Sentinel names it. A cluster has several, and says itself who they are."""
    if snapshot.mode == "cluster":
        return
    masters = [server.name for server in snapshot.servers if server.is_master]
    runbook = "RedisNoMaster"
    if not masters:
        unread = [server.name for server in snapshot.servers if server.is_master is None]
        summary = f"no master; {names(unread)} did not answer" if unread else "no server is a master"
        yield Finding("redis_master", "failed", summary, hint="redis-cli SENTINEL MASTERS (there)", runbook=runbook)
        return
    if len(masters) > 1:
        hint, runbook = "journalctl -u redis-sentinel", "RedisSplitBrain"
        yield Finding("redis_master", "failed", f"{names(masters)} are masters", hint=hint, runbook=runbook)
        return
    others = [view for view in snapshot.sentinels if view.master not in (None, masters[0])]
    for view in others:
        summary, hint = f"names {view.master}, and {masters[0]} is the master", "journalctl -u redis-sentinel (there)"
        yield Finding("redis_master", "failed", summary, view.name, hint, "SentinelNoQuorum")
    if not others:
        yield Finding("redis_master", "ok", "is the master", masters[0])


def redis_replicas(snapshot: RedisSnapshot) -> Iterator[Finding]:
    """Each replica is linked to its master."""
    for server in snapshot.servers:
        if server.is_master is False and not server.link_up:
            hint = "journalctl -u redis-server (there)"
            runbook = "RedisLinkDown"
            yield Finding("redis_replicas", "failed", "has lost its master", server.name, hint, runbook)
        elif server.is_master is False:
            yield Finding("redis_replicas", "ok", "is linked to its master", server.name)


def redis_quorum(snapshot: RedisSnapshot) -> Iterator[Finding]:
    """Every Sentinel answers, and sees enough others to agree on a failover and to authorize it."""
    if snapshot.mode != "sentinel":
        return
    hint, good = "systemctl status redis-sentinel (there)", []
    for view in snapshot.sentinels:
        if not view.reachable:
            summary = f"does not answer: {view.trouble}"
            yield Finding("redis_quorum", "warning", summary, view.name, hint, "SentinelMissing")
        elif view.quorum is None:
            said = view.quorum_says or "did not say"
            yield Finding("redis_quorum", "unknown", said, view.name, hint, "SentinelNoQuorum")
        elif not view.quorum:
            yield Finding("redis_quorum", "failed", view.quorum_says, view.name, hint, "SentinelNoQuorum")
        else:
            good.append(view.name)
    total = len(snapshot.sentinels)
    if len(good) <= total // 2:
        summary = f"{len(good)} of {total} Sentinels could agree on a failover"
        yield Finding("redis_quorum", "failed", summary, hint=hint, runbook="SentinelNoQuorum")
    elif len(good) == total:
        yield Finding("redis_quorum", "ok", f"all {total} Sentinels see enough of each other")


def redis_slots(snapshot: RedisSnapshot) -> Iterator[Finding]:
    """Every slot of a cluster is served, and its master has a replica that could take over."""
    if snapshot.mode != "cluster":
        return
    nodes, runbook = snapshot.nodes, "RedisNoMaster"
    if nodes is None:
        yield Finding("redis_slots", "unknown", "no node told of its cluster", runbook=runbook)
        return
    if nodes.state != "ok" or nodes.slots_ok < SLOTS:
        summary = f"the cluster's state is {nodes.state}: {nodes.slots_ok} of {SLOTS} slots are served"
        yield Finding("redis_slots", "failed", summary, hint="redis-cli CLUSTER NODES (there)", runbook=runbook)
    bare = [shard for shard in nodes.shards if shard.slots and not shard.replicas]
    for shard in bare:
        summary = f"no replica could take over slots {names(shard.slots)}"
        yield Finding("redis_slots", "failed", summary, shard.master, "redis-cli CLUSTER NODES (there)", runbook)
    if nodes.state == "ok" and nodes.slots_ok == SLOTS and not bare:
        yield Finding("redis_slots", "ok", f"all slots are served, by {len(nodes.shards)} masters with replicas")


def redis_certificates(snapshot: RedisSnapshot) -> Iterator[Finding]:
    """No certificate on the wire has expired, or is about to."""
    yield from judge_certificates("redis_certificates", snapshot.certificates, snapshot.taken)
