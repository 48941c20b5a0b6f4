"""Replication as both of its ends tell it, and a replica that has lost its primary."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..waiting import wait_until
from .fix_archiver import Archiver
from .fix_exporter import Exporter, Watched, exporting
from .fix_postgres import BIN_DIR, Host, as_postgres

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def replica(watched: Watched, module_hosts: Callable[[str], Host]) -> Iterator[Exporter]:
    """The exporter of a replica that streams from the primary."""
    host = module_hosts("pg2")
    source = f"host={watched.host.base} port={watched.host.port} user=postgres application_name=pg2"
    host.pg("pg_basebackup", "--write-recovery-conf", f"--dbname={source}", "--checkpoint=fast", "-D", host.data_dir)
    host.listen = "127.0.0.1"
    host.configure(archive_mode="off", hot_standby_feedback="on")
    archiver = Archiver(host)
    host.write_config(host.folder(), wal=archiver.settings())
    host.start()
    made = Watched(host, archiver, watched.site)
    made.write_fleet(name="pg2", other="pg1")
    with exporting(made, "host", "--name", "pg2") as running:
        yield running


def test_a_primary_tells_how_far_each_member_is_behind_and_who_may_be_waited_for(
    watched: Watched, exporter: Exporter, replica: Exporter
) -> None:
    seen = wait_until(
        "the replica has all",
        exporter.prometheus.page,
        until=lambda page: page.value("ops_replication_lag_bytes", member="pg2") == 0,
    )
    assert seen.value("ops_replication_sync_members") == 0
    assert seen.value("ops_replication_streaming") is None
    assert seen.value("ops_replication_replay_lag_seconds") is None
    watched.host.configure(synchronous_standby_names="ANY 1 (pg2)")
    watched.host.sql("SELECT pg_reload_conf()")
    try:
        wait_until(
            "a commit waits for it",
            exporter.prometheus.page,
            until=lambda page: page.value("ops_replication_sync_members") == 1,
        )
    finally:
        watched.host.configure(synchronous_standby_names="")
        watched.host.sql("SELECT pg_reload_conf()")


def test_who_is_no_member_is_not_told(watched: Watched, exporter: Exporter, replica: Exporter) -> None:
    here, port = watched.host.base, str(watched.host.port)
    command: list[str | Path] = [BIN_DIR / "pg_receivewal", "-U", "postgres", "-h", here, "-p", port, "-D", here]
    receiver = subprocess.Popen(as_postgres(command))
    try:
        count = "SELECT count(*) FROM pg_stat_replication"
        wait_until("both are connected", lambda: watched.host.value(count), until=lambda count: count == 2)
        members = {
            sample.labels["member"]
            for sample in exporter.prometheus.page().samples
            if sample.name == "ops_replication_lag_bytes"
        }
        assert members == {"pg2"}
    finally:
        receiver.terminate()
        receiver.wait(timeout=20)


def test_a_replica_that_has_lost_its_primary_grows_old(watched: Watched, replica: Exporter) -> None:
    watched.host.sql("CREATE TABLE replicated ()")
    seen = wait_until(
        "it has all that there is",
        replica.prometheus.page,
        until=lambda page: page.value("ops_replication_replay_lag_seconds") == 0,
    )
    assert seen.value("ops_replication_streaming") == 1
    assert seen.value("ops_postgres_in_recovery") == 1
    assert seen.value("ops_postgres_writable") == 0
    assert seen.value("ops_postgres_timeline") == 1
    watched.host.stop()
    try:
        first = wait_until(
            "it has noticed", replica.prometheus.page, until=lambda page: page.value("ops_replication_streaming") == 0
        )
        before = first.value("ops_replication_replay_lag_seconds")
        assert before is not None
        wait_until(
            "it grows older",
            replica.prometheus.page,
            until=lambda page: (page.value("ops_replication_replay_lag_seconds") or 0) > before,
        )
    finally:
        watched.host.start()
    wait_until(
        "it streams again", replica.prometheus.page, until=lambda page: page.value("ops_replication_streaming") == 1
    )
