"""A whole cluster back to a moment: a table that was dropped is on every member again, and the old data are kept."""

from __future__ import annotations

import json
import shlex
import threading
from collections.abc import Iterator
from subprocess import CompletedProcess

import pytest

from ops.lab import drive

from .conftest import HOSTS, MEMBERS, Fleet, wait_until

pytestmark = pytest.mark.lab

DATA = "/var/lib/postgresql/15/pg_main"
DATABASE = "pend_production"


@pytest.fixture
def dropped(fleet: Fleet) -> Iterator[tuple[str, str]]:
    """The leader, and the moment before a table of 100 rows was dropped there; all of it archived."""
    leader = fleet.wait_until_healthy()
    drive.ask(leader, "ops backup create", deadline=300)
    drive.sql(leader, "CREATE TABLE treasure AS SELECT generate_series(1, 100) AS n", DATABASE)
    moment = drive.sql(leader, "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.USZ')")
    drive.sql(leader, "DROP TABLE treasure", DATABASE)
    segment = drive.sql(leader, "SELECT pg_walfile_name(pg_switch_wal())")
    wait_until(
        "the drop is archived",
        lambda: drive.sql(leader, "SELECT last_archived_wal FROM pg_stat_archiver"),
        until=lambda last: last >= segment,
    )
    yield leader, moment
    for member in MEMBERS:
        drive.run(member, f"rm -rf {DATA}.before-* {DATA}.restored-* {DATA}.swap-*")


def test_the_name_is_asked_for_and_without_it_nothing_is_touched(fleet: Fleet, dropped: tuple[str, str]) -> None:
    leader, moment = dropped
    before = drive.start_times(MEMBERS)
    outcome = drive.run(leader, f"ops cluster restore --target {moment} --confirm pg_mian", deadline=600)
    assert outcome.returncode == 2, outcome.stderr
    assert "treasure" in outcome.stdout
    assert drive.start_times(MEMBERS) == before
    follower = next(member for member in MEMBERS if member != leader)
    refused = drive.run(follower, f"ops cluster restore --target {moment} --confirm pg_main")
    assert (refused.returncode, f"{leader} leads" in refused.stderr) == (1, True), refused.stderr


def test_a_cluster_goes_back_to_a_moment_and_the_old_data_are_kept(fleet: Fleet, dropped: tuple[str, str]) -> None:
    leader, moment = dropped
    others = [member for member in MEMBERS if member != leader]
    looked = drive.ask_json(leader, f"ops cluster restore --target {moment} --look --json", deadline=600)
    name = looked["id"]
    (change,) = [one for one in looked["changes"] if one["table"] == "public.treasure"]
    assert (change["live"], change["restored"] is not None) == (None, True)

    done: list[CompletedProcess[str]] = []
    command = f"ops cluster restore --swap {name} --confirm pg_main --wait 300"
    swap = threading.Thread(target=lambda: done.append(drive.run(leader, command, deadline=900)))
    swap.start()
    for member in others:
        drive.ask(member, f"systemctl stop ops-heartbeat patroni && mv {DATA} {DATA}.before-{name}", deadline=200)
    swap.join()
    assert done[0].returncode == 0, done[0].stderr
    assert f"mv {DATA} {DATA}.before-{name}" in done[0].stderr  # what was done above is what it says
    assert drive.sql(leader, "SELECT count(*) FROM treasure", DATABASE) == "100"

    for member in others:
        drive.ask(member, "systemctl start patroni ops-heartbeat")
    assert fleet.wait_until_healthy() == leader
    for member in MEMBERS:
        count = wait_until(
            f"the table on {member}",
            lambda member=member: drive.sql(member, "SELECT count(*) FROM treasure", DATABASE),  # type: ignore[misc]
            until=lambda found: found == "100",
        )
        assert count == "100"
        assert drive.ask(member, f"cat {DATA}.before-{name}/PG_VERSION") == "15"
    settings = drive.ask(leader, f"cat {shlex.quote(DATA)}/postgresql.auto.conf")
    assert "recovery_target" not in settings
    before = drive.start_times(HOSTS)
    assert fleet.deploy("--limit", "pg_main").changes == {}, "a deploy after it changes nothing"
    assert drive.start_times(HOSTS) == before
    drive.ask(leader, "ops backup create", deadline=300)
    assert drive.ask_json(leader, "ops wal gaps --json")["complete"] is True
    outcome = drive.run("drill1", "ops drill restore --target latest --json", deadline=300)
    assert outcome.returncode == 0, outcome.stderr
    assert json.loads(outcome.stdout)["timeline"] > looked["timeline"], "it crossed to the new timeline"
