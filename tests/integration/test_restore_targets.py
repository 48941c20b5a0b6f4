"""Every kind of recovery target, and both branches of a fork, each restored and replayed by a real server.

The history that all tests share: a row for each mark, 1 to 6, with a segment switch after each, on timeline 1; then a
restore to mark 3 that went on as timeline 2, with a row 30. What lies before 1, and after 6, must never be there.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from ops.config import FolderRepository

from ..waiting import wait_until
from .fix_postgres import USER, Host

pytestmark = pytest.mark.integration

MARKS = range(1, 7)


@dataclass
class Story:
    """What happened, and how each mark can be named."""

    primary: Host
    repository: FolderRepository
    backup: str
    tablespace: Path
    times: dict[int, datetime]
    xids: dict[int, int]
    lsns: dict[int, str]
    segments: dict[int, str]


def archived(host: Host) -> str:
    """End the current segment, and wait until it is in the store; its name."""
    segment: str = host.value("select pg_walfile_name(pg_switch_wal())")
    wait_until(
        f"{segment} archived",
        lambda: host.value("select last_archived_wal from pg_stat_archiver"),
        until=lambda last: last is not None and last[8:24] >= segment[8:],
    )
    return segment


@pytest.fixture(scope="module")
def story(module_hosts: Callable[[str], Host]) -> Story:
    primary = module_hosts("primary")
    primary.initdb("--wal-segsize=1")
    repository = primary.folder()
    primary.write_config(repository)
    primary.archive(track_commit_timestamp="on")
    primary.start()
    space = primary.base / "space"
    space.mkdir(mode=0o700)
    shutil.chown(space, USER, USER)
    primary.sql(f"create tablespace elsewhere location '{space}'")
    primary.sql("create table marks (mark int) tablespace elsewhere")
    taken = primary.ops("backup", "create", "--json")
    assert taken.returncode == 0, taken.stderr
    found = Story(primary, repository, json.loads(taken.stdout)["id"], space, {}, {}, {}, {})
    for mark in MARKS:
        with primary.connect() as connection, connection.transaction():
            ((xid,),) = connection.execute("select pg_current_xact_id()::text::int").fetchall()
            connection.execute("insert into marks values (%s)", [mark])
        found.xids[mark] = xid
        # The record that ends the transaction is before this place, and the next one's after it.
        found.lsns[mark] = primary.value("select pg_current_wal_insert_lsn()::text")
        found.times[mark] = primary.value(f"select pg_xact_commit_timestamp('{xid}'::xid)")
        primary.sql(f"select pg_create_restore_point('after {mark}')")
        found.segments[mark] = archived(primary)
    return found


@pytest.fixture(scope="module")
def branch(story: Story, module_hosts: Callable[[str], Host]) -> Host:
    """A server that was restored to mark 3 and went on from there, archiving timeline 2. The primary is gone."""
    story.primary.stop()
    host = restored(story, module_hosts("branch"), "name:after 3")
    host.archive()  # before it ends recovery: its history is archived then or never
    host.start()
    wait_until("paused", lambda: host.value("select pg_get_wal_replay_pause_state()") == "paused")
    host.sql("select pg_wal_replay_resume()")
    wait_until("it has ended recovery", lambda: not host.value("select pg_is_in_recovery()"))
    host.sql("insert into marks values (30)")
    archived(host)
    return host


def restored(story: Story, host: Host, target: str, *options: str) -> Host:
    host.write_config(story.repository)
    outcome = host.ops("backup", "restore", "latest", "--to", host.data_dir, "--target", target, *options)
    assert outcome.returncode == 0, outcome.stderr
    return host


def recovered(story: Story, host: Host, target: str, *options: str) -> Host:
    """A server that has stopped at the target, or ended recovery where that is `latest`."""
    restored(story, host, target, *options)
    host.start()
    if target == "latest":
        wait_until("recovery has ended", lambda: not host.value("select pg_is_in_recovery()"))
    else:
        wait_until("paused", lambda: host.value("select pg_get_wal_replay_pause_state()") == "paused")
    return host


def marks(host: Host) -> list[int]:
    return [mark for (mark,) in host.sql("select mark from marks order by mark")]


@pytest.mark.parametrize("zone", [0, 5.5])
def test_a_time_with_any_zone_is_that_moment(story: Story, hosts: Callable[[str], Host], zone: float) -> None:
    moment = story.times[4].astimezone(timezone(timedelta(hours=zone)))
    assert marks(recovered(story, hosts("new"), moment.isoformat())) == [1, 2, 3, 4]


def test_a_time_without_a_zone_is_utc(story: Story, hosts: Callable[[str], Host]) -> None:
    moment = (story.times[5] - timedelta(microseconds=1)).astimezone(UTC).replace(tzinfo=None)
    assert marks(recovered(story, hosts("new"), moment.isoformat(sep=" "))) == [1, 2, 3, 4]


def test_a_transaction_is_the_last_one(story: Story, hosts: Callable[[str], Host]) -> None:
    assert marks(recovered(story, hosts("new"), f"xid:{story.xids[2]}")) == [1, 2]


def test_a_place_in_the_wal_is_the_last_one(story: Story, hosts: Callable[[str], Host]) -> None:
    assert marks(recovered(story, hosts("new"), f"lsn:{story.lsns[5]}")) == [1, 2, 3, 4, 5]


def test_a_restore_point_is_found_by_name(story: Story, hosts: Callable[[str], Host]) -> None:
    assert marks(recovered(story, hosts("new"), "name:after 1")) == [1]


def test_immediate_is_the_end_of_the_backup(story: Story, hosts: Callable[[str], Host]) -> None:
    assert marks(recovered(story, hosts("new"), "immediate")) == []


def test_the_newest_timeline_is_followed_unless_another_is_named(
    story: Story, branch: Host, hosts: Callable[[str], Host]
) -> None:
    assert marks(recovered(story, hosts("newest"), "latest")) == [1, 2, 3, 30]
    assert marks(recovered(story, hosts("first"), "latest", "--timeline", "1")) == list(MARKS)


def test_a_timeline_that_is_not_there_is_refused(story: Story, branch: Host, workspace: Path) -> None:
    outcome = branch.ops(
        "backup", "restore", "latest", "--to", workspace / "new", "--target", "latest", "--timeline", "7"
    )
    assert (outcome.returncode, "timeline 7" in outcome.stderr) == (1, True), outcome.stderr
    assert "It has: 1, 2" in outcome.stderr
    assert not (workspace / "new").exists()


@pytest.mark.parametrize("by", ["oid", "path"])
def test_a_tablespace_goes_where_it_is_told(story: Story, hosts: Callable[[str], Host], by: str) -> None:
    host = hosts("new")
    (oid,) = [link.name for link in (story.primary.data_dir / "pg_tblspc").iterdir()]
    place = host.base / "somewhere" / "else"
    name = oid if by == "oid" else str(story.tablespace)
    recovered(story, host, "name:after 2", "--tablespace", f"{name}={place}")
    assert host.value(f"select pg_tablespace_location({oid})") == str(place)
    assert marks(host) == [1, 2]
    assert not (host.base / "data.tablespaces").exists()


def test_a_tablespace_is_not_put_where_something_is(story: Story, hosts: Callable[[str], Host]) -> None:
    host = hosts("new")
    host.write_config(story.repository)
    command = ["backup", "restore", "latest", "--to", str(host.data_dir), "--tablespace"]
    for place, words in (
        (story.tablespace, "is not empty"),
        (host.data_dir / "space", "It lies in"),
        ("", "OID=DIR"),
    ):
        outcome = host.ops(*command, f"{story.tablespace}={place}")
        assert (outcome.returncode in (1, 2), words in outcome.stderr) == (True, True), outcome.stderr
    assert any(story.tablespace.iterdir())


def test_no_restore_goes_across_a_gap(story: Story, hosts: Callable[[str], Host], workspace: Path) -> None:
    """Mark 4's segment is gone: up to mark 3 all is well, and everything else is refused by name, and by moment."""
    host = hosts("new")
    host.write_config(story.repository)
    (lost,) = story.repository.path.glob(f"pend/main/*/wal/00000001/{story.segments[4]}")
    lost.rename(workspace / "lost")
    try:
        for target in ("latest", story.times[4].isoformat(), story.times[5].isoformat(), f"lsn:{story.lsns[6]}"):
            outcome = host.ops(
                "backup", "restore", "latest", "--to", host.data_dir, "--target", target, "--timeline", "1"
            )
            assert (outcome.returncode, "behind a gap" in outcome.stderr) == (1, True), outcome.stderr
            assert f"Missing: {story.segments[4]}." in outcome.stderr
            moment = story.times[3].astimezone(UTC).isoformat().replace("+00:00", "Z")
            assert f"any moment before {moment}" in outcome.stderr
            assert not host.data_dir.exists()
        before = (story.times[3] - timedelta(microseconds=1)).isoformat()
        assert marks(recovered(story, host, before, "--timeline", "1")) == [1, 2]
        # A transaction is not known to lie behind the gap before it is looked for: recovery itself refuses.
        beyond = restored(story, hosts("beyond"), f"xid:{story.xids[5]}", "--timeline", "1")
        beyond.start(check=False)
        beyond.wait_for_log("database system is shut down")
        assert not beyond.running()
    finally:
        (workspace / "lost").rename(lost)
