"""The lab's own promises: up repairs and otherwise does nothing, down leaves nothing."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

from ops.lab import drive, faults, network, paths

from .conftest import HOSTS, Fleet, ops

pytestmark = pytest.mark.lab


def status() -> dict[str, dict[str, object]]:
    outcome = ops("lab", "status", "--json")
    return {host["host"]: host for host in json.loads(outcome.stdout)["hosts"]}


def test_up_on_a_running_lab_does_nothing(fleet: Fleet) -> None:
    before = {name: host["pid"] for name, host in status().items()}
    assert ops("lab", "up").returncode == 0
    assert {name: host["pid"] for name, host in status().items()} == before
    assert set(before) == set(HOSTS)


def test_up_boots_a_host_that_died_with_its_data(fleet: Fleet) -> None:
    drive.ask("drill1", "echo kept > /root/kept && sync")
    faults.kill("drill1")
    assert status()["drill1"]["state"] == "stopped"
    assert ops("lab", "status").returncode == 1
    assert ops("lab", "up").returncode == 0
    assert drive.ask("drill1", "cat /root/kept") == "kept"
    assert ops("lab", "status").returncode == 0


def test_an_unknown_host_is_answered_with_the_nearest_name(fleet: Fleet) -> None:
    outcome = ops("lab", "ssh", "dril1")
    assert outcome.returncode == 2
    assert "drill1" in outcome.stderr


def test_down_leaves_no_process_mount_link_rule_or_file(fleet: Fleet) -> None:
    outcome = ops("lab", "down")
    assert outcome.returncode == 0, outcome.stderr
    lines = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert [line for line in lines if "ops-lab" in line] == []
    assert "ops-lab" not in Path("/proc/self/mountinfo").read_text()
    assert [name for name in network.links() if name == "opslab0" or name.startswith("vb-")] == []
    assert not network.has_table(paths.from_environment())
    assert not Path("/var/lib/ops-lab").exists()
    assert [path for path in Path("/sys/fs/cgroup").rglob("*ops-lab*") if path.is_dir()] == []
