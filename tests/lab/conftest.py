"""One fleet for all lab tests: booted and deployed at the first, gone without a trace after the last."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from ops.deploys.inventory import load
from ops.errors import OpsError, Unreachable
from ops.lab import drive
from ops.lab.breakage import Scene
from ops.lab.drive import CHECKOUT, Deployed
from ops.lab.pager import Pager
from ops.lab.paging import pager_of

from .. import waiting

OPS = Path(sys.executable).parent / "ops"
MEMBERS = ("pg1", "pg2", "pg3")
HOSTS = (*MEMBERS, "ts1", "ts2", "r1", "r2", "r3", "lb1", "s3", "drill1", "mon1")
Seen = TypeVar("Seen")


def ops(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`ops` on the controller."""
    return subprocess.run([OPS, *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=600)


def wait_until(
    what: str, look: Callable[[], Seen], *, deadline: float = 90, until: Callable[[Seen], bool] = bool
) -> Seen:
    """As everywhere, with the patience that a fleet needs, and undeterred by hosts that are down meanwhile."""
    return waiting.wait_until(what, look, deadline=deadline, until=until, despite=OpsError, pause=0.5)


@dataclass
class Fleet:
    """The deployed lab. `first` is what its first deploy did; `pager` is told of all that its alerts are about, from
    then on: where nobody listened, Alertmanager would page about that."""

    logs: Path
    first: Deployed
    pager: Pager
    count: int = field(default=0)

    def deploy(self, *arguments: str) -> Deployed:
        self.count += 1
        return drive.deploy(self.logs / f"deploy{self.count}.log", *arguments)

    def leader(self) -> str:
        return drive.leader(MEMBERS)

    def wait_until_healthy(self) -> str:
        """The leader, once every member is healthy."""
        return wait_until_healthy(MEMBERS)


def wait_until_healthy(members: Sequence[str]) -> str:
    """The leader of a cluster, once each of its members sees a leader and nobody who is not well."""

    def look() -> str:
        for member in members:
            unwell = [one["name"] for one in drive.members(member) if one["state"] not in ("running", "streaming")]
            if unwell:
                raise Unreachable(f"{member} sees {', '.join(unwell)} unwell")
        return drive.leader(members)

    return wait_until(f"{', '.join(members)} are healthy", look, deadline=120)


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """With OPS_TEST_FLEET=keep the lab that runs is used and left: for who writes one of these tests."""
    logs = tmp_path_factory.mktemp("lab-logs")
    if os.environ.get("OPS_TEST_FLEET") == "keep":
        with pager_of(load(CHECKOUT / drive.INVENTORY)) as pager:
            fleet = Fleet(logs, drive.deploy(logs / "deploy0.log"), pager)
            fleet.wait_until_healthy()
            yield fleet
        return
    ops("lab", "down")
    booted = ops("lab", "up")
    assert booted.returncode == 0, booted.stderr
    try:
        with pager_of(load(CHECKOUT / drive.INVENTORY)) as pager:
            fleet = Fleet(logs, drive.deploy(logs / "deploy0.log"), pager)
            fleet.wait_until_healthy()
            yield fleet
    finally:
        down = ops("lab", "down")
    assert down.returncode == 0, down.stderr


@pytest.fixture(scope="session")
def watched(fleet: Fleet) -> Scene:
    """The deployed lab with what only time brings."""
    scene = Scene(load(CHECKOUT / drive.INVENTORY))
    fleet.wait_until_healthy()
    scene.give_a_past()
    return scene
