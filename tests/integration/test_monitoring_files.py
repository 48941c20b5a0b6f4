"""What the deploy writes for Prometheus and Alertmanager, judged by their own tools; and who is told of what."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from ops.deploys import alertmanager, targets
from ops.deploys.fleet import ALERTMANAGER_PORT
from ops.deploys.inventory import load
from ops.deploys.operations import render
from ops.deploys.pki import Authority, host_leaf
from ops.deploys.settings import Monitoring
from ops.lab.pager import Pager
from ops.model.inhibition import INHIBITIONS, SPARED

from ..waiting import free_port, wait_until

INVENTORIES = Path(__file__).parents[2] / "inventories"
TELLING = {
    "receivers": {
        "oncall": {"type": "pagerduty"},
        "chat": {"type": "slack", "channel": "#databases"},
        "mail": {"type": "email", "to": ["a@b.example"], "sender": "c@b.example", "smarthost": "b.example:587"},
        "hook": {"type": "webhook", "url": "https://hook.example/", "secret": "token", "ca": "site"},
        "switch": {"type": "webhook", "secret": "url"},
    },
    "pages": ["oncall", "chat", "hook"],
    "tickets": ["mail"],
    "heartbeat": "switch",
}


def checked(*command: str | Path) -> str:
    outcome = subprocess.run([*command], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr + outcome.stdout
    return outcome.stdout


def written(folder: Path, **changed: object) -> Path:
    file = folder / "alertmanager.yml"
    monitoring = Monitoring.model_validate(TELLING | changed)
    file.write_text(alertmanager.configuration(monitoring, lambda name: f"https://secret.example/{name}"))
    return file


@pytest.mark.parametrize("environment", ["lab", "production"])
def test_prometheus_takes_the_configuration_of_each_inventory(tmp_path: Path, environment: str) -> None:
    inventory = load(INVENTORIES / environment)
    material = Authority(tmp_path / "pki", "test").issue(host_leaf("prometheus", "mon1", IPv4Address("10.0.0.1")))
    (tmp_path / "key").write_text(material.key)
    (tmp_path / "crt").write_text(material.certificate)
    file = tmp_path / "prometheus.yml"
    file.write_text(
        render(
            "prometheus/prometheus.yml.j2",
            site=inventory.site.name,
            monitoring=inventory.monitoring(),
            hosts=inventory.groups["monitoring"],
            alertmanager_port=ALERTMANAGER_PORT,
            jobs=targets.jobs(inventory),
            rules=tmp_path / "rules",
            ca=tmp_path / "pki" / "ca.crt",
            certificate=tmp_path / "crt",
            key=tmp_path / "key",
        )
    )
    assert "SUCCESS" in checked("promtool", "check", "config", file)
    assert file.read_text().count("- job_name:") == 9


def test_alertmanager_takes_every_kind_of_receiver(tmp_path: Path) -> None:
    said = checked("amtool", "check-config", written(tmp_path, runbooks="https://git.example/"))
    assert f"{len(INHIBITIONS)} inhibit rules" in said
    assert "3 receivers" in said


def test_secrets_stay_in_files_but_for_an_address_that_is_one(tmp_path: Path) -> None:
    text = written(tmp_path).read_text()
    assert text.count("https://secret.example/") == text.count("https://secret.example/switch") == 1
    for name in ("oncall", "chat", "hook"):
        assert f"/etc/alertmanager/receiver_{name}" in text
    assert "receiver_mail" not in text, "it has no user, and so no password"


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("severity=page alertname=NoPrimary", "pages"),
        ("severity=ticket alertname=RoleChanged", "tickets"),
        ("severity=heartbeat alertname=Watchdog", "heartbeat"),
        ("alertname=Nameless", "tickets"),
    ],
)
def test_an_alert_goes_to_whom_its_severity_is_for(tmp_path: Path, labels: str, receiver: str) -> None:
    file = written(tmp_path)
    said = checked("amtool", "config", "routes", "test", f"--config.file={file}", *labels.split())
    assert said.strip() == receiver


@contextmanager
def running(folder: Path, file: Path, *options: str) -> Iterator[str]:
    """A real Alertmanager; its address."""
    port = free_port()
    storage = folder / f"storage-{port}"
    command = [
        "prometheus-alertmanager", f"--config.file={file}", f"--storage.path={storage}",
        f"--web.listen-address=127.0.0.1:{port}", *options,
    ]  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    with (folder / f"log-{port}").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            wait_until(
                "Alertmanager is ready",
                lambda: urlopen(f"{address}/-/ready").status,
                until=(200).__eq__,
                despite=OSError,
            )
            yield address
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Pager]]:
    """An Alertmanager alone, with the lab's receiver at its end."""
    folder, port = tmp_path_factory.mktemp("alertmanager"), free_port()
    hook = {"type": "webhook", "url": f"http://127.0.0.1:{port}/"}
    routes = {"pages": ["hook"], "tickets": ["hook"], "heartbeat": "hook"}
    file = written(folder, receivers={"hook": hook}, timing={"group_wait": 1, "group_interval": 1}, **routes)
    with Pager(("127.0.0.1", port)) as pager, running(folder, file, "--cluster.listen-address=") as address:
        yield address, pager


