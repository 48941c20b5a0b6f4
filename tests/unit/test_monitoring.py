"""Monitoring as an inventory declares it: who is told, who is asked, and what could tell nobody is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.deploys.inventory import Inventory, load
from ops.deploys.needs import needs
from ops.deploys.targets import Target, jobs
from ops.errors import UsageError

ALL = """
site = {"name": "test", "networks": ["10.0.0.0/8"], "pki": "pki", "secrets": {"source": "environment"}}
repository = {"endpoint": "https://s3:8333", "bucket": "pend"}
"""
HOSTS = """
etcd = ["pg1", "pg2", "pg3"]
pg_main = ["pg1", "pg2", "pg3"]
redis_cache = ["r1", "r2", "r3"]
router = ["lb1"]
"""
TOLD = """{
    "receivers": {"pager": {"type": "webhook", "url": "https://pager.example/"}},
    "pages": ["pager"], "tickets": ["pager"],
}"""


def inventory(folder: Path, monitoring: str | None = TOLD, hosts: str = 'monitoring = ["mon1"]') -> Inventory:
    data = folder / "group_data"
    data.mkdir()
    (folder / "hosts.py").write_text(f"{HOSTS}\n{hosts}\n")
    (data / "all.py").write_text(ALL)
    if monitoring:
        (data / "monitoring.py").write_text(f"monitoring = {monitoring}\n")
    return load(folder)


@pytest.mark.parametrize(
    ("monitoring", "words"),
    [
        (None, "nobody would be told of pages and tickets"),
        ("{}", "nobody would be told of pages and tickets"),
        (TOLD.replace('"tickets": ["pager"]', '"tickets": []'), "nobody would be told of tickets"),
        (TOLD.replace('"tickets": ["pager"]', '"tickets": ["mail"]'), "tickets names 'mail'"),
        (TOLD.replace('"tickets"', '"unattended": True, "tickets"'), "unattended is True, and yet"),
        (TOLD.replace("webhook", "carrier pigeon"), "carrier pigeon"),
        (TOLD.replace('"url"', '"secret": "url", "url"'), "give either `url`"),
        (TOLD.replace('"url": "https://pager.example/"', '"secret": "token"'), "give either `url`"),
        (TOLD.replace('"pages"', '"retention_days": 0, "pages"'), "retention_days"),
    ],
)
def test_a_site_whose_alerts_nobody_hears_is_refused(tmp_path: Path, monitoring: str | None, words: str) -> None:
    with pytest.raises(UsageError, match=r"group_data/monitoring\.py") as refusal:
        inventory(tmp_path, monitoring)
    assert words in f"{refusal.value.message} {refusal.value.detail}"


def test_nobody_is_told_where_the_inventory_says_so(tmp_path: Path) -> None:
    assert inventory(tmp_path, '{"unattended": True}').monitoring().routes == {
        "pages": [],
        "tickets": [],
        "heartbeat": [],
    }


def test_who_watches_is_no_database_host(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'pg1' is in 'monitoring' and in 'pg_main'"):
        inventory(tmp_path, hosts='monitoring = ["pg1"]')


def test_every_exporter_of_the_inventory_is_a_target_of_its_job(tmp_path: Path) -> None:
    found = {job.name: job.targets for job in jobs(inventory(tmp_path))}
    assert {name: [target.host for target in targets] for name, targets in found.items()} == {
        "node": ["pg1", "pg2", "pg3", "r1", "r2", "r3", "lb1", "mon1"],
        "ops": ["pg1", "pg2", "pg3"],
        "fleet": ["mon1"],
        "postgres": ["pg1", "pg2", "pg3"],
        "redis": ["r1", "r2", "r3"],
        "etcd": ["pg1", "pg2", "pg3"],
        "haproxy": ["lb1"],
        "prometheus": ["mon1"],
        "alertmanager": ["mon1"],
    }
    assert found["ops"][0] == Target("pg1", 9630, "pg_main")
    assert found["redis"][0] == Target("r1", 9121, "redis_cache")
    assert found["node"][-1] == Target("mon1", 9100, None)


def test_a_cluster_that_is_left_out_is_not_asked(tmp_path: Path) -> None:
    left_out = inventory(tmp_path).without(dict.fromkeys(("pg1", "pg2", "pg3"), "pg_main"))
    assert {"ops", "postgres"} & {job.name for job in jobs(left_out)} == set()


def test_a_site_without_monitoring_has_no_exporters(tmp_path: Path) -> None:
    quiet = inventory(tmp_path, None, hosts="")
    assert not [need for host in quiet.hosts for need in needs(quiet, host) if "exporter" in need.service]


def test_each_host_keeps_the_ports_of_its_exporters_free(tmp_path: Path) -> None:
    site = inventory(tmp_path, hosts='monitoring = ["mon1", "mon2"]')
    ports = {host: {port for need in needs(site, host) for port in need.ports} for host in ("pg1", "r1", "mon1")}
    assert {9100, 9187, 9630} <= ports["pg1"]
    assert {9100, 9121} <= ports["r1"]
    assert ports["mon1"] == {9100, 9090, 9093, 9094, 9631}
