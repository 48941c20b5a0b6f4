"""PostgreSQL itself judges the exit codes: a real server in recovery, with `ops wal fetch` as restore_command.

Nothing here asserts a code. What counts is what the server does: stop, wait, go on, and never promote early.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ops.config import FolderRepository, S3Repository
from ops.model.command import restore_command
from ops.model.segment import WalFile
from ops.store import open_store
from ops.store.base import Store
from ops.store.repository import current

from ..waiting import wait_until
from .fix_archiver import CLIENT
from .fix_postgres import USER, Host
from .fix_store import Weed

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Archived:
    """A primary that has been archived and is gone: its base backup, and its WAL in a folder.

    Rows 1 to 3 were written in one segment each, a restore point named after each of them.
    """

    base: Path
    settings: FolderRepository
    segments: list[str]


@pytest.fixture(scope="module")
def archived(module_hosts: Callable[[str], Host]) -> Archived:
    primary = module_hosts("primary")
    settings = primary.folder()
    primary.initdb("--wal-segsize=1")
    primary.write_config(settings)
    primary.archive()
    primary.start()
    primary.sql("create table proof (row int)")
    base = primary.base / "backup"
    primary.pg("pg_basebackup", "--checkpoint=fast", "--wal-method=none", "--no-sync", "-h", primary.base,
               "-p", str(primary.port), "-U", "postgres", "-D", base)  # fmt: skip
    segments = []
    for row in (1, 2, 3):
        primary.sql(f"insert into proof values ({row})")
        primary.sql(f"select pg_create_restore_point('row {row}')")
        segments.append(primary.value("select pg_walfile_name(pg_switch_wal())"))
    wait_until(
        "the last segment is archived",
        lambda: primary.value("select last_archived_wal from pg_stat_archiver"),
        until=lambda name: name is not None and name >= segments[-1],
    )
    primary.stop("immediate")
    return Archived(base, settings, segments)


@pytest.fixture
def restored(archived: Archived, hosts: Callable[[str], Host]) -> Host:
    """A copy of the base backup, set up to fetch from the folder; recovery.signal is still to be written."""
    host = hosts("restored")
    host.clone(archived.base)
    host.write_config(archived.settings, wal={"standby_patience": 0.5})
    host.configure(archive_mode="off", wal_retrieve_retry_interval="200ms")
    return host


def copy(archived: Archived, target: Store, *, but: str | None = None) -> None:
    """Put all of the archive into another store, one segment left out."""
    source = open_store(archived.settings)
    lost = but and current(source, "pend", "main", None).layout.wal(WalFile.parse(but))
    for stored in source.list(""):
        if stored.key != lost:
            target.put(stored.key, source.get(stored.key))


@pytest.fixture
def holed(archived: Archived, restored: Host) -> Callable[[str], None]:
    """Sets the restored host to an archive that lacks one segment."""

    def lose(name: str) -> None:
        settings = restored.folder("holed")
        copy(archived, open_store(settings), but=name)
        for path in settings.path.rglob("*"):
            shutil.chown(path, USER, USER)
        restored.write_config(settings, wal={"standby_patience": 0.5})

    return lose


@pytest.fixture
def nowhere(s3_settings: S3Repository) -> S3Repository:
    """A bucket at an address where nobody answers."""
    return s3_settings.model_copy(update={"endpoint": "https://localhost:1", "attempts": 1})


def stopped_before_it_promoted(host: Host, said: str) -> str:
    """The server's log, once it has stopped; that it never ended its recovery is checked."""
    log = host.wait_for_log("database system is shut down")
    wait_until("the server is gone", lambda: not host.running())
    assert said in log, log
    assert "archive recovery complete" not in log
    assert "ready to accept connections" not in log
    assert "Latest checkpoint's TimeLineID:       1\n" in host.pg("pg_controldata", host.data_dir).stdout
    return log


def rows(host: Host) -> list[int]:
    return [row for (row,) in host.sql("select row from proof order by row")]


def test_with_a_complete_archive_recovery_ends_at_the_target(restored: Host) -> None:
    restored.recover(recovery_target_name="row 2", recovery_target_action="promote")
    restored.start()
    wait_until("it is promoted", lambda: restored.value("select not pg_is_in_recovery()"))
    assert rows(restored) == [1, 2]
    assert restored.value("select timeline_id from pg_control_checkpoint()") == 2


# What cannot answer: the first three do not come to the client's first line, and Python leaves with 1 from all but one.
BROKEN = {
    "no client": "/usr/bin/python3 -I -S /nowhere/python3.*/client.py",
    "no Python": "/nowhere/python3 -I -S client.py",
    "no standard library": f"PYTHONHOME=/nowhere /usr/bin/python3 -S {CLIENT}",
    "half a client": "/usr/bin/python3 -I -S {base}/half.py",
    "no packages": f"/usr/bin/python3 -I -S {CLIENT} --socket /nowhere --ops {{base}}/ops",
}


def broken(host: Host, how: str) -> str:
    """A restore_command as it is deployed, with a client that cannot answer."""
    host.write(host.base / "half.py", CLIENT.read_text()[:-1000] + "(")
    host.write(host.base / "ops", "#!/usr/bin/python3 -IS\nfrom ops.__main__ import main\nmain()\n", mode=0o700)
    return restore_command(BROKEN[how].format(base=host.base))


@pytest.mark.parametrize("how", BROKEN)
def test_recovery_stops_when_the_client_cannot_even_begin(restored: Host, how: str) -> None:
    restored.write(restored.data_dir / "recovery.signal", "")
    restored.configure(restore_command=broken(restored, how))
    restored.start(check=False)
    stopped_before_it_promoted(restored, "could not restore file")


