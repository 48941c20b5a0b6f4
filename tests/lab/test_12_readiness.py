"""`ops failover check` on the fleet: ready while it is, and whoever is broken is named, also when he only hangs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ops.lab import drive, faults
from ops.model.failover_checks import ASIDE

from .conftest import MEMBERS, Fleet, wait_until

pytestmark = pytest.mark.lab

WATCHER, ROUTER, CLUSTER = "mon1", "lb1", "pg_main"
Said = set[tuple[str, str, str]]


def check(host: str, *clusters: str) -> tuple[int, dict[str, Any]]:
    """The exit code, and what is said of each cluster."""
    run = drive.run(host, f"ops failover check --json {' '.join(clusters)}")
    document = json.loads(run.stdout)
    return run.returncode, {one["cluster"]: one for one in document["clusters"]}


def said(verdict: dict[str, Any]) -> Said:
    """(verdict, check, subject) of what is not well."""
    return {(one["verdict"], one["check"], one["subject"]) for one in verdict["findings"] if one["verdict"] != "ok"}


def wait_for(expected: int, *findings: tuple[str, str, str]) -> None:
    """Until the check of the cluster exits so and says all of that, on the monitoring host."""

    def look() -> tuple[int, Said]:
        code, found = check(WATCHER, CLUSTER)
        return code, said(found[CLUSTER])

    wait_until(
        f"exit {expected} with {findings or 'nothing that stands in the way'}",
        look,
        until=lambda seen: seen[0] == expected and set(findings) <= seen[1],
        deadline=60,
    )


@contextmanager
def broken(host: str, command: str, repair: str) -> Iterator[None]:
    """`command` has been run on a host; in the end `repair` is, whatever comes."""
    drive.ask(host, command)
    try:
        yield
    finally:
        drive.ask(host, repair)


@pytest.fixture
def replica(fleet: Fleet) -> str:
    """Any replica of a cluster that is ready."""
    leader = fleet.wait_until_healthy()
    wait_for(0)
    return next(member for member in MEMBERS if member != leader)


def test_a_healthy_fleet_is_ready_by_every_check_that_a_failover_waits_for(fleet: Fleet) -> None:
    fleet.wait_until_healthy()
    wait_for(0)
    code, found = check(WATCHER)
    assert (code, {name: one["verdict"] for name, one in found.items()}) == (0, dict.fromkeys(found, "ready"))
    assert {"pg_main", "redis_cache"} <= set(found)
    for one in found.values():
        assert not [finding for finding in said(one) if finding[1] not in ASIDE], one["cluster"]
    assert (found[CLUSTER]["rpo_bytes"], found[CLUSTER]["rto_seconds"]) == (0, 23.0)


def test_a_database_host_says_the_same_of_its_own_cluster_and_nothing_of_others(replica: str) -> None:
    code, found = check(replica)
    assert (code, list(found), found[CLUSTER]["verdict"]) == (0, [CLUSTER], "ready")
    assert drive.run(replica, "ops failover check redis_cache").returncode == 2


def test_a_replica_that_is_stopped_is_named(replica: str) -> None:
    with broken(replica, "systemctl stop patroni", "systemctl start patroni"):
        wait_for(1, ("failed", "members", replica))
    wait_for(0)


def test_a_replica_that_hangs_is_named_and_nobody_waits_for_it(replica: str) -> None:
    pids = "$(pgrep -u postgres -x postgres)"
    with broken(replica, f"kill -STOP {pids}", f"kill -CONT {pids}"):
        wait_for(1, ("failed", "members", replica))
    wait_for(0)


def test_a_stopped_member_of_etcd_is_a_warning_while_there_is_a_majority(replica: str) -> None:
    with broken(replica, "systemctl stop etcd", "systemctl start etcd"):
        wait_for(0, ("warning", "etcd", replica))
    wait_until("etcd is whole", lambda: not [one for one in said(check(WATCHER)[1][CLUSTER]) if one[1] == "etcd"])


def test_a_router_that_is_cut_off_leaves_the_question_open(replica: str) -> None:
    faults.partition(ROUTER)
    try:
        wait_for(3, ("unknown", "routers", ROUTER))
    finally:
        faults.heal(ROUTER)
    wait_for(0)


def test_a_cluster_that_is_paused_is_not_ready(replica: str) -> None:
    with broken(replica, "patronictl pause --wait", "patronictl resume --wait"):
        wait_for(1, ("failed", "paused", ""))
    wait_for(0)
