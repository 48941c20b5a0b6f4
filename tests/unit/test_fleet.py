"""The fleet map: what the deploy writes is what `ops` on the host reads, and each host is told what it may know."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from ops.config import Config, validate
from ops.deploys.fleet import own_map, whole_map
from ops.deploys.inventory import Inventory, load
from ops.deploys.needs import needs
from ops.deploys.operations import render
from ops.errors import UsageError
from ops.fleet import Fleet
from ops.model.jobs import JOBS, OF_THE_STORE

INVENTORIES = Path(__file__).parents[2] / "inventories"


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    """The lab's inventory with a monitoring host, to change."""
    folder = tmp_path / "lab"
    shutil.copytree(INVENTORIES / "lab", folder, ignore=shutil.ignore_patterns("__pycache__"))
    text = "".join(
        line for line in (folder / "hosts.py").read_text().splitlines(True) if not line.startswith("monitoring")
    )
    (folder / "hosts.py").write_text(text + 'monitoring = ["mon1"]\n')
    return folder


def read(document: dict[str, Any]) -> Fleet:
    return validate(Fleet, tomllib.loads(render("ops/fleet.toml.j2", **document)), "fleet.toml")


@pytest.fixture
def inventory(watched: Path) -> Inventory:
    return load(watched)


def test_a_monitoring_host_is_told_of_everything(inventory: Inventory) -> None:
    fleet = read(whole_map(inventory))
    assert list(fleet.clusters) == ["pg_main", "pg_analytics"]
    assert list(fleet.clusters["pg_main"].members) == ["pg1", "pg2", "pg3"]
    assert fleet.clusters["pg_main"].config == Path("/etc/ops/clusters/pg_main.toml")
    analytics = fleet.clusters["pg_analytics"]
    assert (analytics.members["ts1"].port, analytics.write_port, analytics.timescaledb) == (5433, 5010, True)
    assert fleet.redis["redis_cache"].hosts == ["r1", "r2", "r3"]
    assert fleet.redis["redis_cache"].master == "redis_cache"
    assert fleet.etcd is not None
    assert (fleet.etcd.members, fleet.etcd.port) == (["pg1", "pg2", "pg3"], 2379)
    assert (fleet.prometheus, fleet.alertmanager) == ("https://mon1:9090", "https://mon1:9093")


def test_a_database_host_is_told_of_its_own_cluster_and_nothing_of_redis(inventory: Inventory) -> None:
    fleet = read(own_map(inventory, "pg_analytics"))
    assert list(fleet.clusters) == ["pg_analytics"]
    assert fleet.clusters["pg_analytics"].config == Path("/etc/ops/ops.toml")
    assert (fleet.redis, list(fleet.routers)) == ({}, ["lb1"])
    assert {one.address for one in fleet.watch if one.service == "patroni"} == {"ts1", "ts2"}
    assert not {one.service for one in fleet.watch} & {"redis", "sentinel"}


def test_every_kind_of_endpoint_is_watched_and_belongs_to_who_needs_it(inventory: Inventory) -> None:
    watch = read(whole_map(inventory)).watch
    owners = {(one.service, one.cluster) for one in watch}
    shared = {("etcd", ""), ("router", ""), ("object store", "")}
    assert owners == shared | {
        ("patroni", "pg_main"), ("patroni", "pg_analytics"), ("redis", "redis_cache"), ("sentinel", "redis_cache"),
    }  # fmt: skip
    assert ("object store", "s3", 8333) in {(one.service, one.address, one.port) for one in watch}


def test_what_is_not_scheduled_is_not_in_the_map(watched: Path) -> None:
    file = watched / "group_data" / "pg_main.py"
    file.write_text(file.read_text() + '\nschedules = {"verify": ""}\n')
    clusters = read(whole_map(load(watched))).clusters
    assert set(clusters["pg_main"].schedules) == set(JOBS) - {"verify"}
    assert set(clusters["pg_analytics"].schedules) == set(OF_THE_STORE), "it has no database of the application"


def test_promises_are_those_of_the_cluster_that_is_drilled(watched: Path) -> None:
    (watched / "group_data" / "drill.py").write_text('drill = {"cluster": "pg_main", "rto_seconds": 99}\n')
    clusters = read(whole_map(load(watched))).clusters
    assert (clusters["pg_main"].rto_seconds, clusters["pg_analytics"].rto_seconds) == (99, 3600)


def test_no_secret_is_in_the_map(inventory: Inventory) -> None:
    text = render("ops/fleet.toml.j2", **whole_map(inventory))
    assert 'password_file = "/etc/ops/fleet/redis_cache.password"' in text
    assert "PRIVATE" not in text
    assert "password =" not in text


def test_who_watches_serves_no_database(watched: Path) -> None:
    text = (watched / "hosts.py").read_text()
    (watched / "hosts.py").write_text(text.replace('monitoring = ["mon1"]', 'monitoring = ["pg1"]'))
    with pytest.raises(UsageError, match="'pg1' is in 'monitoring' and in 'pg_main'"):
        load(watched)


def test_a_monitoring_host_opens_the_repository_as_a_user_of_its_own(inventory: Inventory) -> None:
    text = render(
        "ops/ops.toml.j2", cluster="pg_main", repository=inventory.repository, ca_files={"": "/ca"},
        credentials={"": "/etc/ops/fleet/s3-credentials"}, key_directory="/etc/ops/fleet/keys",
        postgres=inventory.postgres("pg_main"), bin_dir="/bin", data_dir=None, patroni_url=None, drill=None,
        system_user="ops",
    )  # fmt: skip
    config = validate(Config, tomllib.loads(text), "pg_main.toml")
    assert config.postgres.user == "ops"
    assert config.keys.directory == Path("/etc/ops/fleet/keys")


def test_members_let_monitor_in_by_certificate_and_from_the_site_alone(inventory: Inventory) -> None:
    text = render(
        "patroni/patroni.yml.j2", cluster="pg_main", site=inventory.site, member="pg1", address="10.213.7.10",
        etcd=["pg1:2379"], ca="/ca", postgres=inventory.postgres("pg_main"), patroni=inventory.patroni("pg_main"),
        bin_dir="/bin", data_dir="/data", local={}, ops="/opt/ops/bin/ops",
    )  # fmt: skip
    rules = [line.split() for line in text.splitlines() if " monitor " in line]
    assert rules == [["-", "hostssl", "all", "monitor", "10.213.7.0/24", "cert"]]


def test_the_port_of_a_router_s_figures_is_looked_at_before_a_deploy(inventory: Inventory) -> None:
    ports = {port for need in needs(inventory, "lb1") for port in need.ports}
    assert {5000, 5001, 5010, 5011, 8405} <= ports
