"""`ops status` against a real repository and a real Alertmanager, while the servers of the cluster are gone."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from ops.config import FolderRepository
from ops.deploys.pki import Authority, host_leaf
from ops.errors import Unreachable
from ops.fleet import Fleet, load
from ops.model.segment import WalFile
from ops.status.alerts import look
from ops.status.document import Document

from ..waiting import free_port, wait_until
from .fix_postgres import OPS, USER, Host, run_as_postgres
from .fix_store import repository_in

pytestmark = pytest.mark.integration

ALERTMANAGER = "prometheus-alertmanager"
LOOPBACK = IPv4Address("127.0.0.1")


@dataclass
class Site:
    """A host that knows of a fleet: one cluster whose repository is there, and whose members are not."""

    host: Host
    folder: Path
    place: FolderRepository
    alerts_port: int

    @property
    def fleet_file(self) -> Path:
        return self.folder / "fleet.toml"

    @property
    def fleet(self) -> Fleet:
        return load(self.fleet_file)

    def status(self, *options: str | Path) -> subprocess.CompletedProcess[str]:
        return run_as_postgres([OPS, "status", *options], cwd=self.folder, env={"OPS_FLEET": str(self.fleet_file)})

    def document(self) -> Document:
        return Document.model_validate_json(self.status("--json").stdout)


@pytest.fixture(scope="module")
def site(module_hosts: Callable[[str], Host]) -> Site:
    host = module_hosts("pg")
    place = host.folder()
    host.initdb("--wal-segsize=1")
    host.write_config(place)
    host.archive()
    host.start()
    assert host.ops("backup", "create").returncode == 0
    for _ in range(4):
        host.sql("select pg_logical_emit_message(true, 'test', repeat('x', 1000)), pg_switch_wal()")
    host.archive_all()
    host.stop()
    found = Site(host, host.base, place, free_port())
    material = Authority(host.base / "pki", "test").issue(host_leaf("monitor", "localhost", LOOPBACK, client=True))
    host.write(host.base / "monitor.crt", material.certificate)
    host.write(host.base / "monitor.key", material.key, mode=0o400)
    for path in (host.base / "pki", host.base / "pki" / "ca.crt"):
        path.chmod(0o755)
    nowhere = free_port()
    host.write(
        found.fleet_file,
        f"""
        site = "test"
        alertmanager = "https://localhost:{found.alerts_port}"
        [identity]
        ca_file = "{host.base}/pki/ca.crt"
        cert_file = "{host.base}/monitor.crt"
        key_file = "{host.base}/monitor.key"
        [clusters.main]
        config = "{host.config_file}"
        rpo_seconds = 1000000
        schedules = {{ backup = "*-*-* 02:00:00" }}
        [clusters.main.members]
        pg1 = {{ address = "localhost", port = {nowhere}, api_port = {nowhere}, pooler_port = {nowhere} }}
        """.replace("\n        ", "\n"),
    )
    return found


@contextmanager
def alertmanager(site: Site) -> Iterator[Callable[[list[dict[str, Any]]], None]]:
    """A real one, for who shows a certificate of the CA; what posts alerts to it."""
    folder = site.folder
    (folder / "web.yml").write_text(
        json.dumps({
            "tls_server_config": {
                "cert_file": f"{folder}/monitor.crt", "key_file": f"{folder}/monitor.key",
                "client_ca_file": f"{folder}/pki/ca.crt", "client_auth_type": "RequireAndVerifyClientCert",
                "min_version": "TLS13",
            }
        })
    )  # fmt: skip
    (folder / "am.yml").write_text(json.dumps({"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}))
    shutil.rmtree(folder / "am", ignore_errors=True)
    command = [
        ALERTMANAGER, f"--config.file={folder}/am.yml", f"--web.config.file={folder}/web.yml",
        f"--storage.path={folder}/am",
        f"--web.listen-address=127.0.0.1:{site.alerts_port}", "--cluster.listen-address=",
    ]  # fmt: skip
    with (folder / "am.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ)
    context = ssl.create_default_context(cafile=str(folder / "pki" / "ca.crt"))
    context.load_cert_chain(folder / "monitor.crt", folder / "monitor.key")

    def post(alerts: list[dict[str, Any]]) -> None:
        url = f"https://localhost:{site.alerts_port}/api/v2/alerts"
        request = urllib.request.Request(url, json.dumps(alerts).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            assert answer.status == 200

    try:
        wait_until("it answers", lambda: look(site.fleet), despite=Unreachable)
        yield post
    finally:
        process.terminate()
        process.wait(20)


def test_what_is_out_of_reach_is_unknown_and_what_the_repository_holds_is_shown(site: Site) -> None:
    outcome = site.status("--json")
    document = Document.model_validate_json(outcome.stdout)
    (cluster,) = document.clusters
    assert cluster.recovery.value is not None, cluster.recovery.trouble
    assert cluster.recovery.value.start is not None
    assert cluster.recovery.value.gaps == []
    assert cluster.backups.value is not None
    assert cluster.schedules.value is not None
    assert cluster.schedules.value[0].last_run is not None
    assert document.alerts is not None
    assert document.alerts.value is None
    assert str(site.alerts_port) in document.alerts.trouble
    assert cluster.readiness.value is None or cluster.readiness.value.verdict != "ready"
    assert document.verdict in ("failed", "unknown")
    assert outcome.returncode == {"failed": 1, "unknown": 3}[document.verdict]


def test_the_screen_names_each_problem_and_the_page_is_written_where_it_is_wanted(site: Site) -> None:
    document, screen = site.document(), site.status().stdout
    for problem in document.problems:
        assert problem.what.split()[0] in screen
    assert "main" in screen
    assert all(line == line.rstrip() for line in screen.splitlines())
    page = site.folder / "status.html"
    assert site.status("--html", page).stdout == ""
    assert page.read_text().startswith("<!doctype html>")
    assert site.status("--html", site.folder / "no" / "such" / "folder.html").returncode == 1


def test_a_cluster_that_there_is_not_is_a_mistake_in_the_command(site: Site) -> None:
    outcome = site.status("mian")
    assert outcome.returncode == 2
    assert "did you mean 'main'?" in outcome.stderr


def test_a_gap_in_the_archive_is_wrong_whatever_else_is_unknown(site: Site) -> None:
    (identifier,) = [int(path.name) for path in (site.place.path / "pend" / "main").iterdir()]
    repository = repository_in(site.place, identifier, site.host.keys)
    names = [stored.key.rpartition("/")[2] for stored in repository.store.list(repository.layout.wal_root)]
    lost = [name for name in names if len(name) == 24][-2]
    key = repository.layout.wal(WalFile.parse(lost))
    body = repository.store.get(key)
    repository.store.delete(key)
    try:
        outcome = site.status("--json")
    finally:
        repository.store.put(key, body)
        shutil.chown(site.place.path / key, USER, USER)
    document = Document.model_validate_json(outcome.stdout)
    assert outcome.returncode == 1
    assert any(lost in problem.what and problem.verdict == "failed" for problem in document.problems)


def test_alerts_come_from_a_real_alertmanager_and_the_one_that_always_fires_is_no_problem(site: Site) -> None:
    def alert(name: str, severity: str, **labels: str) -> dict[str, Any]:
        notes = {"summary": f"{name} it is", "command": "ops wal gaps", "runbook_url": f"docs/runbooks/{name}.md"}
        begun = datetime.now(UTC).isoformat()
        labels |= {"alertname": name, "severity": severity}
        return {"labels": labels, "annotations": notes, "startsAt": begun}

    with alertmanager(site) as post:
        quiet = look(site.fleet)
        assert (quiet.firing, quiet.heartbeat) == ([], False)
        post([
            alert("Watchdog", "none"),
            alert("BackupTooOld", "ticket", cluster="main"),
            alert("WalGap", "page", cluster="main", instance="mon1"),
        ])  # fmt: skip
        told = wait_until("all are told", lambda: look(site.fleet), until=lambda alerts: len(alerts.firing) == 2)
        assert told.heartbeat
        assert [(one.name, one.severity, one.where, one.hint) for one in told.firing] == [
            ("WalGap", "page", "main", "ops wal gaps"),
            ("BackupTooOld", "ticket", "main", "ops wal gaps"),
        ]
        assert told.firing[0].runbook == "docs/runbooks/WalGap.md"
        document = site.document()
        assert document.alerts is not None
        assert document.alerts.value is not None, document.alerts.trouble
        assert document.problems[0].alert == "WalGap"


def test_an_alertmanager_that_does_not_let_us_in_is_not_one_without_alerts(site: Site) -> None:
    stranger = Authority(site.folder / "other-pki", "another").issue(host_leaf("x", "localhost", LOOPBACK, client=True))
    certificate, key = site.folder / "stranger.crt", site.folder / "stranger.key"
    site.host.write(certificate, stranger.certificate)
    site.host.write(key, stranger.key)
    identity = site.fleet.identity.model_copy(update={"cert_file": certificate, "key_file": key})
    with alertmanager(site), pytest.raises(Unreachable):
        look(site.fleet.model_copy(update={"identity": identity}))
