"""`ops drift` finds every fault that is planted, names it, and nothing else; `ops plan` says what a change would do.

The faults are planted in batches of faults that have nothing to do with each other; each must be found, and whatever is
found must be one of them.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.lab import drive, faults
from ops.lab.drive import CHECKOUT

from .conftest import MEMBERS, Fleet, ops, wait_until

pytestmark = pytest.mark.lab

STORE, ROUTER, CACHE, SPARE = "s3", "lb1", "r1", "drill1"
INVENTORY = CHECKOUT / drive.INVENTORY
PSQL = "cd / && runuser -u postgres -- psql -XAtq"
POOLER = f"{PSQL} -h /run/pgbouncer -p 6432 pgbouncer"
REDIS = "redis-operator"
DROP_IN = "/etc/systemd/system/pgbouncer.service.d/50-by-hand.conf"


@dataclass(frozen=True)
class Fault:
    """Something done by hand on a host, how it is undone, and what `ops drift` must say of it."""

    host: str
    plant: str
    mend: str
    seen: str


def altered(host: str, path: str, change: str, seen: str) -> Fault:
    """A file that is changed by `change`, and put back with its time."""
    kept = f"/root/{Path(path).name}.kept"
    return Fault(host, f"cp -a {path} {kept} && {change}", f"cp -a {kept} {path} && rm {kept}", f"{path} {seen}")


def told_haproxy(server: str, order: str, back: str, seen: str) -> Fault:
    def tell(words: str) -> str:
        return (
            "python3 -c \"import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/haproxy/admin.sock'); "
            f"s.sendall(b'set server {server} {words}\\n'); s.recv(100)\""
        )

    return Fault(ROUTER, tell(order), tell(back), f"HAProxy: server {server} {seen}")


def altered_setting(host: str, name: str, value: str) -> Fault:
    reload = "-c 'SELECT pg_reload_conf()'"
    plant = f"{PSQL} -c \"ALTER SYSTEM SET {name} = '{value}'\" {reload}"
    return Fault(host, plant, f"{PSQL} -c 'ALTER SYSTEM RESET {name}' {reload}", name)


def batches(leader: str, replica: str) -> list[list[Fault]]:
    """Each fault of a batch shows by itself: no two have to do with the same thing of the same host."""
    production = f"{PSQL} -d pend_production"
    patronictl = "patronictl -c /etc/patroni/patroni.yml"
    return [
        [
            altered(leader, "/etc/default/etcd", "echo '# by hand' >> /etc/default/etcd", "has other contents"),
            Fault(replica, "systemctl stop ops-heartbeat", "systemctl start ops-heartbeat", "ops-heartbeat.service is"),
            Fault(STORE, "systemctl disable -q seaweedfs", "systemctl enable -q seaweedfs", "seaweedfs.service is dis"),
            Fault(SPARE, "touch /opt/ops/sql/more.sql", "rm /opt/ops/sql/more.sql", "Copy the SQL that ops runs"),
            Fault(leader, f"{PSQL} -c 'ALTER ROLE pend_app CREATEDB'", f"{PSQL} -c 'ALTER ROLE pend_app NOCREATEDB'",
                  "role pend_app"),
            told_haproxy(f"pg_main_replicas/{replica}", "state maint", "state ready", "is in maintenance"),
            Fault(CACHE, f"{REDIS} CONFIG SET maxmemory 64mb", f"{REDIS} CONFIG SET maxmemory 512mb", "maxmemory"),
        ],
        [
            Fault(leader, "chmod 666 /etc/patroni/patroni.yml", "chmod 644 /etc/patroni/patroni.yml",
                  "/etc/patroni/patroni.yml has mode 666, not 644"),
            altered_setting(replica, "work_mem", "9MB"),
            altered(SPARE, "/etc/security/limits.d/60-pend-ops.conf", "rm /etc/security/limits.d/60-pend-ops.conf",
                    "is missing"),
            Fault(leader, f"{production} -c 'DROP EXTENSION amcheck'", f"{production} -c 'CREATE EXTENSION amcheck'",
                  "amcheck"),
            told_haproxy(f"pg_main_primary/{leader}", "weight 50%", "weight 100%", "has weight"),
            Fault(CACHE, f"{REDIS} ACL SETUSER intruder on nopass +@all", f"{REDIS} ACL DELUSER intruder", "intruder"),
        ],
        [
            Fault(leader, "chmod 444 /etc/ops/secrets/role_pend_app", "chmod 400 /etc/ops/secrets/role_pend_app",
                  "/etc/ops/secrets/role_pend_app has mode 444, not 400"),
            altered_setting(replica, "max_connections", "150"),
            Fault(leader, f"{patronictl} edit-config --force -q -s loop_wait=6",
                  f"{patronictl} edit-config --force -q -s loop_wait=5", "loop_wait"),
            Fault(replica, f"{POOLER} -c 'SET default_pool_size = 5'", "systemctl reload pgbouncer",
                  "PgBouncer: default_pool_size is 5, not 20"),
            Fault(SPARE, "ln -sfn /bin/true /usr/local/bin/ops", "ln -sfn /opt/ops/bin/ops /usr/local/bin/ops",
                  "Put ops on the PATH"),
        ],
        [
            Fault(leader, f"printf '[Service]\\nNice=5\\n' > {DROP_IN}", f"rm {DROP_IN} && systemctl daemon-reload",
                  f"pgbouncer.service is changed by {DROP_IN}"),
            Fault(replica, "touch /etc/default/etcd", "touch -d '1 year ago' /etc/default/etcd",
                  "etcd.service runs with older files"),
            Fault(leader, f"{PSQL} -c 'CREATE ROLE intruder SUPERUSER'", f"{PSQL} -c 'DROP ROLE intruder'",
                  "role intruder"),
            Fault(leader, f"{PSQL} -c \"ALTER DATABASE pend_production SET work_mem = '1MB'\"",
                  f"{PSQL} -c 'ALTER DATABASE pend_production RESET work_mem'", "pend_production"),
            Fault(leader, f"{patronictl} pause --wait", f"{patronictl} resume --wait", "Patroni is paused"),
            Fault(replica, f"{POOLER} -c 'PAUSE pend_production'", f"{POOLER} -c 'RESUME pend_production'",
                  "PgBouncer: database pend_production is paused"),
            Fault(ROUTER, "systemctl mask -q --runtime haproxy", "systemctl unmask -q --runtime haproxy",
                  "haproxy.service is masked"),
        ],
    ]  # fmt: skip


def drift(*arguments: str) -> tuple[int, dict[str, Any]]:
    outcome = ops("drift", str(INVENTORY), "--json", *arguments)
    assert outcome.stdout, outcome.stderr
    return outcome.returncode, json.loads(outcome.stdout)


def plan(folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    outcome = ops("plan", str(folder), "--json", *arguments)
    assert outcome.stdout, outcome.stderr
    return outcome.returncode, json.loads(outcome.stdout)


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """A copy of the lab's inventory, to be changed."""
    shutil.copytree(INVENTORY.parent, tmp_path / "inventory")
    return tmp_path / "inventory"


