"""`ops exporter host` beside real servers: what it tells, what it costs them, and what it tells when they are gone."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ops.deploys.pki import Authority, Leaf
from ops.exporter.collectors.of_host import HOST_COLLECTORS
from ops.exporter.scrape import own_metrics

from ..waiting import wait_until
from .fix_exporter import Exporter, Page, Watched, promtool

pytestmark = pytest.mark.integration

# What a host has only in another state than that of this test's.
ELSEWHERE = {
    "ops_wal_queue_oldest_timestamp_seconds": "nothing waits",
    "ops_wal_directory_full_seconds": "no end in sight",
    "ops_wal_written_bytes_per_second": "known once two segments have ended",
    "ops_replication_streaming": "a replica's",
    "ops_replication_replay_lag_seconds": "a replica's",
    "ops_replication_lag_bytes": "with a replica",
    "ops_replication_sync_wanted": "Patroni's",
    "ops_slot_safe_bytes": "with a limit",
    "ops_timescaledb": "with TimescaleDB",
    **dict.fromkeys(("ops_migrations", "ops_view", "ops_partition", "ops_audit"), "the application's database"),
    "ops_schedule": "with systemd",
}


def application(watched: Watched, **more: str) -> psycopg.Connection[tuple[object, ...]]:
    """A session of an application through PgBouncer."""
    conninfo = make_conninfo(
        "",
        host="localhost", port=watched.pooler_port, user="app", dbname="app", password="not a secret",
        sslmode="verify-full", sslrootcert=str(watched.site.ca), **more,
    )  # fmt: skip
    return psycopg.connect(conninfo, prepare_threshold=None)


@pytest.fixture(scope="module")
def page(watched: Watched, exporter: Exporter) -> Page:
    """A page of a host on which something has happened."""
    watched.host.sql("SELECT pg_create_physical_replication_slot('pg2', true)")
    watched.host.sql("CREATE SEQUENCE tight MAXVALUE 10; SELECT setval('tight', 9)", "app")
    with application(watched) as session:
        session.execute("SELECT count(*) FROM pg_class")
    exporter.wait_until_all_was_read()

    def archived() -> Page:
        watched.host.archive_all()
        return exporter.prometheus.page()

    # The service's own account, which it writes each second. What it is too slow for, its client archives alone.
    return wait_until(
        "what was archived is told",
        archived,
        until=lambda page: "ops_wal_last_archived_timestamp_seconds" in page.names,
    )


def test_every_metric_that_can_be_is_told_and_none_that_is_not_declared(page: Page) -> None:
    declared = {metric.name for collector in HOST_COLLECTORS for metric in collector.metrics}
    declared |= {metric.name for metric in own_metrics("host")}
    assert page.names <= declared
    assert {name for name in declared - page.names if not name.startswith(tuple(ELSEWHERE))} == set()


def test_promtool_finds_nothing_to_say(page: Page) -> None:
    assert promtool(page.text) == ""


def test_no_label_says_what_a_statement_said_or_who_ran_it(page: Page) -> None:
    allowed = {
        "collector", "database", "kind", "member", "role", "schedule", "sequence", "slot", "state", "user", "version",
    }  # fmt: skip
    assert {label for sample in page.samples for label in sample.labels} <= allowed


def test_the_figures_are_the_servers_own(page: Page, watched: Watched) -> None:
    assert page.value("ops_postgres_up") == 1
    assert page.value("ops_postgres_writable") == 1
    assert page.value("ops_postgres_in_recovery") == 0
    assert page.value("ops_postgres_timeline") == 1
    assert page.value("ops_postgres_connections_limit") == 27
    assert page.value("ops_slot_active", slot="pg2") == 0
    assert page.value("ops_slot_retained_bytes", slot="pg2") is not None
    assert page.value("ops_sequence_used_ratio", database="app", sequence="public.tight") == pytest.approx(8 / 9)
    assert page.value("ops_database_xid_limit") == 2**31 - 1
    assert page.value("ops_wal_archiver_up") == 1
    assert page.value("ops_pgbouncer_up") == 1
    queries = page.value("ops_pgbouncer_queries_total", database="app")
    assert queries is not None
    assert queries >= 1
    assert page.value("ops_database_size_bytes", database="app") == pytest.approx(
        watched.host.value("SELECT pg_database_size('app')"), rel=0.1
    )


def test_long_transactions_and_who_waits_for_a_lock_are_told(watched: Watched, exporter: Exporter) -> None:
    host = watched.host
    host.sql("CREATE TABLE contested ()", "app")
    holder, waiter = host.connect("app"), host.connect("app")
    holder.autocommit = False
    holder.execute("LOCK contested")
    thread = threading.Thread(target=lambda: waiter.execute("TABLE contested"))
    thread.start()
    try:
        seen = wait_until(
            "somebody waits",
            exporter.prometheus.page,
            until=lambda page: (page.value("ops_blocked_oldest_seconds", database="app") or 0) > 0,
        )
        assert seen.value("ops_blocked_sessions", database="app") == 1
        assert (seen.value("ops_transaction_oldest_seconds", database="app") or 0) > 0
        assert (seen.value("ops_idle_in_transaction_oldest_seconds", database="app") or 0) > 0
        assert seen.value("ops_sessions", database="app", state="idle in transaction") == 1
    finally:
        holder.close()
        thread.join()
        waiter.close()
    wait_until(
        "nobody waits",
        exporter.prometheus.page,
        until=lambda page: page.value("ops_blocked_sessions", database="app") == 0,
    )


def test_fifty_scrapes_at_once_beside_a_locked_table_take_two_connections_and_all_get_a_page(
    watched: Watched, exporter: Exporter
) -> None:
    watched.host.sql("CREATE SEQUENCE locked; CREATE TABLE changing (id int)", "app")
    most, done = [0], threading.Event()
    observer, holder = watched.host.connect(), watched.host.connect("app")

    def observe() -> None:
        count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ops exporter'"
        while not done.is_set():
            row = observer.execute(count.encode()).fetchone()
            assert row is not None
            most[0] = max(most[0], row[0])

    holder.autocommit = False
    holder.execute("ALTER TABLE changing ADD more int; ALTER SEQUENCE locked INCREMENT 2; LOCK pg_statistic")
    thread = threading.Thread(target=observe)
    thread.start()
    try:
        with ThreadPoolExecutor(50) as pool:
            replies = [pool.submit(exporter.prometheus.get, "/metrics") for _ in range(50)]
            statuses = {reply.result().status for reply in replies}
    finally:
        done.set()
        thread.join()
        holder.close()
        observer.close()
    assert statuses == {200}
    assert 1 <= most[0] <= 2


def test_a_server_that_is_stopped_takes_its_values_with_it_and_nobody_elses(
    watched: Watched, exporter: Exporter
) -> None:
    exporter.wait_until_all_was_read()
    watched.host.stop()
    try:
        page = exporter.prometheus.page()
        for collector in ("postgres", "slots", "activity", "databases", "replication"):
            assert page.succeeded(collector) == 0
        assert page.value("ops_postgres_up") == 0
        assert page.value("ops_postgres_connections") is None
        assert page.value("ops_slot_active", slot="pg2") is None
        assert page.value("ops_transaction_oldest_seconds", database="app") is None
        assert page.value("ops_collector_last_success_timestamp_seconds", collector="postgres") is not None
        assert page.succeeded("archiver") == 1
        assert page.succeeded("pgbouncer") == 1
        ready = exporter.anybody.get("/readyz")
        assert ready.status == 503
        assert "PostgreSQL at localhost" in ready.text
        assert exporter.anybody.get("/healthz").status == 200
    finally:
        watched.host.start()
    wait_until("it is back", exporter.prometheus.page, until=lambda page: page.succeeded("slots") == 1)
    assert "postgres: well again" in exporter.log()


def test_a_server_that_is_frozen_holds_up_no_page(watched: Watched, exporter: Exporter) -> None:
    exporter.wait_until_all_was_read()
    frozen = [int(path.name) for path in Path("/proc").glob("[0-9]*") if _works_in(path, watched.host.data_dir)]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        page = exporter.prometheus.page()
        assert page.succeeded("postgres") == 0
        assert page.value("ops_slot_active", slot="pg2") is None
        assert page.succeeded("archiver") == 1
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    wait_until(
        "it is well again",
        exporter.prometheus.page,
        until=lambda page: page.succeeded("postgres") == 1 and page.succeeded("databases") == 1,
    )
    assert watched.sessions_of_ours() <= 2


def _works_in(process: Path, directory: Path) -> bool:
    try:
        return (process / "cwd").readlink() == directory
    except OSError:
        return False


def test_pgbouncer_and_the_archiver_may_each_be_away(watched: Watched, exporter: Exporter) -> None:
    watched.stop_pooler()
    watched.archiver.stop()
    try:
        page = exporter.prometheus.page()
        assert page.value("ops_pgbouncer_up") == 0
        assert page.value("ops_pgbouncer_queries_total", database="app") is None
        assert page.value("ops_wal_archiver_up") == 0
        assert page.value("ops_wal_queue_segments") is not None, "PostgreSQL's own notes need no service"
        assert page.value("ops_wal_archived_total") is None
        assert page.succeeded("postgres") == 1
    finally:
        watched.archiver.start()
        watched.start_pooler()
    wait_until("they are back", exporter.prometheus.page, until=lambda page: page.value("ops_pgbouncer_up") == 1)


def test_the_console_of_pgbouncer_is_for_a_certificate_of_monitor_alone(watched: Watched) -> None:
    def console(identity: tuple[Path, Path] | None) -> psycopg.Connection[tuple[object, ...]]:
        shown = {"sslcert": str(identity[0]), "sslkey": str(identity[1])} if identity else {}
        conninfo = make_conninfo(
            "", host="localhost", port=watched.pooler_port, dbname="pgbouncer", user="monitor",
            sslmode="verify-full", sslrootcert=str(watched.site.ca), **shown,
        )  # fmt: skip
        return psycopg.connect(conninfo, autocommit=True)

    for identity in (None, watched.site.prometheus):
        with pytest.raises(psycopg.OperationalError, match="certificate"):
            console(identity)
    with console(watched.site.monitor) as session:
        assert session.execute("SHOW VERSION").fetchone() is not None
        with pytest.raises(psycopg.Error, match="admin"):
            session.execute("PAUSE")


def test_an_application_needs_no_certificate_and_one_of_a_stranger_is_refused(watched: Watched, tmp_path: Path) -> None:
    with application(watched) as session:
        assert session.execute("SELECT 1").fetchone() == (1,)
    stranger = Authority(tmp_path, "other").issue(Leaf("app", "app", client=True))
    certificate, key = watched.site.write("stranger", stranger)
    with pytest.raises(psycopg.OperationalError):
        application(watched, sslcert=str(certificate), sslkey=str(key))


def test_it_ends_cleanly_and_leaves_no_session(watched: Watched, exporter: Exporter) -> None:
    exporter.wait_until_all_was_read()
    assert exporter.stop() == 0
    wait_until("its sessions are gone", watched.sessions_of_ours, until=lambda count: count == 0)
