"""Every host of the cluster dies at once, with its disk and with etcd, while a client writes: the store brings it back.

Before the last file, which takes the lab down; the fleet is whole again at the end. Step by step it is "The whole
cluster is gone" of docs/runbooks/restore.md.
"""

from __future__ import annotations

import json
import logging
import time

import pytest

from ops.errors import Unreachable
from ops.failover.clients import TABLE, Running, writing
from ops.failover.ways import through_router
from ops.lab import drive, faults

from .conftest import MEMBERS, Fleet, ops, wait_until

pytestmark = pytest.mark.lab

CLUSTER, DATABASE = "pg_main", "pend_production"
ANALYTICS = ("ts1", "ts2")  # another cluster, which loses its etcd by this; deployed where its packages could be had
DATA = "/var/lib/postgresql/15/pg_main"
PG_CTL = f"cd / && runuser -u postgres -- /usr/lib/postgresql/15/bin/pg_ctl -D {DATA} -w -t 300"
PROMISED = 2.0  # seconds (DESIGN.md, section 6, live tail)
BEFORE = 10.0  # seconds of writing after the last segment that is archived whole


def test_a_cluster_that_is_lost_whole_has_every_row_acknowledged_two_seconds_before(fleet: Fleet) -> None:
    leader = fleet.wait_until_healthy()
    analytics = analytics_leader()
    drive.ask(leader, "ops backup create", deadline=300)
    with writing(through_router(DATABASE)) as journal:
        archived_whole(leader)
        time.sleep(BEFORE)
        died = time.monotonic()
        faults.lose(*MEMBERS)
    promised = {row for row, at in journal.confirmed if at <= died - PROMISED}
    assert max(at for _, at in journal.confirmed) > died - 1, "it wrote until the end"

    proven = drill()
    assert ops("lab", "up").returncode == 0
    fleet.deploy("--limit", CLUSTER, "--data", f"hold={CLUSTER}")
    if analytics:
        analytics_comes_back(analytics)
    first = MEMBERS[0]
    drive.ask(first, f"ops backup restore latest --to {DATA} --target latest", deadline=300)
    open_it(first)
    restored = rows(first, journal)
    missing = sorted({row for row, _ in journal.confirmed} - restored)
    logging.getLogger(__name__).info("%d of %d rows are missing at the end", len(missing), len(journal.confirmed))
    assert sorted(promised - restored) == []

    drive.ask(first, f"{PG_CTL} -m fast stop", deadline=320)
    drive.ask(first, f"sed -i -E '/^(restore_command|recovery_)/d' {DATA}/postgresql.auto.conf")
    drive.ask(first, "systemctl start patroni")
    wait_until(f"{first} leads", lambda: drive.leader([first]), until=first.__eq__)
    fleet.deploy()
    leader = fleet.wait_until_healthy()
    for member in MEMBERS:
        wait_until(f"the rows on {member}", lambda member=member: rows(member, journal), until=restored.__eq__)  # type: ignore[misc]
    assert fleet.deploy().changes == {}, "a deploy after it changes nothing"
    with writing(through_router(DATABASE)) as after:
        time.sleep(2)
    assert after.lost(through_router(DATABASE)) == [], "the way in is as it was"
    drive.ask(leader, "ops backup create", deadline=300)
    gaps = drive.ask_json(leader, "ops wal gaps --json")
    assert (gaps["complete"], gaps["holes"]) == (True, [])
    assert drill() > proven, "it crossed to the new timeline"


def archived_whole(leader: str) -> None:
    """Some segments end, and are in the archive: the tail has to go on from there."""
    for _ in range(3):
        time.sleep(1)
        segment = drive.sql(leader, "SELECT pg_walfile_name(pg_switch_wal())")
    wait_until(
        f"{segment} is archived",
        lambda: drive.sql(leader, "SELECT last_archived_wal FROM pg_stat_archiver"),
        until=lambda last: last >= segment,
    )


def drill() -> int:
    """What is in the store restores, by proof; the timeline that it ends on."""
    outcome = drive.run("drill1", "ops drill restore --target latest --json", deadline=300)
    assert outcome.returncode == 0, outcome.stderr + outcome.stdout
    return int(json.loads(outcome.stdout)["timeline"])


def open_it(host: str) -> None:
    """Let the restored server end its recovery on a timeline of its own, archived."""
    drive.ask(host, f"sed -i '/^archive_mode/d' {DATA}/postgresql.auto.conf")
    drive.ask(host, f"{PG_CTL} -l /tmp/recovery.log -o '-c listen_addresses=' start >/dev/null", deadline=320)
    wait_until("recovery has ended", lambda: drive.sql(host, "SELECT pg_is_in_recovery()"), until="f".__eq__)
    drive.sql(host, "SELECT pg_switch_wal()")
    wait_until("its WAL is archived", lambda: drive.sql(host, "SELECT last_archived_wal FROM pg_stat_archiver"))


def rows(host: str, journal: Running) -> set[int]:
    """The writer's rows that the server on `host` has."""
    found = drive.sql(host, f"SELECT id FROM {TABLE} WHERE run = '{journal.run}'", DATABASE)
    return {int(row) for row in found.splitlines()}


def analytics_leader() -> str | None:
    """Who leads the analytics cluster, if there is one."""
    try:
        return drive.leader(ANALYTICS)
    except Unreachable:
        return None


def analytics_comes_back(led: str) -> None:
    """Patroni does not believe an etcd that knows nothing, until it is restarted (docs/runbooks/members.md)."""
    for member in sorted(ANALYTICS, key=lambda member: member != led):
        drive.ask(member, "systemctl restart patroni")

    def look() -> bool:
        for member in ANALYTICS:
            drive.ask(member, "ops cluster show", deadline=20)
        return True

    wait_until("the analytics cluster is healthy", look, deadline=180)
