"""`ops exporter fleet` over a real repository, and the status page that it serves."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from ops.exporter.collectors.of_fleet import FLEET_COLLECTORS
from ops.exporter.scrape import own_metrics
from ops.model import login

from ..waiting import wait_until
from .fix_exporter import Exporter, Page, Watched, exporting, promtool

pytestmark = pytest.mark.integration

# Of a cluster with Patroni, routers, Redis, another repository, drills or an audit trail; this test's has none.
ELSEWHERE = (
    "ops_audit", "ops_cluster_leader", "ops_cluster_paused", "ops_cluster_timeline", "ops_drill_last",
    "ops_drill_rpo_seconds", "ops_drill_rto_seconds", "ops_etcd", "ops_failover_drill", "ops_failover_r", "ops_mirror",
    "ops_redis", "ops_router",
)  # fmt: skip


@pytest.fixture(scope="module")
def fleet(watched: Watched) -> Iterator[Exporter]:
    """The exporter, once two backups are there."""
    for _ in range(2):
        taken = watched.host.ops("backup", "create")
        assert taken.returncode == 0, taken.stderr
    assert watched.host.ops("backup", "verify").returncode == 0
    watched.host.archive_all()
    logins = watched.host.base / "logins"
    watched.host.write(logins, f"anna:{login.verifier('right', b'salt')}\n")
    with exporting(watched, "fleet", "--login-file", logins) as running:
        yield running


@pytest.fixture(scope="module")
def page(fleet: Exporter) -> Page:
    return fleet.wait_until_all_was_read()


def test_every_metric_that_can_be_is_told_and_none_that_is_not_declared(page: Page) -> None:
    declared = {metric.name for collector in FLEET_COLLECTORS for metric in collector.metrics}
    declared |= {metric.name for metric in own_metrics("fleet")}
    assert page.names <= declared
    assert {name for name in declared - page.names if not name.startswith(ELSEWHERE)} == set()


def test_promtool_finds_nothing_to_say(page: Page) -> None:
    assert promtool(page.text) == ""


def test_the_repository_is_told_as_it_is(page: Page) -> None:
    for name in ("ops_wal_gaps", "ops_wal_damaged", "ops_wal_foreign", "ops_backup_damaged_packs"):
        assert page.value(name, cluster="main") == 0
    assert page.value("ops_backups", cluster="main") == 2
    start = page.value("ops_recovery_window_start_timestamp_seconds", cluster="main")
    end = page.value("ops_recovery_window_end_timestamp_seconds", cluster="main")
    newest = page.value("ops_backup_last_timestamp_seconds", cluster="main")
    assert start is not None
    assert end is not None
    assert newest is not None
    created = page.value("ops_repository_created_timestamp_seconds", cluster="main")
    assert created is not None
    assert created <= start <= newest <= end
    assert page.value("ops_recovery_window_promised_seconds", cluster="main") == 30 * 86_400
    for collector in ("continuity", "backups", "drills", "mirrors"):
        assert page.value("ops_collector_success", collector=collector, cluster="main") == 1


def test_what_nobody_answers_for_is_a_failed_collector_and_no_value(page: Page) -> None:
    assert page.value("ops_collector_success", collector="topology", cluster="main") == 0
    assert page.value("ops_cluster_leader", cluster="main") is None
    assert page.value("ops_cluster_members", cluster="main") == 2
    assert page.value("ops_cluster_members_reachable", cluster="main") == 1


def test_a_segment_that_is_deleted_from_the_store_is_a_gap(watched: Watched, page: Page) -> None:
    before = page.value("ops_wal_gaps", cluster="main")
    assert before == 0
    with exporting(watched, "fleet") as again:
        segments = sorted((watched.host.base / "repository").glob("**/wal/00000001/*"))
        newest = segments[-2]
        text = newest.read_bytes()
        newest.unlink()
        try:
            seen = wait_until(
                "the gap is told",
                again.prometheus.page,
                until=lambda page: (page.value("ops_wal_gaps", cluster="main") or 0) > 0,
            )
            assert seen.value("ops_collector_success", collector="continuity", cluster="main") == 1
        finally:
            watched.host.write(newest, "")
            newest.write_bytes(text)


def test_the_status_page_is_served_to_who_logs_in(fleet: Exporter) -> None:
    assert fleet.anybody.get("/").status == 401
    word = "Basic " + base64.b64encode(b"anna:right").decode()
    reply = fleet.anybody.get("/", timeout=60, Authorization=word)
    assert reply.status == 200
    assert reply.text.startswith("<!doctype html>") or reply.text.startswith("<!DOCTYPE html>")
    assert "main" in reply.text
