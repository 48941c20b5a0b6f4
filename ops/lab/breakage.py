"""What can be broken in the lab, and how it is mended: for ops.lab.paging.

Everything here is really so. What takes days by itself is made of the same stuff in less time: a certificate is signed
with the date of almost ninety days ago, and the threshold of a backup's age is put at the age that the newest one will
have in a moment.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copyfile
from typing import Any

from ops.deploys import haproxy
from ops.deploys.inventory import Inventory
from ops.deploys.pki import LEAF_LIFE, Authority, host_leaf
from ops.deploys.prometheus import RULES
from ops.errors import Exit, OpsError
from ops.lab import drive, faults
from ops.lab.commands import eventually

PYTHON = "cd / && runuser -u postgres -- /opt/ops/bin/python"
CHECKS = "/opt/ops/sql/checks"
LEFT = timedelta(days=3)  # of a certificate's life: less than the week at which somebody is woken


@dataclass(frozen=True)
class Scene:
    """Where it happens: the first PostgreSQL cluster and the first Redis group of an inventory that is deployed."""

    inventory: Inventory

    @property
    def members(self) -> tuple[str, ...]:
        return self.inventory.groups[self.inventory.clusters[0]]

    @property
    def redis(self) -> tuple[str, ...]:
        return self.inventory.groups[self.inventory.redis_groups[0]]

    def first(self, group: str) -> str:
        """The first host of a group of services."""
        return self.inventory.groups[group][0]

    def leader(self) -> str:
        return drive.leader(self.members)

    def replica(self) -> str:
        leader = self.leader()
        return next(member for member in self.members if member != leader)

    def master(self) -> str:
        """Of the Redis group, by the word of its Sentinels."""
        group = self.inventory.redis_groups[0]
        port = self.inventory.redis(group).sentinel_port
        return drive.ask(self.redis[0], f"redis-operator -p {port} SENTINEL GET-MASTER-ADDR-BY-NAME {group}").split()[0]

    def prometheus(self, path: str) -> Any:
        """What its HTTP API answers."""
        host = self.first("monitoring")
        pki = "/etc/ops/pki"
        show = f"--cacert {pki}/ca.crt --cert {pki}/prometheus.crt --key {pki}/prometheus.key"
        return drive.ask_json(host, f"curl -sSf --max-time 10 {show} 'https://{host}:9090/api/v1/{path}'")["data"]

    def give_a_past(self) -> None:
        """What only time brings, and what pages where it is missing: backups of which one follows the other, looked at,
        a drill, and an audit trail that was read. The exporter of the fleet, which looks at some of it every ten
        minutes, begins anew.

        On the leader, which ends the segment that a backup needs; a replica waits up to a minute until it is ended."""
        for command in ("ops backup create", "ops backup create", "ops backup verify", "ops audit verify --keep"):
            drive.ask(self.leader(), command, deadline=300)
        drive.ask(self.first("drill"), "ops drill restore --target latest", deadline=300)
        drive.ask(self.first("monitoring"), "systemctl restart ops-fleet-exporter")

    def pages(self) -> list[str]:
        """What pages, or is about to, as Prometheus sees it."""
        alerts = [alert for alert in self.prometheus("alerts")["alerts"] if alert["labels"].get("severity") == "page"]
        return sorted({f"{alert['labels']['alertname']} ({alert['state']})" for alert in alerts})


@contextmanager
def primary_killed(scene: Scene) -> Iterator[None]:
    """Its host, as in a power cut. It comes back as a replica."""
    leader = scene.leader()
    faults.kill(leader)
    try:
        yield
    finally:
        faults.start(leader)


@contextmanager
def replica_cut_off(scene: Scene) -> Iterator[None]:
    """From the primary alone: everybody else, and who watches, still reaches it."""
    with _no_way(scene.replica(), to=scene.leader()):
        yield


@contextmanager
def archive_broken(scene: Scene) -> Iterator[None]:
    """The primary alone does not reach the store; who looks at the store from elsewhere sees nothing wrong with it."""
    leader = scene.leader()
    with _no_way(leader, to=scene.first("object_store")):
        drive.sql(leader, "SELECT pg_switch_wal()")
        yield


@contextmanager
def _no_way(host: str, *, to: str) -> Iterator[None]:
    address = faults.host(to).address
    drive.ask(host, f"ip route add unreachable {address}")
    try:
        yield
    finally:
        drive.ask(host, f"ip route del unreachable {address}")


@contextmanager
def segment_deleted(scene: Scene) -> Iterator[None]:
    """One that is archived and followed by others, so that recovery would end before it. Then it is put back."""
    leader, host = scene.leader(), scene.replica()
    for _ in range(4):
        drive.sql(leader, "SELECT pg_logical_emit_message(false, 'lab', 'something to archive'), pg_switch_wal()")
    eventually(lambda: drive.ask_json(host, "ops wal gaps --json")["complete"] is True, deadline=60, every=1)
    key, _, content = drive.ask(host, f'{PYTHON} -c "{_TAKE}"').partition(" ")
    try:
        yield
    finally:
        _feed(host, f'{PYTHON} -c "{_PUT}" {key}', content)


_STORE = (
    "import base64, sys; from ops.config import load; from ops.store import open_store; "
    "repository = load().repository; store = open_store(repository); "
)
_TAKE = _STORE + (
    "keys = [one.key for one in store.list(repository.prefix + '/') if '/wal/' in one.key]; "
    "key = sorted(key for key in keys if len(key.rpartition('/')[2]) == 24)[-3]; "
    "print(key, base64.b64encode(store.get(key)).decode()); store.delete(key)"
)
_PUT = _STORE + "store.put(sys.argv[1], base64.b64decode(sys.stdin.read()))"


@contextmanager
def backup_too_old(scene: Scene) -> Iterator[None]:
    """As the rule sees it, whose thresholds become an age that the newest backup is about to reach. A new backup mends
    it; when that was noticed the rule becomes what it was."""
    watcher, member = scene.first("monitoring"), scene.replica()
    path = f"{RULES}/backup.yml"
    rules = drive.ask(watcher, f"cat {path}") + "\n"
    _write_rules(watcher, path, _at_age(rules, int(_age_of_backup(member)) + 15))
    try:
        yield
        drive.ask(member, "ops backup create", deadline=300)
        eventually(lambda: not scene.pages(), deadline=300, every=2)
    finally:
        _write_rules(watcher, path, rules)


def _age_of_backup(member: str) -> float:
    """Seconds since the newest backup ended."""
    backups = drive.ask_json(member, "ops backup list --json")
    newest = max(datetime.fromisoformat(backup["stop_time"]) for backup in backups)
    return (datetime.now(UTC) - newest).total_seconds()


def _at_age(rules: str, seconds: int) -> str:
    """The rules of BackupTooOld with that threshold and no patience; the others as they are."""
    start, end = rules.index("alert: BackupTooOld"), rules.index("alert: BackupMissing")
    sooner = re.sub(r"> \d+$", f"> {seconds}", rules[start:end], flags=re.MULTILINE)
    return rules[:start] + re.sub(r"for: \w+", "for: 1s", sooner) + rules[end:]


def _write_rules(watcher: str, path: str, rules: str) -> None:
    _feed(watcher, f"cat > {path} && promtool check rules {path} >/dev/null && systemctl reload prometheus", rules)


@contextmanager
def drill_failed(scene: Scene) -> Iterator[None]:
    """A restore is proven by checks, and one is added that no database passes; a drill without it mends it."""
    host = scene.first("drill")
    file, drill = f"{CHECKS}/never.sql", "ops drill restore --target latest --json"
    _feed(host, f"cat > {file}", "-- needs: ops.heartbeat\nSELECT 'broken on purpose' AS violation;\n")
    try:
        failed = drive.run(host, drill, deadline=300)
        if failed.returncode != Exit.NO:
            raise OpsError("the drill did not fail as it should", detail=failed.stderr)
        yield
    finally:
        drive.ask(host, f"rm {file}")
    drive.ask(host, drill, deadline=300)


@contextmanager
def certificate_expiring(scene: Scene) -> Iterator[None]:
    """A router shows a certificate of the site's CA that was signed almost ninety days ago, as far as it says."""
    router, site = scene.first("router"), scene.inventory.site
    leaf = host_leaf("router", router, faults.host(router).address)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("ca.crt", "ca.key"):
            copyfile(site.pki / name, Path(folder) / name)
        old = Authority(Path(folder), site.name).issue(leaf, now=datetime.now(UTC) - LEAF_LIFE + LEFT)
    files = (haproxy.CERTIFICATE, haproxy.KEY)
    drive.ask(router, " && ".join(f"cp -p {file} {file}.kept" for file in files))
    try:
        _feed(router, f"cat > {haproxy.CERTIFICATE}", old.certificate)
        _feed(router, f"cat > {haproxy.KEY}", old.key)
        drive.ask(router, _RELOAD)
        yield
    finally:  # as old as they were: a deploy would reload for files that are newer than its last one
        drive.ask(router, " && ".join([*(f"mv {file}.kept {file}" for file in files), _RELOAD]))


_RELOAD = "haproxy -c -q -f /etc/haproxy/haproxy.cfg && systemctl reload haproxy"


@contextmanager
def redis_master_killed(scene: Scene) -> Iterator[None]:
    """The server's process, and systemd may not bring it back: a replica becomes the master."""
    master, unit = scene.master(), "redis-server.service"
    drive.ask(master, f"systemctl mask -q --runtime {unit} && systemctl kill --signal KILL {unit}")
    try:
        yield
    finally:
        drive.ask(
            master, f"systemctl unmask -q --runtime {unit} && systemctl reset-failed {unit}; systemctl start {unit}"
        )


def _feed(host: str, command: str, text: str) -> None:
    """Run a command that reads `text`; OpsError with its words where it fails. What is fed is shown nowhere."""
    outcome = drive.run(host, command, stdin=text)
    if outcome.returncode:
        raise OpsError(f"{host}: `{command}` failed", detail=outcome.stderr.strip())
