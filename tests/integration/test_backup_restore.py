"""A base backup taken under load, restored beside, recovered through our own restore_command, compared as data."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ..waiting import wait_until
from .fix_postgres import BIN_DIR, USER, Host
from .fix_store import Weed

pytestmark = pytest.mark.integration

# A table's contents in one value, whatever order its rows lie in.
CONTENTS = """select count(*) || ' rows, ' || coalesce(sum(hashtextextended(t::text, 0)), 0) from {table} t"""
TABLES = ("pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history", "in_space", "kept")


@dataclass
class Proof:
    """A primary, a backup of it taken under load, and a server that was recovered from that."""

    primary: Host
    restored: Host
    backup: dict[str, Any]
    contents: dict[str, str]
    space: Path


@contextmanager
def pgbench(host: Host) -> Iterator[None]:
    """Two clients that write until the block ends."""
    process = subprocess.Popen(
        [
            BIN_DIR / "pgbench",
            "-n",
            "-c2",
            "-T120",
            "-h",
            host.base,
            "-p",
            str(host.port),
            "-U",
            "postgres",
            "postgres",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
        assert process.poll() is None, "pgbench ended by itself"
    finally:
        process.terminate()
        process.wait(10)


def contents(host: Host) -> dict[str, str]:
    return {table: host.value(CONTENTS.format(table=table)) for table in TABLES}


def archive_all(host: Host) -> None:
    """Everything that has committed so far is in the store when this returns."""
    segment = host.value("select pg_walfile_name(pg_current_wal_lsn())")
    host.sql("select pg_switch_wal()")
    wait_until(
        f"{segment} archived",
        lambda: host.value("select last_archived_wal from pg_stat_archiver"),
        until=lambda last: last is not None and last >= segment,
    )


@pytest.fixture(scope="module")
def proof(weed: Weed, module_hosts: Callable[[str], Host]) -> Proof:
    """Takes and recovers one backup; every test looks at another side of it. The store is SeaweedFS."""
    primary, restored = module_hosts("primary"), module_hosts("restored")
    settings = weed.settings(weed.make_bucket())
    primary.initdb()
    primary.archive()
    primary.write_config(settings)
    restored.write_config(settings)
    primary.start()
    space = primary.base / "space"
    space.mkdir(mode=0o700)
    shutil.chown(space, USER, USER)
    primary.sql(f"create tablespace elsewhere location '{space}'")
    primary.sql("create table in_space tablespace elsewhere as select generate_series(1, 20000) i")
    primary.sql("create unlogged table unlogged as select generate_series(1, 20000) i")
    primary.sql("create table kept as select 1 as i")
    primary.pg(
        "pgbench", "-i", "-q", "-s1", "-h", str(primary.base), "-p", str(primary.port), "-U", "postgres", "postgres"
    )
    with pgbench(primary):
        taken = primary.ops("backup", "create", "--json")
        assert taken.returncode == 0, taken.stderr
        primary.sql("insert into kept values (2)")  # after the end of the backup
    found = contents(primary)
    archive_all(primary)
    backup = json.loads(taken.stdout)
    outcome = restored.ops("backup", "restore", "latest", "--to", restored.data_dir, "--target", "latest")
    assert outcome.returncode == 0, outcome.stderr
    restored.start()
    wait_until("recovery has ended", lambda: not restored.value("select pg_is_in_recovery()"), deadline=60)
    return Proof(primary, restored, backup, found, space)


def test_the_restored_database_holds_what_was_committed(proof: Proof) -> None:
    assert contents(proof.restored) == proof.contents


def test_the_restored_pages_have_valid_checksums(proof: Proof) -> None:
    proof.restored.stop()
    try:
        assert "Bad checksums:  0" in proof.restored.pg("pg_checksums", "--check", "-D", proof.restored.data_dir).stdout
    finally:
        proof.restored.start()


def test_an_unlogged_table_is_restored_empty_and_usable(proof: Proof) -> None:
    assert proof.restored.value("select count(*) from unlogged") == 0
    proof.restored.sql("insert into unlogged values (1)")


def test_a_tablespace_is_restored_beside_and_not_where_it_came_from(proof: Proof) -> None:
    oid = proof.primary.value("select oid::text from pg_tablespace where spcname = 'elsewhere'")
    place = proof.restored.base / "data.tablespaces" / oid
    assert proof.restored.value(f"select pg_tablespace_location({oid})") == str(place)
    assert proof.primary.value(f"select pg_tablespace_location({oid})") == str(proof.space)
    assert (proof.restored.data_dir / "pg_tblspc" / oid).readlink() == place
    assert proof.backup["tablespaces"] == {oid: str(proof.space)}


def test_the_restored_server_does_not_archive(proof: Proof) -> None:
    assert proof.restored.value("show archive_mode") == "off"


def test_modes_and_times_of_files_are_restored(proof: Proof) -> None:
    before, after = proof.primary.data_dir / "PG_VERSION", proof.restored.data_dir / "PG_VERSION"
    assert (before.stat().st_mode, before.stat().st_mtime_ns) == (after.stat().st_mode, after.stat().st_mtime_ns)
    assert proof.restored.data_dir.stat().st_mode == proof.primary.data_dir.stat().st_mode


def test_the_backup_describes_itself(proof: Proof) -> None:
    listed = proof.primary.ops("backup", "list", "--json")
    shown = proof.primary.ops("backup", "show", "latest", "--json")
    (one,) = json.loads(listed.stdout)
    assert {key: one[key] for key in proof.backup} == proof.backup
    assert {key: json.loads(shown.stdout)[key] for key in proof.backup} == proof.backup
    backup = proof.backup
    assert backup["system_identifier"] == proof.primary.value("select system_identifier from pg_control_system()")
    assert (backup["timeline"], backup["from_standby"], backup["cluster"]) == (1, False, "main")
    assert backup["settings"]["max_connections"] == proof.primary.value("show max_connections")
    assert backup["settings"]["data_checksums"] == "on"
    assert 0 < backup["stored_bytes"] < backup["size"]


def test_the_backup_is_shown_to_people(proof: Proof) -> None:
    listed = proof.primary.ops("backup", "list").stdout
    assert re.search(rf"{proof.backup['id']}  primary \S+ .* 1\b", listed)
    shown = proof.primary.ops("backup", "show", proof.backup["id"]).stdout
    assert str(proof.space) in shown
    assert re.search(r"max_connections +100", shown)


def test_a_restore_to_a_time_waits_there(proof: Proof, hosts: Callable[[str], Host]) -> None:
    host = hosts("timed")
    host.write(host.config_file, proof.primary.config_file.read_text())
    target = proof.primary.value("select now()").isoformat()
    proof.primary.sql("insert into kept values (3)")
    archive_all(proof.primary)
    outcome = host.ops("backup", "restore", proof.backup["id"], "--to", host.data_dir, "--target", target)
    assert outcome.returncode == 0, outcome.stderr
    host.start()
    wait_until("paused", lambda: host.value("select pg_get_wal_replay_pause_state()") == "paused")
    assert host.sql("select i from kept order by i") == [(1,), (2,)]
    assert contents(host) == proof.contents


def test_a_restore_can_go_to_a_chosen_tablespace(proof: Proof, workspace: Path) -> None:
    (oid,) = proof.backup["tablespaces"]
    outcome = proof.primary.ops(
        "backup", "restore", "latest", "--to", workspace / "data", "--tablespace", f"{oid}={workspace}/chosen", "--json"
    )
    assert outcome.returncode == 0, outcome.stderr
    assert json.loads(outcome.stdout)["tablespaces"] == {oid: f"{workspace}/chosen"}
    assert [path.name[:6] for path in (workspace / "chosen").iterdir()] == ["PG_15_"]
    assert (workspace / "data" / "tablespace_map").read_text() == f"{oid} {workspace}/chosen\n"


@pytest.mark.parametrize("named", ["latest", "by its id"])
def test_a_target_before_the_backup_is_refused(proof: Proof, workspace: Path, named: str) -> None:
    backup_id = "latest" if named == "latest" else proof.backup["id"]
    outcome = proof.primary.ops(
        "backup", "restore", backup_id, "--to", workspace / "data", "--target", proof.backup["start_time"]
    )
    assert outcome.returncode == 1
    assert proof.backup["id"] in outcome.stderr
    assert "is consistent from" in outcome.stderr
    assert not (workspace / "data").exists()
    assert not (workspace / "data").exists()
