"""Real servers become a cluster by the steps of a deploy, and come into it again after one has lost its disk."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.model.redis import Server
from ops.model.redis_cluster import (
    Node,
    View,
    Views,
    complaints,
    first_slots,
    former_lives,
    heir,
    master_for,
    orphaned_slots,
    strangers,
    untaken,
)

from ..waiting import CLUSTER_BUS, free_port, wait_until

pytestmark = pytest.mark.integration

MEMBERS = tuple(f"r{number}" for number in range(1, 7))
# What this test is about needs no TLS; test_redis_server.py has it.
OPTIONS = {
    "cluster-enabled": "yes",
    "cluster-node-timeout": "2000",
    "cluster-require-full-coverage": "no",
    "save": "",
    "loglevel": "warning",
}


class Members:
    """Six servers, each with an address and a name of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port(beside=(CLUSTER_BUS,))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        home = self.folder / name
        home.mkdir(exist_ok=True)
        own = {
            "bind": address(name),
            "port": str(self.port),
            "dir": str(home),
            "cluster-announce-ip": address(name),
            "cluster-announce-hostname": name,
        }
        words = [word for key, value in (OPTIONS | own).items() for word in (f"--{key}", value)]
        self._processes[name] = subprocess.Popen(["redis-server", *words], stdout=subprocess.DEVNULL)
        wait_until(f"{name} answers", lambda: self.ask(name, "PING"), until=lambda answer: answer == "PONG")

    def kill(self, name: str) -> None:
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def stop(self) -> None:
        for name in tuple(self._processes):
            self.kill(name)

    def ask(self, name: str, *command: str, stdin: str = "") -> str:
        connection = ["-h", address(name), "-p", str(self.port)]
        return subprocess.run(
            ["redis-cli", *connection, *command], capture_output=True, text=True, timeout=20, check=False, input=stdin
        ).stdout.strip()

    def views(self) -> Views:
        found = {}
        for name in self._processes:
            nodes, _, info = self.ask(name, stdin="CLUSTER NODES\nINFO\n").partition("# Server")
            server = Server.parse(info)
            found[name] = View(tuple(map(Node.parse, filter(None, nodes.splitlines()))), server.keys, server.link_up)
        return found

    def form(self) -> None:
        """As ops/deploys/redis_cluster.py does it, on one host after the other."""
        for name in MEMBERS:
            for other in strangers(name, MEMBERS, self.views()):
                assert self.ask(name, "CLUSTER", "MEET", other, str(self.port)) == "OK"
        wait_until("everybody knows everybody by name", self._acquainted)
        for name in MEMBERS:
            wait_until("the slots have owners that live", lambda: not orphaned_slots(name, self.views()))  # noqa: B023
            for node in former_lives(name, self.views()):
                assert self.ask(name, "CLUSTER", "FORGET", node.id) == "OK"
        for name in MEMBERS:
            if slots := first_slots(name, MEMBERS, 1, self.views()):
                assert self.ask(name, "CLUSTER", "ADDSLOTSRANGE", *map(str, slots)) == "OK"
        wait_until("all slots have an owner", lambda: "without an owner" not in str(self.complaints()))
        for name in MEMBERS:
            if master := master_for(name, MEMBERS, self.views()):
                assert self.ask(name, "CLUSTER", "REPLICATE", master.id) == "OK"
                wait_until("everybody sees it", lambda: self._seen_to_follow(name))  # noqa: B023
        self.wait_until_whole()

    def _acquainted(self) -> bool:
        views = self.views()
        ids = {view.myself.id for view in views.values()}
        return all(ids <= {node.id for node in view.nodes if node.name} for view in views.values())

    def _seen_to_follow(self, name: str) -> bool:
        views = self.views()
        me = views[name].myself.id
        return all(any(node.id == me and node.master_id for node in view.nodes) for view in views.values())

    def complaints(self) -> list[str]:
        return complaints(MEMBERS, 1, self.views())

    def wait_until_whole(self) -> None:
        wait_until("the cluster is whole", self.complaints, until=lambda found: not found, deadline=60)

    def masters(self) -> set[str]:
        return {name for name, view in self.views().items() if view.myself.slots}


def address(name: str) -> str:
    return f"127.0.1.{name.removeprefix('r')}"


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Members]:
    six = Members(tmp_path_factory.mktemp("cluster"))
    try:
        for name in MEMBERS:
            six.start(name)
        six.form()
        yield six
    finally:
        six.stop()


def test_six_servers_become_three_masters_with_a_replica_each(members: Members) -> None:
    assert members.masters() == {"r1", "r2", "r3"}
    assert {name: heir(name, members.views()) for name in ("r1", "r2", "r3")} == {"r1": "r4", "r2": "r5", "r3": "r6"}


def test_after_a_failover_there_is_nothing_to_do(members: Members) -> None:
    old = min(members.masters())
    new = heir(old, members.views())
    assert new
    assert members.ask(new, "CLUSTER", "FAILOVER") == "OK"
    wait_until(f"{new} leads", members.masters, until=lambda names: new in names and old not in names)
    members.wait_until_whole()
    views = members.views()
    assert [first_slots(name, MEMBERS, 1, views) for name in MEMBERS] == [None] * 6
    assert [master_for(name, MEMBERS, views) for name in MEMBERS] == [None] * 6


@pytest.mark.parametrize("role", ["master", "replica"])
def test_a_member_that_lost_its_disk_comes_back_as_a_replica_with_the_data(members: Members, role: str) -> None:
    masters = members.masters()
    lost = max(masters) if role == "master" else min(set(MEMBERS) - masters)
    assert members.ask(min(masters), "-c", "SET", "kept", "yes") == "OK"
    members.kill(lost)
    shutil.rmtree(members.folder / lost)
    wait_until(
        "nobody counts on it", lambda: untaken(lost, members.views()), until=lambda found: not found, deadline=40
    )
    members.start(lost)
    members.form()
    assert lost not in members.masters()
    assert members.ask(lost, "-c", "GET", "kept") == "yes"
