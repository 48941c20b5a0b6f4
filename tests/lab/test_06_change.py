"""Changing a running fleet while somebody writes through the router: settings, releases, roles, and who leads."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ops.failover.clients import Running, writing
from ops.failover.ways import through_router
from ops.lab import drive
from ops.lab.drive import CHECKOUT

from .conftest import HOSTS, MEMBERS, Fleet

pytestmark = pytest.mark.lab

DATABASE = "pend_production"


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """A copy of the lab's, to be changed."""
    return shutil.copytree(CHECKOUT / drive.INVENTORY.parent, tmp_path / "lab") / "hosts.py"


def change(inventory: Path, lines: str) -> None:
    """Add lines to the main cluster's group data."""
    with (inventory.parent / "group_data" / "pg_main.py").open("a") as file:
        file.write(lines)


def deploy(inventory: Path) -> None:
    command = [f"{Path(sys.executable).parent}/pyinfra", "-y", "--limit", "pg_main", str(inventory), "deploy.py"]
    outcome = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=600)
    assert outcome.returncode == 0, outcome.stderr[-4000:]


@contextmanager
def watched() -> Iterator[Running]:
    """A writer through the router, and afterwards: no row that was confirmed to it is lost."""
    with writing(dsn := through_router(DATABASE)) as journal:
        yield journal
    assert journal.lost(dsn) == []


def timeline(host: str) -> int:
    """As Patroni sees it: a control file knows a new one only from its next checkpoint on."""
    members = drive.ask_json(host, "ops cluster show --json")["members"]
    return max(int(member["timeline"]) for member in members)


def everywhere(statement: str) -> set[str]:
    return {drive.sql(member, statement) for member in MEMBERS}


def older_release() -> str:
    """A release that the package source offers besides the one that runs; empty where there is no other."""
    running = drive.sql(MEMBERS[0], "SHOW server_version").split()[0]
    lines = drive.ask(MEMBERS[0], "apt-get update -qq; apt-cache madison postgresql-15").splitlines()
    releases = {line.split("|")[1].strip().partition("-")[0] for line in lines}
    return min(releases - {running}, default="")


def test_a_reloadable_setting_is_deployed_without_a_restart_and_without_a_failed_write(
    fleet: Fleet, inventory: Path
) -> None:
    leader = fleet.wait_until_healthy()
    before, then = drive.start_times(HOSTS), timeline(leader)
    change(inventory, 'postgres["settings"] = {"work_mem": "6MB"}\n')
    with watched() as journal:
        deploy(inventory)
    assert journal.failures == []
    assert everywhere("SHOW work_mem") == {"6MB"}
    assert drive.start_times(HOSTS) == before
    assert timeline(leader) == then


def test_a_restart_only_setting_and_a_minor_release_are_rolled_out_by_one_deploy_with_one_switchover(
    fleet: Fleet, inventory: Path
) -> None:
    leader = fleet.wait_until_healthy()
    then, running = timeline(leader), drive.sql(leader, "SHOW server_version").split()[0]
    release = older_release() or running
    change(
        inventory,
        'postgres["settings"] = {"max_connections": 110}\n'
        f'postgres["package_version"] = "{release}"\n'
        'postgres["roles"] |= {"pend_guest": {"login": False}}\n',
    )
    with watched():
        deploy(inventory)
    assert everywhere("SHOW max_connections") == {"110"}
    assert {version.split()[0] for version in everywhere("SHOW server_version")} == {release}
    leader = fleet.wait_until_healthy()
    assert timeline(leader) == then + 1
    assert drive.ask_json(leader, "ops cluster restart --check --json") == {"pending": []}

    # Back again. A standby may not have fewer connections than its primary: now the primary comes first, in place.
    (inventory.parent / "group_data" / "pg_main.py").write_text(
        (CHECKOUT / drive.INVENTORY.parent / "group_data" / "pg_main.py").read_text()
    )
    change(inventory, f'postgres["package_version"] = "{running}"\n')
    with watched():
        deploy(inventory)
    assert everywhere("SHOW max_connections") == {"100"}
    assert {version.split()[0] for version in everywhere("SHOW server_version")} == {running}
    assert timeline(fleet.wait_until_healthy()) == then + 1, "nobody switched"
    assert fleet.deploy("--limit", "pg_main").changes == {}, "they are as the inventory of the lab has them"


def test_what_left_the_inventory_is_kept_until_it_is_named(fleet: Fleet) -> None:
    leader = fleet.wait_until_healthy()
    drive.sql(leader, "CREATE ROLE of_somebody_else")
    try:
        kept = drive.ask_json(leader, "ops cluster apply --check --json")["kept"]
        assert kept == ["role pend_guest"]
        for name in ("pend_app", "of_somebody_else"):
            refused = drive.run(leader, f"ops cluster apply --allow-drop {name}")
            assert refused.returncode == 2, refused.stderr
        made = drive.ask_json(leader, "ops cluster apply --allow-drop pend_guest --json")["made"]
        assert made == ["drop role pend_guest"]
        roles = drive.sql(leader, "SELECT rolname FROM pg_roles").split()
        assert "pend_guest" not in roles
        assert {"pend_app", "of_somebody_else"} <= set(roles)
    finally:
        drive.sql(leader, "DROP ROLE IF EXISTS of_somebody_else")


def test_a_switchover_is_one_command_on_any_member_and_refused_where_it_makes_no_sense(fleet: Fleet) -> None:
    leader = fleet.wait_until_healthy()
    replica = next(member for member in MEMBERS if member != leader)
    assert drive.run(replica, f"ops cluster switchover {leader}").returncode == 2
    assert drive.run(replica, "ops cluster switchover nobody").returncode == 2
    with watched() as journal:
        made = drive.ask_json(replica, f"ops cluster switchover {replica} --json", deadline=180)
    assert (made["old"], made["new"]) == (leader, replica)
    assert made["seconds"] <= journal.longest_gap()
    assert fleet.leader() == replica
    assert drive.ask_json(replica, "ops cluster apply --check --json")["pending"] == [], "restore_command is back"


def test_what_was_changed_by_hand_is_named_by_drift(fleet: Fleet) -> None:
    leader = fleet.wait_until_healthy()
    assert drive.ask_json(leader, "ops cluster drift --json") == {"differences": []}
    drive.sql(leader, "ALTER SYSTEM SET work_mem = '32MB'")
    drive.sql(leader, "SELECT pg_reload_conf()")
    try:
        outcome = drive.run(leader, "ops cluster drift --json")
        assert outcome.returncode == 1, outcome.stderr
        found = {difference["what"] for difference in json.loads(outcome.stdout)["differences"]}
        assert "work_mem = 32MB by ALTER SYSTEM" in found
    finally:
        drive.sql(leader, "ALTER SYSTEM RESET work_mem")
        drive.sql(leader, "SELECT pg_reload_conf()")
    assert drive.ask_json(leader, "ops cluster drift --json") == {"differences": []}
