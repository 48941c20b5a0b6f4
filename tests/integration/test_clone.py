"""A replica made from the store: what Patroni's create_replica_methods calls, followed by what Patroni would do."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ops.backup.clone import Origin, choose
from ops.config import FolderRepository
from ops.errors import OpsError

from ..waiting import wait_until
from .fix_postgres import USER, Host
from .fix_store import repository_in

pytestmark = pytest.mark.integration


@dataclass
class Site:
    """A primary that archives into a folder, with a backup; `make` gives further hosts of the same cluster."""

    primary: Host
    store: FolderRepository
    make: Callable[[str], Host]
    system_identifier: str

    def clone(self, host: Host, *, exit_code: int = 0) -> str:
        """Run the command as Patroni does; what it says."""
        outcome = host.ops("backup", "clone", "--system-identifier", self.system_identifier)
        assert outcome.returncode == exit_code, outcome.stderr
        assert "Traceback" not in outcome.stderr
        return outcome.stderr

    def follow(self, host: Host, primary: Host) -> None:
        """As Patroni starts a replica."""
        host.recover(standby=True, primary_conninfo=f"host={primary.base} port={primary.port} user=postgres")
        host.start()

    def archived(self, host: Host) -> str:
        """End the current segment of `host`, and wait until it is in the store; its name."""
        segment = str(host.value("select pg_walfile_name(pg_switch_wal())"))
        wait_until(
            f"{segment} is archived",
            lambda: str(host.value("select last_archived_wal from pg_stat_archiver")),
            until=lambda last: last[8:] >= segment[8:],
        )
        return segment

    def stored(self, pattern: str) -> list[Path]:
        return sorted(self.store.path.rglob(pattern))


@pytest.fixture
def site(hosts: Callable[[str], Host], workspace: Path) -> Site:
    store = FolderRepository(type="folder", path=workspace / "repository")
    store.path.mkdir()
    shutil.chown(store.path, USER, USER)

    def make(name: str) -> Host:
        host = hosts(name)
        host.write_config(store)
        return host

    primary = make("primary")
    primary.initdb("--wal-segsize=1")
    primary.archive()
    primary.start()
    identifier = primary.value("select system_identifier::text from pg_control_system()")
    primary.sql("create table kept as select generate_series(1, 1000) i")
    assert primary.ops("backup", "create").returncode == 0
    return Site(primary, store, make, identifier)


def nothing_left(host: Host) -> bool:
    """Whether a fallback finds what it needs: an empty place, or none."""
    left = {path.name for path in host.base.iterdir() if path.name.startswith("data")}
    return left <= {"data.clone.lock"}


def test_a_clone_becomes_a_standby_of_the_present(site: Site) -> None:
    site.primary.sql("insert into kept values (2000)")
    site.archived(site.primary)  # in the store, and not in the backup
    replica = site.make("replica")
    said = site.clone(replica)
    assert "restoring backup" in said
    record = json.loads((replica.base / "data.clone.json").read_text())
    assert record["system_identifier"] == int(site.system_identifier)
    assert f"restoring backup {record['backup']}" in said
    for name in ("standby.signal", "recovery.signal", "postmaster.pid", "data.clone.json"):
        assert not (replica.data_dir / name).exists()
    site.follow(replica, site.primary)
    site.primary.sql("insert into kept values (3000)")
    end = site.primary.value("select pg_current_wal_lsn()")
    wait_until("replayed", lambda: replica.value(f"select pg_last_wal_replay_lsn() >= '{end}'"))
    assert replica.value("select count(*) || ' ' || max(i) from kept") == "1002 3000"
    assert "restored log file" in replica.log_text(), "the WAL since came from the store"


def test_a_clone_follows_a_failover_that_came_after_the_backup(site: Site) -> None:
    second = site.make("second")
    site.clone(second)
    site.follow(second, site.primary)
    site.primary.sql("insert into kept values (2000)")
    site.primary.stop()
    second.archive()
    second.pg("pg_ctl", "promote", "--wait", "-D", second.data_dir)
    second.stop()
    second.start()  # archive_mode
    second.sql("insert into kept values (3000)")
    assert site.archived(second).startswith("00000002")
    third = site.make("third")
    assert "timeline 1" in site.clone(third)
    site.follow(third, second)
    wait_until("replayed", lambda: third.value("select max(i) from kept"), until=lambda newest: newest == 3000)
    streams = "select received_tli from pg_stat_wal_receiver"
    wait_until("it streams from the new timeline", lambda: third.sql(streams), until=lambda rows: rows == [(2,)])


def test_a_tablespace_is_cloned_to_where_all_members_have_it(site: Site, workspace: Path) -> None:
    space = workspace / "space"
    space.mkdir()
    shutil.chown(space, USER, USER)
    site.primary.sql(f"create tablespace elsewhere location '{space}'")
    site.primary.sql("create table in_space tablespace elsewhere as select 1 i")
    assert site.primary.ops("backup", "create").returncode == 0
    replica = site.make("replica")
    assert f"{space} is not empty" in site.clone(replica, exit_code=1)  # here both members are one machine
    assert nothing_left(replica)
    site.primary.stop()
    shutil.move(space, workspace / "space.primary")
    space.mkdir()
    shutil.chown(space, USER, USER)
    site.clone(replica)
    (link,) = (replica.data_dir / "pg_tblspc").iterdir()
    assert link.readlink() == space
    assert [path.name[:6] for path in space.iterdir()] == ["PG_15_"]


def test_without_a_backup_it_says_so_and_leaves_nothing(site: Site) -> None:
    for manifest in site.stored("manifest"):
        manifest.unlink()
    replica = site.make("replica")
    (replica.base / "data.clone.json").write_text("the one before")
    said = site.clone(replica, exit_code=1)
    assert "there is no base backup of 'main'" in said
    assert "not cloned from the store" in said
    assert nothing_left(replica)


def test_a_damaged_backup_leaves_nothing_in_the_way_of_the_fallback(site: Site) -> None:
    for pack in (path for path in site.stored("*") if path.parent.name == "packs"):
        pack.write_bytes(b"\0" * pack.stat().st_size)
    replica = site.make("replica")
    assert "damaged" in site.clone(replica, exit_code=1)
    assert nothing_left(replica)


def test_an_archive_with_a_gap_after_the_backup_is_not_cloned_from(site: Site) -> None:
    site.primary.sql("insert into kept values (2000)")
    missing = site.archived(site.primary)
    site.primary.sql("insert into kept values (3000)")
    site.archived(site.primary)
    for path in site.stored(missing):
        path.unlink()
    replica = site.make("replica")
    said = site.clone(replica, exit_code=1)
    assert missing in said
    assert nothing_left(replica)


def test_an_archive_that_is_ahead_of_the_leader_s_timeline_is_not_cloned_from(site: Site) -> None:
    site.primary.stop()
    stray = site.make("stray")
    stray.clone(site.primary.data_dir)
    stray.recover()
    stray.start()
    wait_until("the stray server is promoted", lambda: not stray.value("select pg_is_in_recovery()"))
    stray.sql("insert into kept values (2000)")
    assert site.archived(stray).startswith("00000002")
    assert stray.ops("backup", "create").returncode == 0
    identifier = int(site.system_identifier)
    repository = repository_in(site.store, identifier, stray.keys)
    with pytest.raises(OpsError, match="timeline 2, and the leader is on 1"):
        choose(repository, Origin(identifier, timeline=1))
    assert choose(repository, Origin(identifier, timeline=2)).timeline == 2


def test_data_is_never_overwritten(site: Site) -> None:
    said = site.clone(site.primary, exit_code=1)
    assert "is not empty; nothing was written" in said
    assert site.primary.value("select count(*) from kept") == 1000


def test_what_a_killed_clone_has_left_does_not_stop_the_next(site: Site, workspace: Path) -> None:
    replica, space = site.make("replica"), workspace / "space"
    left = replica.base / "data.cloning"
    for path in (space / "PG_15_202209061", left / "pg_tblspc", left / "base"):
        path.mkdir(parents=True)
        (path / "1").touch()
    (left / "pg_tblspc" / "1").unlink()
    (left / "pg_tblspc" / "16400").symlink_to(space)
    for path in (space, left):
        os.chown(path, *_user_of(replica))
        for below in path.rglob("*"):
            os.chown(below, *_user_of(replica), follow_symlinks=False)
    site.clone(replica)
    assert not left.exists()
    assert list(space.iterdir()) == []
    assert (replica.data_dir / "global" / "pg_control").exists()


def _user_of(host: Host) -> tuple[int, int]:
    status = host.base.stat()
    return status.st_uid, status.st_gid