def test_two_alertmanagers_find_each_other_over_tls(tmp_path: Path) -> None:
    material = Authority(tmp_path / "pki", "test").issue(
        host_leaf("alertmanager", "mon1", IPv4Address("127.0.0.1"), client=True)
    )
    (tmp_path / "key").write_text(material.key)
    (tmp_path / "crt").write_text(material.certificate)
    gossip = tmp_path / "gossip.yml"
    names = {"ca": tmp_path / "pki" / "ca.crt", "certificate": tmp_path / "crt", "key": tmp_path / "key"}
    gossip.write_text(render("alertmanager/gossip.yml.j2", **names))
    hook = {"type": "webhook", "url": "https://hook.example/"}
    file = written(tmp_path, receivers={"hook": hook}, pages=["hook"], tickets=["hook"], heartbeat=None)
    tls, ports = f"--cluster.tls-config={gossip}", (free_port(), free_port())
    each = [
        (tls, f"--cluster.listen-address=127.0.0.1:{here}", f"--cluster.peer=127.0.0.1:{there}")
        for here, there in (ports, ports[::-1])
    ]

    def peers() -> int:
        with urlopen(f"{first}/api/v2/status") as answer:
            return len(json.load(answer)["cluster"]["peers"])

    with running(tmp_path, file, *each[0]) as first, running(tmp_path, file, *each[1]):
        wait_until("each knows the other", peers, until=(2).__eq__)


def fire(address: str, *alerts: dict[str, str]) -> None:
    body = json.dumps([{"labels": labels} for labels in alerts]).encode()
    with urlopen(Request(f"{address}/api/v2/alerts", body, {"Content-Type": "application/json"})) as answer:
        assert answer.status == 200


def alert(name: str, severity: str = "page", **labels: str) -> dict[str, str]:
    return {"alertname": name, "severity": severity, **labels}


def test_what_follows_from_another_alert_is_not_told_and_what_must_be_heard_is(told: tuple[str, Pager]) -> None:
    address, pager = told
    member = {"cluster": "pg_main", "instance": "pg1"}
    fire(address, alert("InstanceDown", **member))
    wait_until("the cause is told", lambda: pager.first("pages", "InstanceDown"))
    fire(
        address,
        alert("PostgresDown", **member),  # its host is gone
        alert("SyncStandbyMissing", cluster="pg_main", explained_by="member"),
        alert("MemberUnreachable", "ticket", cluster="pg_main", explained_by="member"),
        alert("FailoverNotReady", cluster="pg_main", explained_by="page"),
        alert("SyncStandbyMissing", cluster="pg_other", explained_by="member"),  # of another cluster: told
        *(alert(name, **member) for name in SPARED),
        alert("BackupTooOld", cluster="pg_main"),
        alert("BackupTooOld", "ticket", cluster="pg_main"),  # somebody was woken for it
        alert("BackupShrunk", "ticket", cluster="pg_main"),
    )
    wait_until("the ticket is told", lambda: pager.first("tickets", "BackupShrunk"))
    fire(address, alert("Afterwards"))
    wait_until("whatever was to be told is told", lambda: pager.first("pages", "Afterwards"))
    pages = {str(notice) for notice in pager.notices("pages")}
    assert pages == {
        "InstanceDown{cluster=pg_main, instance=pg1}",
        "Afterwards{}",
        "SyncStandbyMissing{cluster=pg_other, explained_by=member}",
        "BackupTooOld{cluster=pg_main}",
        *(f"{name}{{cluster=pg_main, instance=pg1}}" for name in SPARED),
    }
    assert {notice.alert for notice in pager.notices("tickets")} == {"BackupShrunk"}


def test_the_heartbeat_goes_to_its_own_receiver_alone(told: tuple[str, Pager]) -> None:
    address, pager = told
    fire(address, alert("Watchdog", "heartbeat"))
    wait_until("the heartbeat", lambda: pager.first("heartbeat", "Watchdog"))
    assert not pager.first("pages", "Watchdog")
    assert not pager.first("tickets", "Watchdog")


def test_a_pager_refuses_what_alertmanager_does_not_say() -> None:
    port = free_port()
    with Pager(("127.0.0.1", port)) as pager:
        for body in (b"", b"[]", b'{"receiver": "pages", "alerts": [{}]}'):
            with pytest.raises(HTTPError, match="400"):
                urlopen(f"http://127.0.0.1:{port}/", body)
        assert pager.notices("pages") == []
