"""Members come and go: a host that has lost its disk, and a replica that leaves its cluster and returns."""

from __future__ import annotations

import json

import pytest

from ops.failover.clients import writing
from ops.failover.ways import through_router
from ops.lab import drive, faults

from .conftest import MEMBERS, Fleet, wait_until

pytestmark = pytest.mark.lab

DATA = "/var/lib/postgresql/15/pg_main"


def states(host: str) -> dict[str, str]:
    """The members of the cluster and how they are, as `host` sees it."""
    document = json.loads(drive.run(host, "ops cluster show --json").stdout)
    return {member["name"]: member["state"] for member in document["members"]}


def wait_until_streaming(member: str, seen_from: str) -> None:
    """A new replica first replays what was written since the backup, on a machine with more to do."""
    wait_until(
        f"{member} streams",
        lambda: states(seen_from),
        until=lambda found: found.get(member) == "streaming",
        deadline=300,
    )


def etcd_members(host: str) -> dict[str, str]:
    """As `states`, of etcd."""
    document = json.loads(drive.run(host, "ops etcd members --json").stdout)
    return {member["member"]: member["state"] for member in document["members"]}


def slots(leader: str) -> list[str]:
    return drive.sql(leader, "SELECT slot_name FROM pg_replication_slots").splitlines()


def test_a_host_that_lost_its_disk_is_replaced_by_one_deploy(fleet: Fleet) -> None:
    leader = fleet.wait_until_healthy()
    lost, other = (member for member in MEMBERS if member != leader)
    backup = drive.ask_json(leader, "ops backup create --json", deadline=300)
    before = drive.start_times([leader, other])
    dsn = through_router("pend_production")
    with writing(dsn) as journal:
        faults.replace(lost)
        assert etcd_members(leader)[lost] == "does not answer"
        refused = drive.run(leader, f"ops etcd remove {lost}")
        assert (refused.returncode, "is in the inventory" in refused.stderr) == (1, True)
        fleet.deploy("--limit", lost)
        wait_until_streaming(lost, leader)
    assert journal.failures == []
    assert journal.lost(dsn) == []
    assert etcd_members(leader) == dict.fromkeys(MEMBERS, "healthy")
    assert drive.start_times([leader, other]) == before, "nothing was restarted for it elsewhere"
    assert drive.ask_json(lost, f"cat {DATA}.clone.json")["backup"] == backup["id"]
    said = drive.ask(lost, "journalctl -u patroni --no-pager -o cat")
    assert f"ops backup clone: restoring backup {backup['id']}" in said
    assert "replica has been created using ops" in said
    fleet.wait_until_healthy()


def test_a_member_that_is_removed_is_forgotten_and_returns_with_a_deploy(fleet: Fleet) -> None:
    leader = fleet.wait_until_healthy()
    leaving, other = (member for member in MEMBERS if member != leader)

    def refused(host: str, member: str) -> str:
        outcome = drive.run(host, f"ops cluster remove {member}")
        assert outcome.returncode == 1, outcome.stdout
        return outcome.stderr

    assert f"{leader} leads the cluster" in refused(leaving, leader)
    assert f"Run the same command on {leaving}" in refused(leader, leaving)
    removed = drive.ask_json(leaving, f"ops cluster remove {leaving} --json", deadline=300)
    assert (removed["slot"], removed["stopped_here"]) == ("dropped", True)
    assert sorted(states(leader)) == sorted([leader, other])
    assert leaving not in slots(leader)
    assert f"{other} is needed for the synchronous quorum" in refused(other, other)
    assert drive.ask(leaving, f"test -e {DATA}/global/pg_control && systemctl is-enabled patroni || true") == "disabled"
    changes = fleet.deploy("--limit", leaving).changes
    assert "PostgreSQL | Start patroni.service" in changes
    wait_until_streaming(leaving, leader)
    fleet.wait_until_healthy()
    assert leaving in slots(leader)
    assert fleet.deploy("--limit", "pg_main").changes == {}
