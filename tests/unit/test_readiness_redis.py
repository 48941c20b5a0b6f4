"""Whether a failover of Redis would go well: one master, linked replicas, Sentinels that agree, a replica per slot."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ops.model.failover_checks import REDIS_CHECKS, judge
from ops.model.readiness import Certificate, RedisCluster, RedisServer, RedisSnapshot, SentinelView, Shard
from ops.readiness.redis import cluster_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def master(name: str = "r1", **changes: Any) -> RedisServer:
    return replace(RedisServer(name, True, is_master=True, offset=5000), **changes)


def replica(name: str, **changes: Any) -> RedisServer:
    return replace(RedisServer(name, True, is_master=False, link_up=True, offset=4900), **changes)


def sentinel(name: str, **changes: Any) -> SentinelView:
    return replace(SentinelView(name, True, "", "r1", True, "", 5.0), **changes)


def group(**changes: Any) -> RedisSnapshot:
    """Three healthy servers, each with a Sentinel."""
    healthy = RedisSnapshot(
        "redis_cache", NOW, "sentinel", (master(), replica("r2"), replica("r3")),
        (sentinel("r1"), sentinel("r2"), sentinel("r3")),
        certificates=(Certificate("redis", "r1:6379", NOW + timedelta(days=60)),),
    )  # fmt: skip
    return replace(healthy, **changes)


def spread(**changes: Any) -> RedisSnapshot:
    """A healthy Redis Cluster."""
    shards = tuple(Shard(f"r{n}", (f"{n}-{n}",), 1) for n in range(3))
    servers = (master("r0"), master("r1"), master("r2"), replica("r3"), replica("r4"), replica("r5"))
    nodes = RedisCluster("ok", 16384, shards)
    return replace(group(mode="cluster", sentinels=(), servers=servers, nodes=nodes), **changes)


def said(snapshot: RedisSnapshot) -> list[tuple[str, str, str]]:
    return [(f.verdict, f.check, f.subject) for f in judge(snapshot).findings if f.verdict != "ok"]


@pytest.mark.parametrize("snapshot", [group(), spread(), group(mode="standalone", servers=(master(),), sentinels=())])
def test_a_healthy_group_is_ready(snapshot: RedisSnapshot) -> None:
    assert (judge(snapshot).verdict, said(snapshot)) == ("ready", [])


def test_what_a_failover_would_cost_is_what_the_closest_replica_lacks_and_how_long_sentinel_waits() -> None:
    verdict = judge(group())
    assert (verdict.rpo_bytes, verdict.rto_seconds) == (100, 7.0)
    unlinked = group(servers=(master(), replica("r2", link_up=False)))
    assert judge(unlinked).rpo_bytes is None


FAULTS: dict[str, tuple[RedisSnapshot, tuple[str, str, str]]] = {
    "a server is away": (
        group(servers=(master(), replica("r2"), RedisServer("r3", False, "refused"))),
        ("failed", "redis_servers", "r3"),
    ),
    "nobody is master": (group(servers=(replica("r2"), replica("r3"))), ("failed", "redis_master", "")),
    "two are masters": (group(servers=(master(), master("r2"), replica("r3"))), ("failed", "redis_master", "")),
    "a Sentinel names another": (
        group(sentinels=(sentinel("r1"), sentinel("r2"), sentinel("r3", master="r2"))),
        ("failed", "redis_master", "r3"),
    ),
    "a replica has lost its master": (
        group(servers=(master(), replica("r2"), replica("r3", link_up=False))), ("failed", "redis_replicas", "r3"),
    ),
    "a Sentinel is away": (
        group(sentinels=(sentinel("r1"), sentinel("r2"), SentinelView("r3", False, "refused"))),
        ("warning", "redis_quorum", "r3"),
    ),
    "most Sentinels are away": (
        group(sentinels=(sentinel("r1"), SentinelView("r2", False), SentinelView("r3", False))),
        ("failed", "redis_quorum", ""),
    ),
    "a Sentinel sees too few others": (
        group(sentinels=(sentinel("r1"), sentinel("r2"), sentinel("r3", quorum=False, quorum_says="NOQUORUM"))),
        ("failed", "redis_quorum", "r3"),
    ),
    "a Sentinel does not say": (
        group(sentinels=(sentinel("r1"), sentinel("r2"), sentinel("r3", quorum=None))),
        ("unknown", "redis_quorum", "r3"),
    ),
    "slots are not served": (spread(nodes=RedisCluster("fail", 10000, ())), ("failed", "redis_slots", "")),
    "slots have no replica": (
        spread(nodes=RedisCluster("ok", 16384, (Shard("r0", ("0-16383",), 0),))), ("failed", "redis_slots", "r0"),
    ),
    "no node tells of its cluster": (spread(nodes=None), ("unknown", "redis_slots", "")),
    "a certificate has expired": (
        group(certificates=(Certificate("redis", "r1:6379", NOW - timedelta(days=1)),)),
        ("failed", "redis_certificates", "redis r1:6379"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_by_its_check_and_with_its_subject(fault: str) -> None:
    snapshot, expected = FAULTS[fault]
    assert expected in said(snapshot)
    assert (judge(snapshot).verdict == "not_ready") == any(verdict == "failed" for verdict, _, _ in said(snapshot))


def test_every_check_was_seen_to_find_something() -> None:
    assert {check for _, (_, check, _) in FAULTS.values()} == {check.__name__ for check in REDIS_CHECKS}


def test_only_replicas_that_are_well_count_for_a_shard() -> None:
    def node(name: str, flags: str, follows: str, slots: list[list[str]], *, connected: bool = True) -> dict[str, Any]:
        return {"node_id": name, "flags": flags, "master_id": follows, "connected": connected, "slots": slots}

    nodes = {
        "10.0.0.1:6379": node("a", "myself,master", "-", [["0", "8191"]]) | {"hostname": "r1"},
        "10.0.0.2:6379": node("b", "master", "-", [["8192", "16383"]]),
        "10.0.0.3:6379": node("c", "slave", "a", []),
        "10.0.0.4:6379": node("d", "slave,fail", "b", []),
        "10.0.0.5:6379": node("e", "slave", "b", [], connected=False),
        "10.0.0.6:6379": node("f", "master", "-", []),
    }
    assert cluster_of("ok", 16384, nodes).shards == (
        Shard("r1", ("0-8191",), 1), Shard("10.0.0.2:6379", ("8192-16383",), 0),
    )  # fmt: skip
