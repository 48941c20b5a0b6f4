"""Archiving, backups and drills on the deployed fleet, and what they say when things are wrong."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from ops.lab import drive, faults

from .conftest import HOSTS, MEMBERS, Fleet, wait_until

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def loaded(fleet: Fleet) -> Iterator[Fleet]:
    """The fleet with a backup, a load running, and WAL archived beyond the backup."""
    leader = fleet.wait_until_healthy()
    drive.ask(leader, "cd / && runuser -u postgres -- pgbench -q -i -s 5 pend_production")
    start_load(leader)
    backup = drive.ask_json(leader, "ops backup create --json", deadline=300)
    beats = "SELECT max(id) FROM ops.heartbeat"
    enough = int(drive.sql(leader, beats)) + 5
    wait_until("moments to choose from", lambda: int(drive.sql(leader, beats)), until=lambda beat: beat >= enough)
    switch(leader)
    wait_until(
        "a segment beyond the backup", lambda: newest_segment(leader), until=lambda s: s > backup["last_segment"]
    )
    yield fleet
    for member in MEMBERS:
        drive.run(member, "systemctl stop load")


def start_load(leader: str) -> None:
    """It goes on until the tests of this file are over."""
    drive.ask(leader, "systemd-run -q --collect --unit=load -p User=postgres pgbench -R 100 -T 900 pend_production")


def switch(leader: str) -> str:
    """End the current segment; its name."""
    return drive.sql(leader, "SELECT pg_walfile_name(pg_switch_wal())")


def newest_segment(host: str) -> str:
    document = drive.ask_json(host, "ops wal list --json")
    return str(max(timeline["newest"] for timeline in document["timelines"]))


def drill(target: str) -> subprocess.CompletedProcess[str]:
    return drive.run("drill1", f"ops drill restore --target {target} --json", deadline=300)


def assert_clean(host: str) -> None:
    """A drill leaves no process and no data behind."""
    assert drive.ask(host, "ls -A /var/lib/ops/drill").split() in ([], ["lock"])
    assert drive.run(host, "pgrep -x postgres").returncode == 1


def prove(target: str) -> dict[str, Any]:
    """The evidence of a drill: everything is proven, and stored as it was told."""
    outcome = drill(target)
    assert outcome.returncode == 0, outcome.stderr
    evidence = json.loads(outcome.stdout)
    assert evidence["verdict"] == "proven"
    assert all(check["proven"] for check in evidence["checks"])
    assert evidence["rto"]["seconds"] < evidence["rto"]["promised"]
    stored = drive.ask_json("drill1", f"ops drill show {evidence['id']} --json")
    assert stored == evidence
    assert_clean("drill1")
    return dict(evidence)


def test_a_drill_under_load_proves_a_random_moment(loaded: Fleet) -> None:
    prove("random")


@pytest.mark.parametrize(
    ("target", "exit_code", "words"),
    [
        ("2099-01-01T00:00:00Z", 1, "future"),
        ("2001-01-01T00:00:00Z", 1, "before"),
        ("yesterday-ish", 2, "--target"),
    ],
)
def test_an_impossible_target_is_refused_in_words(loaded: Fleet, target: str, exit_code: int, words: str) -> None:
    outcome = drill(target)
    assert outcome.returncode == exit_code, outcome.stderr
    assert words in outcome.stderr + outcome.stdout
    assert "Traceback" not in outcome.stderr
    assert_clean("drill1")


def test_an_outage_of_the_store_loses_no_segment(loaded: Fleet) -> None:
    leader = loaded.leader()
    failed_before = int(drive.sql(leader, "SELECT failed_count FROM pg_stat_archiver"))
    drive.ask("s3", "systemctl stop seaweedfs")
    try:
        segments = [switch(leader) for _ in range(3)]
        wait_until(
            "PostgreSQL counts a failed archive_command",
            lambda: int(drive.sql(leader, "SELECT failed_count FROM pg_stat_archiver")),
            until=lambda count: count > failed_before,
        )
        by_hand = drive.run(leader, f"cd /var/lib/postgresql/15/pg_main && ops wal push pg_wal/{segments[0]}")
        assert by_hand.returncode == 3
        assert "https://s3:8333" in by_hand.stderr
        assert "HINT" in by_hand.stderr
        listing = drive.run(leader, "ops backup list --json")
        assert listing.returncode == 3
        assert json.loads(listing.stdout)["exit_code"] == 3
        assert drill("random").returncode == 3
    finally:
        drive.ask("s3", "systemctl start seaweedfs")
    wait_until("all of it is archived", lambda: newest_segment(leader), until=lambda s: s >= segments[-1])
    gaps = drive.ask_json(leader, "ops wal gaps --json")
    assert gaps["complete"] is True
    assert gaps["holes"] == []


def test_a_segment_of_another_database_is_refused(loaded: Fleet) -> None:
    leader = loaded.leader()
    drive.ask(
        "drill1",
        "rm -rf /tmp/foreign && install -d -o postgres /tmp/foreign && cd /tmp/foreign && "
        "runuser -u postgres -- /usr/lib/postgresql/15/bin/initdb -N -D /tmp/foreign/data",
    )
    name = "000000010000000000000001"
    content = drive.ask("drill1", f"base64 -w0 /tmp/foreign/data/pg_wal/{name}; rm -rf /tmp/foreign")
    target = "0000000100000000000000FE"
    drive.run(leader, f"base64 -d > /tmp/{target}", stdin=content)
    outcome = drive.run(leader, f"cd /var/lib/postgresql/15/pg_main && ops wal push /tmp/{target}")
    drive.ask(leader, f"rm /tmp/{target}")
    assert outcome.returncode == 1, outcome.stderr
    assert "system identifier" in outcome.stderr
    timelines = drive.ask_json(leader, "ops wal list --json")["timelines"]
    assert target not in [timeline["newest"] for timeline in timelines]


def test_the_printed_commands_bring_a_dropped_table_back(loaded: Fleet) -> None:
    """As docs/runbooks/restore.md says it: the restored server runs beside everything else, at the target."""
    leader = loaded.leader()
    drive.sql(leader, "CREATE TABLE precious AS SELECT generate_series(1, 100) AS n", "pend_production")
    target = drive.sql(leader, "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.USZ')")
    drive.sql(leader, "DROP TABLE precious", "pend_production")
    segment = switch(leader)
    drive.ask(leader, "ops backup create")  # newer than the target: it must not be chosen
    wait_until("the drop is archived", lambda: newest_segment(leader), until=lambda s: s >= segment)
    where = "/var/lib/ops/restored"
    drive.ask("drill1", "install -d -o postgres -m 700 /var/lib/ops/restored")
    said = drive.ask("drill1", f"ops backup restore latest --to {where} --target {target}")
    start, look, stop = (line.split("  ")[-1].strip() for line in said.splitlines() if "runuser -u postgres" in line)
    try:
        drive.ask("drill1", start + " >/dev/null")
        count = wait_until(
            "it has replayed to the target",
            lambda: drive.ask("drill1", f"cd / && {look} -XAtd pend_production -c 'SELECT count(*) FROM precious'"),
            until=lambda found: found == "100",
        )
        assert count == "100"
    finally:
        drive.run("drill1", f"{stop}; rm -rf {where}")


def test_the_crash_of_the_primary_s_host_loses_nothing_acknowledged_and_a_drill_proves_the_latest(
    loaded: Fleet,
) -> None:
    old = loaded.leader()
    drive.sql(old, "CREATE TABLE acknowledged (n int PRIMARY KEY)", "pend_production")
    for number in range(20):
        drive.sql(old, f"INSERT INTO acknowledged VALUES ({number})", "pend_production")
    faults.kill(old)
    try:
        others = [member for member in MEMBERS if member != old]
        new = wait_until("another member leads", lambda: drive.leader(others), until=lambda name: name != old)
        wait_until(
            "it accepts writes", lambda: drive.sql(new, "SELECT NOT pg_is_in_recovery()"), until=lambda v: v == "t"
        )
        assert drive.sql(new, "SELECT count(*) FROM acknowledged", "pend_production") == "20"
    finally:
        faults.start(old)
    loaded.wait_until_healthy()
    segment = switch(new)
    wait_until("the new timeline is archived", lambda: newest_segment(new), until=lambda s: s >= segment)
    before = drive.start_times(HOSTS)
    assert loaded.deploy("--limit", "pg_main").changes == {}, "a deploy after a failover changes nothing"
    assert drive.start_times(HOSTS) == before
    assert drive.ask_json(new, "ops wal gaps --json")["complete"] is True
    start_load(new)
    assert prove("latest")["timeline"] > 1, "it crossed the failover"
