"""What the exporter of the fleet makes of what was seen: plain snapshots and holdings in, samples out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ops.errors import OpsError
from ops.exporter.collectors.certificates import CERTIFICATES
from ops.exporter.collectors.etcd import ETCD
from ops.exporter.collectors.of_fleet import FLEET_COLLECTORS
from ops.exporter.collectors.readiness import READINESS
from ops.exporter.collectors.redis import REDIS
from ops.exporter.collectors.routers import ROUTERS
from ops.exporter.collectors.topology import TOPOLOGY
from ops.exporter.metric import Collector
from ops.exporter.reference import markdown
from ops.exporter.runner import run
from ops.exporter.watched import Shared, Sources, Watched
from ops.fleet import Fleet
from ops.model.readiness import (
    Certificate,
    EtcdView,
    RedisServer,
    RedisSnapshot,
    RouterView,
    SentinelView,
    Server,
    Snapshot,
)

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"

FLEET = Fleet.model_validate(
    {
        "site": "test",
        "identity": {"ca_file": "ca", "cert_file": "crt", "key_file": "key"},
        "clusters": {"pg_main": {"members": {name: {"address": f"{name}.site"} for name in ("pg1", "pg2", "pg3")}}},
        "routers": {"lb1": {"address": "lb1"}},
        "redis": {"redis_cache": {"mode": "sentinel", "hosts": ["r1", "r2", "r3"], "password_file": "secret"}},
    }
)
SNAPSHOT = Snapshot(
    cluster="pg_main",
    taken=NOW,
    servers=(
        Server("pg1", True, role="leader", in_recovery=False, writable=True, timeline=3),
        Server("pg2", True, role="quorum_standby", in_recovery=True, writable=False, timeline=3),
        Server("pg3", False, trouble="it does not let us in"),
    ),
    paused=False,
    etcd=EtcdView(("pg1", "pg2", "pg3"), ("pg1", "pg2"), 0.01),
    routers=(RouterView("lb1", ("pg1",), ("pg2",)), RouterView("lb2", None, None, "no answer")),
    certificates=(
        Certificate("postgres", "pg1.site:5432", LATER),
        Certificate("postgres", "pg3.site:5432", None, "refused"),
    ),
)
REDIS_SNAPSHOT = RedisSnapshot(
    cluster="redis_cache",
    taken=NOW,
    mode="sentinel",
    servers=(
        RedisServer("r1", True, is_master=True),
        RedisServer("r2", True, is_master=False, link_up=True),
        RedisServer("r3", False),
    ),
    sentinels=(
        SentinelView("r1", True, master="r1", quorum=True),
        SentinelView("r2", True, master="r1", quorum=True),
        SentinelView("r3", True, master="r3", quorum=False),
    ),
)


def collected(
    collector: Collector[Watched], seen: Sequence[Any] = (SNAPSHOT, REDIS_SNAPSHOT), name: str = ""
) -> dict[tuple[str, ...], float]:
    """Values by name and labels; the collector has to succeed."""
    sources = Sources(FLEET)
    sources.snapshots = Shared(lambda: list(seen), 60)
    outcome = run(lambda: collector.read(Watched(sources, name)))
    assert outcome.trouble == ""
    return {(sample.metric.name, *sample.labels): sample.value for sample in outcome.samples}


def test_topology_counts_whom_it_can_reach_and_who_accepts_writes() -> None:
    assert collected(TOPOLOGY, name="pg_main") == {
        ("ops_cluster_members", "pg_main"): 3,
        ("ops_cluster_members_reachable", "pg_main"): 2,
        ("ops_cluster_primaries", "pg_main"): 1,
        ("ops_cluster_leader", "pg_main", "pg1"): 1,
        ("ops_cluster_paused", "pg_main"): 0,
        ("ops_cluster_timeline", "pg_main"): 3,
        ("ops_router_agrees", "pg_main", "lb1"): 1,
    }


def test_a_second_server_that_accepts_writes_is_counted_whoever_leads() -> None:
    second = replace(SNAPSHOT.servers[1], in_recovery=False, writable=True)
    found = collected(TOPOLOGY, [replace(SNAPSHOT, servers=(SNAPSHOT.servers[0], second))], "pg_main")
    assert found["ops_cluster_primaries", "pg_main"] == 2


def test_a_router_that_sends_writes_elsewhere_too_does_not_agree() -> None:
    router = RouterView("lb1", ("pg1", "pg2"), ())
    found = collected(TOPOLOGY, [replace(SNAPSHOT, routers=(router,))], "pg_main")
    assert found["ops_router_agrees", "pg_main", "lb1"] == 0


def test_what_nobody_could_say_is_absent_and_the_collector_has_failed() -> None:
    sources = Sources(FLEET)
    blind = Snapshot("pg_main", NOW, tuple(Server(name, False) for name in ("pg1", "pg2", "pg3")), trouble="no Patroni")
    sources.snapshots = Shared(lambda: [blind], 60)
    outcome = run(lambda: TOPOLOGY.read(Watched(sources, "pg_main")))
    assert outcome.trouble == "no Patroni"
    names = {sample.metric.name for sample in outcome.samples}
    assert names == {"ops_cluster_members", "ops_cluster_members_reachable", "ops_cluster_primaries"}


def test_etcd_and_routers_are_told_once_for_all_clusters() -> None:
    both = [SNAPSHOT, replace(SNAPSHOT, cluster="pg_other")]
    assert collected(ETCD, both) == {
        ("ops_etcd_members",): 3,
        ("ops_etcd_members_healthy",): 2,
        ("ops_etcd_read_seconds",): 0.01,
    }
    assert collected(ROUTERS, both) == {("ops_router_up", "lb1"): 1, ("ops_router_up", "lb2"): 0}


def test_certificates_bear_the_name_of_their_host() -> None:
    assert collected(CERTIFICATES) == {
        ("ops_certificate_expiry_timestamp_seconds", "postgres", "pg1.site:5432", "pg1"): LATER.timestamp(),
        ("ops_certificate_unreadable", "postgres", "pg3.site:5432", "pg3"): 1,
    }


def test_redis_is_told_as_servers_and_sentinels_see_it() -> None:
    assert collected(REDIS, name="redis_cache") == {
        ("ops_redis_servers", "redis_cache"): 2,
        ("ops_redis_masters", "redis_cache"): 1,
        ("ops_redis_replicas_linked", "redis_cache"): 1,
        ("ops_redis_master", "redis_cache", "r1"): 1,
        ("ops_redis_sentinels", "redis_cache"): 3,
        ("ops_redis_sentinels_agreeing", "redis_cache"): 2,
        ("ops_redis_quorum_ok", "redis_cache"): 1,
    }


def test_redis_without_sentinels_has_no_word_of_them() -> None:
    alone = replace(REDIS_SNAPSHOT, mode="standalone", sentinels=())
    assert not {name for name, *_ in collected(REDIS, [alone], "redis_cache") if "sentinel" in name or "quorum" in name}


def test_readiness_is_absent_where_it_is_unknown_and_0_where_a_check_says_no() -> None:
    found = collected(READINESS, name="pg_main")
    assert found["ops_failover_ready", "pg_main"] == 0
    assert found["ops_failover_finding", "pg_main", "members", "failed"] >= 1
    blind = Snapshot("pg_main", NOW, (), trouble="no Patroni")
    verdicts = {labels[-1] for name, *labels in collected(READINESS, [blind], "pg_main") if name.endswith("finding")}
    assert "ok" not in verdicts


def test_one_look_serves_everybody_until_it_is_too_old() -> None:
    looks = [0]

    def look() -> int:
        looks[0] += 1
        return looks[0]

    shared = Shared(look, 60)
    assert (shared(), shared()) == (1, 1)
    shared = Shared(look, -1)
    assert (shared(), shared()) == (2, 3)


def test_a_look_that_fails_is_not_remembered() -> None:
    outcomes: list[int | OpsError] = [OpsError("no"), 2]

    def look() -> int:
        outcome = outcomes.pop(0)
        if isinstance(outcome, OpsError):
            raise outcome
        return outcome

    shared = Shared(look, 60)
    with pytest.raises(OpsError):
        shared()
    assert shared() == 2


def test_the_reference_says_what_the_collectors_say() -> None:
    assert DOCS.read_text() == markdown(), "write it anew: ops exporter metrics > docs/metrics.md"


def test_every_metric_of_the_fleet_says_which_cluster_or_is_of_all() -> None:
    whole = {"ops_etcd_members", "ops_etcd_members_healthy", "ops_etcd_read_seconds", "ops_router_up"}
    for collector in FLEET_COLLECTORS:
        for metric in collector.metrics:
            named = "cluster" in metric.labels or "instance" in metric.labels
            assert named == (metric.name not in whole), metric.name