def set_parameter(inventory: Path, line: str) -> None:
    """In the group data of pg_main."""
    file = inventory / "group_data" / "pg_main.py"
    file.write_text(file.read_text() + f'\npostgres.setdefault("settings", {{}}).update({line})\n')


def test_an_untouched_fleet_has_no_drift_and_nothing_to_deploy(fleet: Fleet) -> None:
    assert drift() == (0, {"findings": [], "failures": {}})
    code, document = plan(INVENTORY)
    assert (code, document["changes"], document["impacts"]) == (0, [], [])


def test_twenty_planted_faults_are_found_and_named_and_nothing_else(fleet: Fleet) -> None:
    leader = fleet.leader()
    replica = next(member for member in MEMBERS if member != leader)
    count = 0
    for batch in batches(leader, replica):
        try:
            for fault in batch:
                drive.ask(fault.host, fault.plant)
            code, document = drift()
        finally:
            for fault in batch:
                drive.ask(fault.host, fault.mend)
        found = [(finding["host"], finding["what"]) for finding in document["findings"]]
        assert (code, document["failures"]) == (1, {})
        missed = [f for f in batch if not any(host == f.host and f.seen in what for host, what in found)]
        strange = [one for one in found if not any(one[0] == f.host and f.seen in one[1] for f in batch)]
        assert (missed, strange) == ([], [])
        assert all(finding["mend"] for finding in document["findings"])
        count += len(batch)
    assert count >= 20
    wait_until("all is mended", lambda: drift()[0], until=lambda code: code == 0)


def test_a_host_that_cannot_be_reached_is_named_and_leaves_the_answer_open(fleet: Fleet) -> None:
    faults.partition(SPARE)
    try:
        code, document = drift("--limit", SPARE, "--limit", STORE)
    finally:
        faults.heal(SPARE)
    assert (code, document["findings"], list(document["failures"])) == (3, [], [SPARE])


def test_a_restart_only_setting_is_planned_as_restart_and_switchover_and_nothing_else(
    fleet: Fleet, inventory: Path
) -> None:
    set_parameter(inventory, '{"max_connections": 200}')
    code, document = plan(inventory)
    assert code == 0
    (change,) = document["changes"]
    assert change["what"] == "max_connections 100 → 200"
    assert change["impacts"] == document["impacts"] == ["restart", "switchover"]
    assert change["hosts"] == list(MEMBERS)
    assert drive.sql(fleet.leader(), "SHOW max_connections") == "100", "a plan changes nothing"


def test_a_reloadable_setting_is_planned_as_reload(fleet: Fleet, inventory: Path) -> None:
    set_parameter(inventory, '{"work_mem": "8MB"}')
    _, document = plan(inventory, "--limit", "pg_main")
    assert [(change["what"], change["impacts"]) for change in document["changes"]] == [
        ("work_mem 4MB → 8MB", ["reload"])
    ]


def test_an_inventory_with_a_mistake_is_refused_before_any_host_is_asked(fleet: Fleet, inventory: Path) -> None:
    set_parameter(inventory, "{}")
    (inventory / "hosts.py").write_text((inventory / "hosts.py").read_text().replace("etcd =", "etdc ="))
    for command in ("plan", "drift"):
        outcome = ops(command, str(inventory))
        assert outcome.returncode == 2
        assert "did you mean 'etcd'?" in outcome.stderr
