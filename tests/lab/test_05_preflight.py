"""The preflight on a real fleet: what it finds stops a deploy, and finding it changes nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ops.errors import OpsError
from ops.lab import drive, faults

from .conftest import Fleet, ops, wait_until

pytestmark = pytest.mark.lab

ETCD = ("pg1", "pg2", "pg3")
MEMBER, UNREACHABLE = "pg1", "drill1"
CLUSTER, FREE_PORT = "pg_main", 16432


def preflight(inventory: Path | None = None) -> tuple[int, list[dict[str, Any]]]:
    """The exit code and the problems."""
    outcome = ops("preflight", str(inventory or drive.INVENTORY), "--json")
    document = json.loads(outcome.stdout)
    return outcome.returncode, [finding for finding in document["findings"] if finding["is_problem"]]


@contextmanager
def stopped(unit: str, hosts: tuple[str, ...]) -> Iterator[None]:
    for host in hosts:
        drive.ask(host, f"systemctl stop {unit}")
    try:
        yield
    finally:
        for host in hosts:
            drive.ask(host, f"systemctl start {unit}")


def test_the_deployed_fleet_is_fit_for_a_deploy(fleet: Fleet) -> None:
    assert preflight() == (0, [])


def test_a_port_that_another_program_holds_is_named_with_that_program(fleet: Fleet, tmp_path: Path) -> None:
    shutil.copytree(drive.INVENTORY.parent, tmp_path / "lab")
    with (tmp_path / "lab" / "group_data" / f"{CLUSTER}.py").open("a") as data:
        data.write(f'\npooler = {{"port": {FREE_PORT}}}\n')
    assert preflight(tmp_path / "lab") == (0, [])
    drive.ask(MEMBER, f"systemd-run -q --collect --unit=squatter python3 -m http.server {FREE_PORT}")
    try:
        found = wait_until("it is found", lambda: preflight(tmp_path / "lab"), until=lambda seen: seen[0] == 1)
    finally:
        drive.ask(MEMBER, "systemctl stop squatter")
    assert [(one["host"], one["what"]) for one in found[1]] == [
        (MEMBER, f"port {FREE_PORT}, for PgBouncer, is held by python3 (squatter.service)")
    ]


def test_a_host_that_does_not_answer_is_a_problem_and_the_verdict_unknown(fleet: Fleet) -> None:
    faults.partition(UNREACHABLE)
    try:
        code, problems = preflight()
    finally:
        faults.heal(UNREACHABLE)
    assert code == 3
    assert [(one["host"], one["check"]) for one in problems] == [(UNREACHABLE, "reachable")]


def test_without_a_majority_of_etcd_a_deploy_stops_before_any_change(fleet: Fleet) -> None:
    lost = ETCD[: len(ETCD) // 2 + 1]
    with stopped("etcd", lost):
        code, problems = preflight()
        with pytest.raises(OpsError) as refused:
            fleet.deploy()
    assert "there is no majority" in str(refused.value.detail)
    assert "Starting operation" not in str(refused.value.detail)
    assert code == 1
    assert {one["check"] for one in problems} == {"etcd"}
    assert set(lost) <= {one["host"] for one in problems}
    wait_until("etcd has its majority again", preflight, until=lambda seen: seen == (0, []))
    fleet.wait_until_healthy()
