"""After a failover: what the old primary never archived is archived from the members that still have it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.model.segment import Segment
from ops.postgres.control import ControlData
from ops.store.repository import Repository

from ..waiting import wait_until
from .fix_postgres import USER, Host
from .fix_store import repository_in

pytestmark = pytest.mark.integration
SIZE = 1 << 20


@dataclass
class Failover:
    """An old primary that died with segments unarchived, and the standby that was promoted."""

    old: Host
    new: Host
    repository: Repository
    unarchived: list[str]
    beyond: list[str]


def switch(host: Host) -> str:
    return str(host.value("select pg_walfile_name(pg_switch_wal()) from pg_logical_emit_message(true, 'test', 'x')"))


def archived(host: Host, name: str) -> None:
    last = "select coalesce(last_archived_wal, '') from pg_stat_archiver"
    wait_until(f"{name} is archived", lambda: host.value(last), until=lambda seen: bool(seen >= name), deadline=90)


@pytest.fixture(scope="module")
def failover(module_hosts: Callable[[str], Host]) -> Failover:
    old, new = module_hosts("old"), module_hosts("new")
    settings = old.folder("repository")
    old.initdb("--wal-segsize=1")
    old.archive(wal_keep_size="64MB", max_wal_senders=4)
    old.write_config(settings)
    new.write_config(settings)
    old.start()
    old.pg(
        "pg_basebackup", "-h", old.base, "-p", str(old.port), "-U", "postgres", "-D", new.data_dir, "-c", "fast", "-R"
    )
    new.configure(archive_command=new.command("wal push %p"))
    new.start()
    archived(old, switch(old))
    old.configure(archive_command="false")
    old.sql("select pg_reload_conf()")
    unarchived = [switch(old) for _ in range(3)]
    position = old.value("select pg_current_wal_lsn()")
    replayed = f"select pg_last_wal_replay_lsn() >= '{position}'"
    wait_until("the standby has it all", lambda: new.value(replayed))
    # The old primary goes on alone for a while: WAL that only it has, and that no history will ever hold.
    new.sql("select pg_promote(true, 30)")
    beyond = [switch(old) for _ in range(2)]
    old.stop("immediate")
    archived(new, switch(new))
    new.sql("checkpoint")
    repository = repository_in(settings, ControlData.read(new.data_dir).system_identifier, new.keys)
    return Failover(old, new, repository, unarchived, beyond)


def stored(repository: Repository) -> set[str]:
    return {found.key.rpartition("/")[2] for found in repository.store.list(repository.layout.wal_root)}


def catchup(host: Host, *options: str | Path, code: int = 0) -> Any:
    outcome = host.ops("wal", "catchup", "--json", *options)
    assert outcome.returncode == code, outcome.stdout + outcome.stderr
    return json.loads(outcome.stdout)


def holes(host: Host, code: int) -> list[str]:
    outcome = host.ops("wal", "gaps", "--json")
    assert outcome.returncode == code, outcome.stdout + outcome.stderr
    return [name for hole in json.loads(outcome.stdout)["holes"] for name in hole["segments"]]


def test_the_dead_primary_itself_pushes_nothing_of_a_branch_that_was_cut_off(failover: Failover) -> None:
    before = stored(failover.repository)
    assert catchup(failover.old)["pushed"] == []
    assert stored(failover.repository) == before


def test_a_recycled_file_under_the_right_name_is_refused_and_does_not_keep_the_others(
    failover: Failover, workspace: Path
) -> None:
    wrong, *others = failover.unarchived
    path = failover.new.data_dir / "pg_wal" / wrong
    whole = path.read_bytes()
    # The first page is right, as in a file that was received only in part; what follows is of other WAL.
    following = (failover.new.data_dir / "pg_wal" / others[0]).read_bytes()
    path.write_bytes(whole[:8192] + following[:8192] + whole[16384:])
    holed = failover.repository.store.name
    shutil.copytree(holed, workspace / "repository")
    for each in [workspace / "repository", *(workspace / "repository").rglob("*")]:
        shutil.chown(each, USER, USER)
    elsewhere = failover.new.folder("repository").model_copy(update={"path": workspace / "repository"})
    try:
        failover.new.write_config(elsewhere)
        report = catchup(failover.new, code=1)
    finally:
        path.write_bytes(whole)
        failover.new.write_config(failover.new.folder("repository").model_copy(update={"path": Path(holed)}))
    assert report["pushed"] == others
    (refused,) = report["refused"]
    assert wrong in refused["error"]


def test_a_promoted_member_archives_what_the_old_primary_had_not(failover: Failover) -> None:
    assert holes(failover.new, 1) == failover.unarchived
    report = catchup(failover.new, "--wait", "20", "on_role_change", "primary", "pg_main")
    assert (report["pushed"], report["timeline"]) == (failover.unarchived, 2)
    assert holes(failover.new, 0) == []
    assert not set(failover.beyond) & stored(failover.repository)
    assert catchup(failover.new)["pushed"] == []


def test_an_old_primary_that_has_come_back_archives_what_is_still_missing(failover: Failover) -> None:
    old, new = failover.old, failover.new
    missing = failover.unarchived[1]
    segment = Segment.parse(missing, SIZE)
    key = f"{failover.repository.layout.wal_root}{segment.timeline:08X}/{missing}"
    failover.repository.store.delete(key)
    old.start()
    old.stop()
    old.pg(
        "pg_rewind",
        "--target-pgdata",
        old.data_dir,
        "--source-server",
        f"host={new.base} port={new.port} user=postgres",
    )
    old.configure(primary_conninfo=f"host={new.base} port={new.port} user=postgres", recovery_target_timeline="latest")
    old.write(old.data_dir / "standby.signal", "")
    old.start()
    position = new.value("select pg_current_wal_lsn()")
    wait_until("it has caught up", lambda: old.value(f"select pg_last_wal_replay_lsn() >= '{position}'"))
    new.sql("checkpoint")
    position = new.value("select pg_current_wal_lsn()")
    wait_until("it has the checkpoint", lambda: old.value(f"select pg_last_wal_replay_lsn() >= '{position}'"))
    old.sql("checkpoint")
    assert catchup(old)["pushed"] == [missing]
    assert holes(old, 0) == []