def test_recovery_stops_when_the_client_is_killed(restored: Host) -> None:
    restored.write(restored.data_dir / "recovery.signal", "")
    restored.configure(restore_command=restore_command("kill -9 $$;"))
    restored.start(check=False)
    stopped_before_it_promoted(restored, "could not restore file")


@pytest.mark.parametrize("how", ["no client", "no packages"])
def test_a_standby_outlives_a_broken_client_and_can_be_promoted(restored: Host, how: str) -> None:
    restored.recover(standby=True)
    restored.start()
    wait_until("it has caught up", lambda: rows(restored), until=lambda seen: seen == [1, 2, 3])
    restored.configure(restore_command=broken(restored, how))
    restored.sql("select pg_reload_conf()")
    said = "can't open file" if how == "no client" else "No module named 'ops'"
    wait_until("it asks the broken client", lambda: restored.log_text().count(said) >= 2)
    assert restored.value("select pg_is_in_recovery()")
    for timeline in (2, 3):  # the second time from one that has a history, which the server made itself
        assert restored.value("select pg_promote(true, 30)")
        restored.sql(f"insert into proof values ({2 + timeline})")
        restored.sql("checkpoint")
        assert restored.value("select timeline_id from pg_control_checkpoint()") == timeline
        restored.stop()
        restored.write(restored.data_dir / "standby.signal", "")
        restored.start()
    assert rows(restored) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("target", ["row 2", ""])
def test_recovery_stops_when_the_store_is_unreachable(restored: Host, nowhere: S3Repository, target: str) -> None:
    restored.write_config(nowhere)
    restored.recover(recovery_target_name=target, recovery_target_action="promote")
    restored.start(check=False)
    log = stopped_before_it_promoted(restored, "could not restore file")
    assert nowhere.bucket in log


def test_recovery_to_a_target_stops_at_a_missing_segment(
    restored: Host, archived: Archived, holed: Callable[[str], None]
) -> None:
    holed(archived.segments[1])
    restored.recover(recovery_target_name="row 3", recovery_target_action="promote")
    restored.start(check=False)
    stopped_before_it_promoted(restored, f"{archived.segments[1]} is missing")


def test_recovery_without_a_target_stops_at_a_missing_segment_instead_of_losing_the_rest(
    restored: Host, archived: Archived, holed: Callable[[str], None]
) -> None:
    holed(archived.segments[1])
    restored.recover()
    restored.start(check=False)
    stopped_before_it_promoted(restored, f"{archived.segments[1]} is missing")


def test_recovery_to_a_target_behind_the_last_segment_fails_instead_of_ending_early(
    restored: Host, archived: Archived, holed: Callable[[str], None]
) -> None:
    holed(archived.segments[2])
    restored.recover(recovery_target_name="row 3", recovery_target_action="promote")
    restored.start(check=False)
    stopped_before_it_promoted(restored, "recovery ended before configured recovery target was reached")


def test_recovery_without_a_target_takes_all_wal_there_is(restored: Host) -> None:
    restored.recover()
    restored.start()
    wait_until("it is promoted", lambda: restored.value("select not pg_is_in_recovery()"))
    assert rows(restored) == [1, 2, 3]


def test_a_standby_outlives_an_outage_of_the_store_and_goes_on_after_it(
    restored: Host, archived: Archived, weed: Weed, s3_settings: S3Repository, nowhere: S3Repository
) -> None:
    copy(archived, open_store(s3_settings))
    restored.write_config(nowhere, wal={"standby_patience": 0.3})
    restored.recover(standby=True)
    restored.start(check=False)
    log = restored.wait_for_log("because this is a standby")
    wait_until("it asks again", lambda: restored.log_text().count("because this is a standby") >= 2)
    assert restored.running(), log
    restored.write_config(s3_settings, wal={"standby_patience": 0.3})
    restored.wait_for_log("ready to accept read-only connections")
    wait_until("it has caught up", lambda: rows(restored), until=lambda seen: seen == [1, 2, 3])
    assert restored.value("select pg_is_in_recovery()")
    before = restored.log_text().count("because this is a standby")
    weed.kill()
    try:
        wait_until("it notices", lambda: restored.log_text().count("because this is a standby") > before)
        assert rows(restored) == [1, 2, 3]
    finally:
        weed.start()


def test_a_standby_can_be_promoted_while_the_store_is_unreachable(restored: Host, nowhere: S3Repository) -> None:
    restored.recover(standby=True)
    restored.start()
    wait_until("it has caught up", lambda: rows(restored), until=lambda seen: seen == [1, 2, 3])
    restored.write_config(nowhere, wal={"standby_patience": 0.3})
    assert restored.value("select pg_promote(true, 30)")
    restored.sql("insert into proof values (4)")
    assert rows(restored) == [1, 2, 3, 4]
    # Once more, from a timeline that has a history: the one that it made itself.
    restored.stop()
    restored.recover(standby=True)
    restored.start()
    assert restored.value("select pg_promote(true, 30)")
    restored.sql("checkpoint")
    assert restored.value("select timeline_id from pg_control_checkpoint()") == 3
    history = (restored.data_dir / "pg_wal" / "00000003.history").read_text()
    assert [line.split("\t")[0] for line in history.splitlines() if line] == ["1", "2"]


def test_a_fast_shutdown_during_a_fetch_is_a_shutdown(restored: Host, nowhere: S3Repository) -> None:
    restored.write_config(nowhere, wal={"standby_patience": 600})
    restored.recover(standby=True)
    restored.start(check=False)
    restored.wait_for_log("does not answer")
    restored.stop("fast")
    assert "database system is shut down" in restored.log_text()
