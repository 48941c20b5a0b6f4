"""A real server that recovers by way of the service: ahead of replay, through faults of the store, never early."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from ops.config import Keys, S3Repository
from ops.wal import faults

from ..waiting import wait_until
from .fix_archiver import Archiver
from .fix_postgres import Host
from .fix_proxy import Proxy
from .fix_store import Weed

pytestmark = pytest.mark.integration

ROWS = list(range(1, 13))


@dataclass(frozen=True)
class Archived:
    """A primary that is gone: its base backup, and a bucket with a segment for each row, a restore point in each."""

    base: Path
    settings: S3Repository
    keys: Keys


@pytest.fixture(scope="module")
def archived(module_hosts: Callable[[str], Host], weed: Weed) -> Archived:
    primary = module_hosts("primary")
    settings = weed.settings(weed.make_bucket())
    primary.initdb("--wal-segsize=1")
    archiver = Archiver(primary)
    primary.write_config(settings, wal=archiver.settings(tail=False))
    primary.configure(archive_mode="on", archive_command=archiver.command("push %p"), wal_level="replica")
    archiver.start()
    try:
        primary.start()
        primary.sql("create table proof (row int)")
        base = primary.base / "backup"
        primary.pg("pg_basebackup", "--checkpoint=fast", "--wal-method=none", "--no-sync", "-h", primary.base,
                   "-p", str(primary.port), "-U", "postgres", "-D", base)  # fmt: skip
        for row in ROWS:
            primary.sql(f"insert into proof values ({row})")
            primary.sql(f"select pg_create_restore_point('row {row}')")
            last = primary.value("select pg_walfile_name(pg_switch_wal())")
        wait_until(
            "the last segment is archived",
            lambda: primary.value("select coalesce(last_archived_wal, '') from pg_stat_archiver"),
            until=lambda name: name >= last,
        )
    finally:
        primary.stop("immediate")
        archiver.kill()
    return Archived(base, settings, primary.keys)


@pytest.fixture
def restored(
    archived: Archived, hosts: Callable[[str], Host], archivers: Callable[[Host], Archiver], proxy: Proxy
) -> Archiver:
    """A copy of the base backup, which fetches through the service and a proxy; the signal file is to be written."""
    host = hosts("restored")
    host.clone(archived.base)
    archiver = archivers(host)
    host.write_config(proxy.settings(archived.settings), wal=archiver.settings(standby_patience=0.5))
    host.configure(archive_mode="off", restore_command=archiver.restore_command(), wal_retrieve_retry_interval="200ms")
    archiver.start()
    return archiver


def rows(host: Host) -> list[int]:
    return [row for (row,) in host.sql("select row from proof order by row")]


def test_segments_are_fetched_ahead_of_replay(restored: Archiver) -> None:
    host = restored.host
    host.write(host.data_dir / "recovery.signal", "")
    host.start()
    wait_until("it is promoted", lambda: host.value("select not pg_is_in_recovery()"))
    assert rows(host) == ROWS
    status = restored.status()
    assert status["fetched_total"] >= len(ROWS)
    assert status["prefetched_total"] >= len(ROWS) - 2
    assert list((host.data_dir / "pg_wal").glob("*.part-*")) == []


@pytest.mark.parametrize("point", faults.FETCH)
def test_a_server_that_is_killed_at_any_point_of_a_fetch_recovers_whole(restored: Archiver, point: str) -> None:
    host = restored.host
    restored.kill()
    restored.start(kill_at=point)
    host.write(host.data_dir / "recovery.signal", "")
    host.start(check=False)
    assert restored.wait() == -signal.SIGKILL
    host.kill()
    assert "archive recovery complete" not in host.log_text()
    restored.start()
    host.start()
    wait_until("it is promoted", lambda: host.value("select not pg_is_in_recovery()"))
    assert rows(host) == ROWS


@pytest.mark.parametrize("point", faults.CLIENT)
def test_a_server_whose_client_is_killed_stops_and_recovers_whole_when_it_is_started(
    restored: Archiver, point: str
) -> None:
    host = restored.host
    host.configure(restore_command=f"OPS_KILL_AT={point} {restored.restore_command()}")
    host.write(host.data_dir / "recovery.signal", "")
    host.start(check=False)
    assert "archive recovery complete" not in host.wait_for_log("database system is shut down")
    host.configure(restore_command=restored.restore_command())
    host.start()
    wait_until("it is promoted", lambda: host.value("select not pg_is_in_recovery()"))
    assert rows(host) == ROWS


@pytest.mark.parametrize("fault", ["503", "403", "reset", "altered", "cut"])
def test_a_recovery_stops_at_a_fault_of_the_store_and_never_promotes(
    restored: Archiver, proxy: Proxy, fault: str
) -> None:
    host = restored.host
    host.configure(recovery_target_name="row 9", recovery_target_action="promote")
    host.write(host.data_dir / "recovery.signal", "")
    proxy.fault = fault
    host.start(check=False)
    log = host.wait_for_log("database system is shut down")
    assert "archive recovery complete" not in log
    assert "Latest checkpoint's TimeLineID:       1\n" in host.pg("pg_controldata", host.data_dir).stdout
    proxy.fault = ""
    host.start()
    wait_until("it is promoted", lambda: host.value("select not pg_is_in_recovery()"))
    assert rows(host) == ROWS[:9]
    assert "recovery is in progress" not in host.log_text()  # what the live tail would have asked for


def test_a_standby_waits_for_the_store_and_goes_on_when_it_is_back(restored: Archiver, proxy: Proxy) -> None:
    host = restored.host
    host.write(host.data_dir / "standby.signal", "")
    proxy.fault = "503"
    host.start(check=False)
    host.wait_for_log("because this is a standby")
    assert host.running()
    proxy.fault = ""
    wait_until("it has caught up", lambda: rows(host), until=lambda seen: seen == ROWS, despite=psycopg.Error)
    assert host.value("select pg_is_in_recovery()")


def test_a_service_that_is_killed_in_the_middle_of_a_recovery_is_not_missed(restored: Archiver) -> None:
    host = restored.host
    host.write(host.data_dir / "recovery.signal", "")
    host.configure(recovery_target_name="row 3", recovery_target_action="pause")
    host.start()
    wait_until("it has reached row 3", lambda: rows(host), until=lambda seen: seen == ROWS[:3])
    restored.kill()
    host.stop()
    host.configure(recovery_target_name="row 10", recovery_target_action="promote")
    host.start(check=False)
    # Each segment by a process of its own takes its time.
    wait_until(
        "it is promoted",
        lambda: host.value("select not pg_is_in_recovery()"),
        despite=psycopg.OperationalError,
        deadline=120,
    )
    assert rows(host) == ROWS[:10]
