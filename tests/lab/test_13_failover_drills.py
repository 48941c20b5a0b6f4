"""Failover drills on the real fleet: each fault once, what its report says, and who is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ops.failover.clients import TABLE
from ops.failover.faults import FAULTS
from ops.lab import drive
from ops.lab.drive import CHECKOUT

from .conftest import Fleet, ops

pytestmark = pytest.mark.lab

KEEPER = "drill1"  # the host that stores the evidence
DATABASE = "pend_production"


def runs(leader: str) -> set[str]:
    """The runs that have left rows: those of other tests do."""
    if drive.sql(leader, f"SELECT to_regclass('{TABLE}') IS NULL", DATABASE) == "t":
        return set()
    return set(drive.sql(leader, f"SELECT DISTINCT run FROM {TABLE}", DATABASE).split())


def drill(kind: str, *arguments: str) -> dict[str, Any]:
    """The report of a drill of the main cluster that has passed."""
    outcome = ops("failover", "drill", kind, "--yes", "--json", *arguments)
    assert outcome.returncode == 0, outcome.stderr + outcome.stdout
    document = json.loads(outcome.stdout)
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize("kind", [fault.name for fault in FAULTS])
def test_a_fault_loses_nothing_and_redundancy_comes_back(fleet: Fleet, kind: str, tmp_path: Path) -> None:
    leader = fleet.wait_until_healthy()
    before = runs(leader)
    page = tmp_path / "report.html"
    report = drill(kind, "--html", str(page))
    assert report["verdict"] == "passed"
    assert report["before"]["leader"] == leader
    assert report["after"]["leader"] != leader
    assert report["after"]["timeline"] > report["before"]["timeline"]
    assert report["after"]["redundancy"] == report["before"]["redundancy"] == {"streaming": 2, "synchronous": 2}
    assert {name: report["rows"][name] for name in ("lost", "lost_on_old", "strays", "late")} == {
        "lost": 0,
        "lost_on_old": 0,
        "strays": 0,
        "late": 0,
    }
    assert report["rows"]["acknowledged"] > 100
    seen = {client["name"]: client for client in report["clients"]}
    assert all(seen[route]["acknowledged"] for route in ("write", "read", "direct"))
    assert seen["write, held"]["refused"] == seen["direct, held"]["refused"] == 1, "old sessions notice, once"
    if kind == "partition":
        beside = seen["beside the old primary"]
        assert beside["acknowledged"] > 20, "it wrote until the old primary was alone, …"
        assert beside["refused"] > 0, "… and was refused when that was no primary any more"
    assert "<svg" in page.read_text()
    stored = drive.ask_json(KEEPER, "ops drill failovers --last 1 --json")
    assert stored == [report]
    assert runs(fleet.leader()) == before, "what the drill wrote is gone, and nothing else"


def test_without_a_terminal_nothing_is_broken_unless_it_is_said(fleet: Fleet) -> None:
    leader = fleet.wait_until_healthy()
    outcome = ops("failover", "drill", "switchover")
    assert outcome.returncode == 2
    assert "--yes" in outcome.stderr
    assert fleet.leader() == leader


@pytest.mark.parametrize("kind", ["host-kill", "partition"])
def test_what_only_the_lab_can_do_is_refused_elsewhere(fleet: Fleet, kind: str) -> None:
    outcome = ops("failover", "drill", kind, "--yes", "--inventory", str(CHECKOUT / "inventories" / "production"))
    assert outcome.returncode == 2
    assert "is for the lab" in outcome.stderr


def test_an_inventory_that_only_has_the_lab_s_names_is_not_the_lab(fleet: Fleet, tmp_path: Path) -> None:
    folder = tmp_path / "inventory"
    for file in (CHECKOUT / drive.INVENTORY).parent.rglob("*.py"):
        copy = folder / file.relative_to((CHECKOUT / drive.INVENTORY).parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(file.read_text().replace("/var/lib/ops-lab/ssh_config", "/etc/ssh/ssh_config"))
    outcome = ops("failover", "drill", "host-kill", "--yes", "--inventory", str(folder))
    assert outcome.returncode == 2
    assert "is for the lab" in outcome.stderr
