"""Whether a failover would go well: a healthy cluster is ready, and each fault is named by the check that is for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.model.failover_checks import ASIDE, CHECKS, judge, verdict_of
from ops.model.failover_checks.servers import AT_LEAST, EQUAL
from ops.model.readiness import (
    Certificate,
    EtcdView,
    Finding,
    Proof,
    RouterView,
    Server,
    Slot,
    Snapshot,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MIB, GIB = 1024**2, 1024**3
ALIKE = dict.fromkeys(AT_LEAST, "100") | dict.fromkeys(EQUAL, "on")
EXTENSIONS = ("amcheck 1.3", "pg_trgm 1.6")


def server(name: str, **changes: Any) -> Server:
    """A healthy replica."""
    healthy = Server(
        name, reachable=True, role="quorum_standby", state="streaming", in_recovery=True, writable=False, timeline=3,
        lsn=1000, lag_bytes=0, streaming=True, sync_state="quorum", settings=ALIKE, libraries=EXTENSIONS,
        can_rewind=True, disk_free=50 * GIB, disk_size=100 * GIB,
    )  # fmt: skip
    return replace(healthy, **changes)


def primary(name: str = "pg1", **changes: Any) -> Server:
    healthy = server(
        name, role="leader", state="running", in_recovery=False, writable=True, lag_bytes=None, streaming=None,
        sync_state=None, slots=(Slot("pg2", True, MIB), Slot("pg3", True, MIB)),
    )  # fmt: skip
    return replace(healthy, **changes)


def cluster(*servers: Server, **changes: Any) -> Snapshot:
    """A healthy cluster of three, or of `servers`."""
    healthy = Snapshot(
        cluster="pg_main",
        taken=NOW,
        servers=servers or (primary(), server("pg2"), server("pg3")),
        paused=False,
        settings={
            "ttl": 20, "loop_wait": 5, "retry_timeout": 5, "primary_start_timeout": 0, "synchronous_mode": "quorum",
            "synchronous_node_count": 1, "maximum_lag_on_failover": 16 * MIB, "postgresql": {"use_pg_rewind": True},
        },
        etcd=EtcdView(("pg1", "pg2", "pg3"), ("pg1", "pg2", "pg3"), 0.004),
        routers=(RouterView("lb1", ("pg1",), ("pg2", "pg3")),),
        certificates=(Certificate("patroni", "pg1:8008", NOW + timedelta(days=60)),),
        proof=Proof(
            NOW - timedelta(seconds=40), NOW - timedelta(hours=3), NOW - timedelta(days=1), True,
            NOW - timedelta(days=9), True,
        ),
        extensions=EXTENSIONS,
    )  # fmt: skip
    return replace(healthy, **changes)


def said(snapshot: Snapshot, check: str = "") -> list[tuple[str, str, str]]:
    """(verdict, check, subject) of what is not ok."""
    found = judge(snapshot).findings
    return [(f.verdict, f.check, f.subject) for f in found if f.verdict != "ok" and check in ("", f.check)]


def test_a_healthy_cluster_is_ready_and_every_check_says_so() -> None:
    verdict = judge(cluster())
    assert verdict.verdict == "ready"
    assert {finding.verdict for finding in verdict.findings} == {"ok"}
    assert {finding.check for finding in verdict.findings} == {check.__name__ for check in CHECKS}
    assert (verdict.rpo_bytes, verdict.rto_seconds) == (0, 23.0)


def test_a_snapshot_of_nothing_is_not_taken_for_health() -> None:
    nothing = Snapshot("pg_main", NOW, (), trouble="no member's Patroni answers", proof=Proof(trouble="no answer"))
    verdict = judge(nothing)
    assert verdict.verdict != "ready"
    assert (verdict.rpo_bytes, verdict.rto_seconds) == (None, None)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_what_could_not_be_read_is_ok_to_no_check(check: Any) -> None:
    dark = Server("pg1", reachable=False, trouble="timed out")
    nothing = Snapshot(
        "pg_main", NOW, (dark,), trouble="no answer", proof=Proof(trouble="no answer"),
        routers=(RouterView("lb1", None, None, "timed out"),),
        certificates=(Certificate("patroni", "pg1:8008", None, "timed out"),),
    )  # fmt: skip
    # pending_restart, streaming and lag are about who answers; `members` fails for the one who does not.
    if check.__name__ in ("rewind", "pending_restart"):
        nothing = replace(nothing, servers=(replace(dark, reachable=True),))
    found = list(check(nothing))
    assert all(finding.verdict != "ok" or check.__name__ == "pending_restart" for finding in found)


# One fault each: how the healthy cluster is changed, and what is said of it.
FAULTS: dict[str, tuple[Snapshot, tuple[str, str, str]]] = {
    "etcd has no majority": (
        cluster(etcd=EtcdView(("a", "b", "c"), ("a",), 0.01, {"b": "refused", "c": "refused"})), ("failed", "etcd", ""),
    ),
    "a member of etcd is away": (
        cluster(etcd=EtcdView(("a", "b", "c"), ("a", "b"), 0.01, {"c": "refused"})), ("warning", "etcd", "c"),
    ),
    "etcd is slow": (cluster(etcd=EtcdView(("a",), ("a",), 0.9)), ("warning", "etcd", "")),
    "etcd is not known": (cluster(etcd=None), ("unknown", "etcd", "")),
    "nobody leads": (cluster(server("pg2"), server("pg3")), ("failed", "leader", "")),
    "two accept writes": (
        cluster(primary(), server("pg2", writable=True), server("pg3")), ("failed", "leader", ""),
    ),
    "the leader is read-only": (
        cluster(primary(writable=False), server("pg2"), server("pg3")), ("failed", "leader", "pg1"),
    ),
    "whether the leader accepts writes is not known": (
        cluster(primary(writable=None), server("pg2"), server("pg3")), ("unknown", "leader", "pg1"),
    ),
    "a replica is stopped": (
        cluster(primary(), server("pg2"), server("pg3", reachable=False, trouble="refused")),
        ("failed", "members", "pg3"),
    ),
    "a replica is being made": (
        cluster(primary(), server("pg2"), server("pg3", state="creating replica")), ("failed", "members", "pg3"),
    ),
    "a Patroni is stopped": (
        cluster(primary(), server("pg2"), server("pg3", api_trouble="refused")), ("failed", "members", "pg3"),
    ),
    "Patroni is paused": (cluster(paused=True), ("failed", "paused", "")),
    "nobody may take over": (
        cluster(primary(), server("pg2", nofailover=True), server("pg3", nofailover=True)),
        ("failed", "candidates", ""),
    ),
    "a replica has lost its primary": (
        cluster(primary(), server("pg2"), server("pg3", streaming=False, lag_seconds=33.0)),
        ("failed", "streaming", "pg3"),
    ),
    "a replica is far behind": (
        cluster(primary(), server("pg2"), server("pg3", lag_bytes=17 * MIB)), ("failed", "lag", "pg3"),
    ),
    "a replica is late": (
        cluster(primary(), server("pg2"), server("pg3", lag_bytes=10, lag_seconds=30.0)), ("warning", "lag", "pg3"),
    ),
    "a replica is very late": (
        cluster(primary(), server("pg2"), server("pg3", lag_bytes=10, lag_seconds=90.0)), ("failed", "lag", "pg3"),
    ),
    "how far a replica is behind is not known": (
        cluster(primary(), server("pg2"), server("pg3", lag_bytes=None)), ("unknown", "lag", "pg3"),
    ),
    "a replica is on another timeline": (
        cluster(primary(), server("pg2"), server("pg3", timeline=2)), ("failed", "timelines", "pg3"),
    ),
    "commits wait for nobody": (
        cluster(settings={"synchronous_mode": False}), ("warning", "synchronous", ""),
    ),
    "too few confirm commits": (
        cluster(primary(), server("pg2", role="replica"), server("pg3", role="replica")),
        ("failed", "synchronous", ""),
    ),
    "the primary counts on others than Patroni": (
        cluster(primary(), server("pg2", sync_state="async"), server("pg3")), ("failed", "synchronous", ""),
    ),
    "a slot has lost its WAL": (
        cluster(primary(slots=(Slot("pg3", False, 0, None, "lost"),)), server("pg2"), server("pg3")),
        ("failed", "slots", "pg3"),
    ),
    "a slot is about to lose its WAL": (
        cluster(primary(slots=(Slot("pg3", True, 9 * GIB, GIB),)), server("pg2"), server("pg3")),
        ("warning", "slots", "pg3"),
    ),
    "a slot holds WAL for nobody": (
        cluster(primary(slots=(Slot("old", False, 5 * GIB),)), server("pg2"), server("pg3")),
        ("warning", "slots", "old"),
    ),
    "a member could not be rewound": (
        cluster(primary(can_rewind=False, rewind_lacks=("hints",)), server("pg2"), server("pg3")),
        ("warning", "rewind", "pg1"),
    ),
    "a replica has less connections": (
        cluster(primary(), server("pg2"), server("pg3", settings=ALIKE | {"max_connections": "50"})),
        ("failed", "settings", "pg3"),
    ),
    "a replica has more connections": (
        cluster(primary(), server("pg2"), server("pg3", settings=ALIKE | {"max_connections": "200"})),
        ("warning", "settings", "pg3"),
    ),
    "a replica preloads other libraries": (
        cluster(primary(), server("pg2"), server("pg3", settings=ALIKE | {"shared_preload_libraries": ""})),
        ("failed", "settings", "pg3"),
    ),
    "a replica lacks a library": (
        cluster(primary(), server("pg2"), server("pg3", libraries=("amcheck 1.3",))), ("failed", "libraries", "pg3"),
    ),
    "a restart is pending": (
        cluster(primary(), server("pg2"), server("pg3", pending_restart=("max_connections",))),
        ("warning", "pending_restart", "pg3"),
    ),
    "a disk is nearly full": (
        cluster(primary(), server("pg2"), server("pg3", disk_free=GIB // 2)), ("failed", "disk", "pg3"),
    ),
    "a disk fills up": (
        cluster(primary(), server("pg2"), server("pg3", disk_free=4 * GIB)), ("warning", "disk", "pg3"),
    ),
    "a router leads writes elsewhere": (
        cluster(routers=(RouterView("lb1", ("pg2",), ("pg3",)),)), ("failed", "routers", "lb1"),
    ),
    "a router leads writes to two": (
        cluster(routers=(RouterView("lb1", ("pg1", "pg2"), ("pg2", "pg3")),)), ("failed", "routers", "lb1"),
    ),
    "a router leaves a replica out": (
        cluster(routers=(RouterView("lb1", ("pg1",), ("pg2",)),)), ("warning", "routers", "lb1"),
    ),
    "a router does not answer": (
        cluster(routers=(RouterView("lb1", None, None, "refused"),)), ("unknown", "routers", "lb1"),
    ),
    "a certificate has expired": (
        cluster(certificates=(Certificate("patroni", "pg1:8008", NOW - timedelta(hours=1)),)),
        ("failed", "certificates", "patroni pg1:8008"),
    ),
    "a certificate is about to expire": (
        cluster(certificates=(Certificate("patroni", "pg1:8008", NOW + timedelta(days=5)),)),
        ("warning", "certificates", "patroni pg1:8008"),
    ),
    "certificates of a host cannot be read": (
        cluster(certificates=tuple(Certificate(what, "pg3:1", None, "refused") for what in ("etcd", "patroni"))),
        ("unknown", "certificates", "pg3"),
    ),
    "archiving has stopped": (
        cluster(proof=replace(cluster().proof, wal_archived=NOW - timedelta(minutes=6))), ("warning", "archive", ""),
    ),
    "there is no backup": (cluster(proof=replace(cluster().proof, backup=None)), ("warning", "backup", "")),
    "the repository does not answer": (
        cluster(proof=Proof(trouble="timed out")), ("unknown", "backup", ""),
    ),
    "a restore drill has failed": (
        cluster(proof=replace(cluster().proof, restore_proven=False)), ("warning", "restore_drill", ""),
    ),
    "no failover was ever drilled": (
        cluster(proof=replace(cluster().proof, failover_drill=None, failover_passed=None)),
        ("warning", "failover_drill", ""),
    ),
    "a drill's outcome is not known": (
        cluster(proof=replace(cluster().proof, failover_passed=None)), ("unknown", "failover_drill", ""),
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_by_its_check_and_with_its_subject(fault: str) -> None:
    snapshot, expected = FAULTS[fault]
    assert expected in said(snapshot)
    verdict, check, _ = expected
    assert judge(snapshot).verdict == {
        "failed": "not_ready", "warning": "ready", "unknown": "ready" if check in ASIDE else "unknown",
    }[verdict]  # fmt: skip


def test_every_check_but_one_was_seen_to_fail_or_to_warn() -> None:
    """`slots` and others cannot be passed by a check that always says ok."""
    named = {check for _, check, _ in (expected for _, expected in FAULTS.values())}
    assert named == {check.__name__ for check in CHECKS}


def test_whatever_is_wrong_comes_with_what_to_do_or_where_to_read_on() -> None:
    for snapshot, _ in FAULTS.values():
        for finding in judge(snapshot).findings:
            assert finding.verdict == "ok" or finding.hint or finding.runbook, finding


def test_names_of_runbooks_are_names_of_files() -> None:
    names = {finding.runbook for snapshot, _ in FAULTS.values() for finding in judge(snapshot).findings}
    assert all(Path(name).name == name and name.isalnum() for name in names - {""})


@given(st.lists(st.sampled_from(["ok", "warning", "unknown", "failed"]), max_size=8), st.booleans())
def test_one_failure_is_enough_and_no_order_hides_it(verdicts: list[Any], backwards: bool) -> None:
    findings = [Finding("leader", verdict, "") for verdict in verdicts]
    found = verdict_of(reversed(findings) if backwards else findings)
    assert (found == "not_ready") == ("failed" in verdicts)
    assert (found == "ready") == (not {"failed", "unknown"} & set(verdicts))


def test_what_would_be_lost_is_what_the_closest_replica_lacks_where_commits_wait_for_nobody() -> None:
    servers = primary(), server("pg2", lag_bytes=4096), server("pg3", lag_bytes=99999)
    loose = cluster(*servers, settings=cluster().settings | {"synchronous_mode": "off"})
    assert judge(loose).rpo_bytes == 4096
    local = replace(primary(), settings=ALIKE | {"synchronous_commit": "local"})
    assert judge(cluster(local, *servers[1:])).rpo_bytes == 4096, "whoever commits locally waits for nobody"


def test_a_server_that_is_given_time_to_start_again_costs_that_time() -> None:
    patient = cluster(settings=cluster().settings | {"primary_start_timeout": 300})
    assert judge(patient).rto_seconds == 308.0
    assert judge(cluster(routers=())).rto_seconds == 22.0
    alone = judge(cluster(primary(), server("pg2", nofailover=True)))
    assert alone.rto_seconds is None, "nobody takes over"
