"""A document is put together from its sources: who fails, or is late, keeps none of the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ops.errors import Unreachable, UsageError
from ops.fleet import Cluster, Fleet, Identity, Member
from ops.fleet import Redis as Group
from ops.model.readiness import RedisServer, RedisSnapshot, SentinelView, Server, Snapshot
from ops.status import gather as gathering
from ops.status import translate
from ops.status.document import Alerts
from ops.status.gather import Sources, gather
from ops.status.holdings import Holdings
from tests.status_samples import NOW

HERE = Path("/nonexistent")
FLEET = Fleet(
    site="test",
    identity=Identity(ca_file=HERE, cert_file=HERE, key_file=HERE),
    clusters={"pg_main": Cluster(members={"pg1": Member(address="pg1")}, schedules={"backup": "daily"})},
    redis={"cache": Group(mode="sentinel", hosts=["r1", "r2"], master="cache", password_file=HERE)},
    alertmanager="https://mon1:9093",
)
SERVER = Server("pg1", True, role="leader", state="running", timeline=4, lag_bytes=None)


def snapshots(_: Collection[str]) -> list[Snapshot | RedisSnapshot]:
    sentinels = tuple(SentinelView(name, True, master="r1", quorum=True) for name in ("r1", "r2"))
    servers = (RedisServer("r1", True, is_master=True), RedisServer("r2", True, is_master=False, link_up=False))
    return [
        Snapshot("pg_main", NOW, (SERVER,), settings={"synchronous_mode": "quorum"}),
        RedisSnapshot("cache", NOW, "sentinel", servers, sentinels),
    ]


def no_holdings(name: str) -> Holdings:
    raise Unreachable(f"the repository of {name} does not answer", detail="timed out")


def no_alerts() -> Alerts:
    return Alerts(source="Alertmanager on mon1", firing=[], silenced=0, heartbeat=True)


def sources(
    *,
    look: Callable[[Collection[str]], list[Snapshot | RedisSnapshot]] = snapshots,
    alerts: Callable[[], Alerts] = no_alerts,
) -> Sources:
    return Sources(snapshots=look, holdings=no_holdings, alerts=alerts)


def test_what_could_be_read_is_shown_beside_what_could_not() -> None:
    document = gather(FLEET, sources=sources())
    (cluster,) = document.clusters
    assert cluster.topology.value is not None
    assert (cluster.topology.value.leader, cluster.topology.value.timeline) == ("pg1", 4)
    assert cluster.topology.read_at == NOW
    assert cluster.recovery.value is None
    assert cluster.recovery.trouble == "the repository of pg_main does not answer: timed out"
    assert cluster.backups.trouble == cluster.drills.trouble == cluster.recovery.trouble
    redis = document.redis["cache"].value
    assert redis is not None
    assert (redis.masters, redis.agreeing, [one.link for one in redis.servers]) == (["r1"], 2, [None, "down"])
    assert document.alerts is not None
    assert document.alerts.value == no_alerts()


def test_a_mistake_in_one_part_is_one_part_that_is_unknown() -> None:
    def broken(_: Collection[str]) -> list[Snapshot | RedisSnapshot]:
        raise ZeroDivisionError("a mistake of ours")

    document = gather(FLEET, sources=sources(look=broken))
    assert document.clusters[0].topology.trouble == "ZeroDivisionError: a mistake of ours"
    assert document.redis["cache"].trouble == "ZeroDivisionError: a mistake of ours"
    assert document.alerts is not None
    assert document.alerts.value is not None


def test_nobody_waits_for_a_part_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "DEADLINE", 0.2)
    over = threading.Event()

    def hanging() -> Alerts:
        over.wait(60)
        return no_alerts()

    document = gather(FLEET, sources=sources(alerts=hanging))
    over.set()
    assert document.alerts is not None
    assert document.alerts.value is None
    assert document.alerts.trouble.startswith("no answer within")
    assert document.clusters[0].topology.value is not None


def test_only_what_was_named_is_looked_at_and_a_name_that_is_wrong_is_a_mistake() -> None:
    document = gather(FLEET, ["cache"], sources())
    assert (document.clusters, list(document.redis)) == ([], ["cache"])
    with pytest.raises(UsageError, match="did you mean 'pg_main'"):
        gather(FLEET, ["pg_mian"], sources())


def test_a_host_that_knows_of_no_alertmanager_shows_no_alerts() -> None:
    assert gather(FLEET.model_copy(update={"alertmanager": None}), sources=sources()).alerts is None


def test_a_snapshot_of_long_ago_is_stale_and_no_cluster_is_well_by_it() -> None:
    taken = datetime.now(UTC) - timedelta(seconds=translate.LIVE + 5)

    def old(names: Collection[str]) -> list[Snapshot | RedisSnapshot]:
        return [replace(one, taken=taken) for one in snapshots(names)]

    document = gather(FLEET, ["pg_main"], sources(look=old))
    assert document.clusters[0].topology.is_stale(document.taken)
    assert any(problem.what.startswith("members: what is known is") for problem in document.problems)
