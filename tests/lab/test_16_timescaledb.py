"""The analytics cluster: left out where its packages cannot be had, and made, pinned and upgraded where they can.

The package source is a repository that is built here: only its address, its key and the pin are set, as for a mirror.
These tests build upon each other; after the last one the analytics cluster runs. Its TimescaleDB is none: what watches
it is right to complain, so that the tests of alerts come before, and no migration could be applied to it, so that its
database is none that has some. tests/integration/test_analytics_*.py have a real one.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.deploys.inventory import load
from ops.deploys.pki import Authority, host_leaf
from ops.lab import drive, paths
from ops.lab.drive import CHECKOUT, Deployed

from .apt_repository import EXTENSION, LOADER, SUITE, AptRepository, Signer, served
from .conftest import Fleet, ops, wait_until, wait_until_healthy

pytestmark = pytest.mark.lab

ANALYTICS = ("ts1", "ts2")
CLUSTER, DATABASE, PORT = "pg_analytics", "stand_in", 5433
OLD, NEW = "2.27.1", "2.28.0"
APT_TRUST = "/etc/apt/apt.conf.d/80lab-test"


@dataclass
class Site:
    """A copy of the lab's inventory whose analytics cluster takes its packages from `source`."""

    folder: Path
    source: dict[str, str]
    other_key: Path
    count: int = 0

    @property
    def inventory(self) -> Path:
        return self.folder / "inventory" / "hosts.py"

    def declare(self, *, source: dict[str, str] | None = None, **settings: Any) -> None:
        """The group data of the analytics cluster as in the repository, but for these."""
        name = Path("group_data") / f"{CLUSTER}.py"
        changed = {"source": self.source | (source or {}), **settings}
        stand_in = {"databases": {DATABASE: {"owner": "pend_analytics_app"}}, "roles": {"pend_analytics_app": {}}}
        text = (CHECKOUT / drive.INVENTORY.parent / name).read_text()
        text += f"\ntimescaledb |= {changed!r}\npostgres |= {stand_in!r}\n"
        (self.inventory.parent / name).write_text(text)

    def deploy(self, *options: str) -> Deployed:
        """What is declared."""
        self.count += 1
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(drive, "INVENTORY", self.inventory)
            return drive.deploy(self.folder / f"deploy{self.count}.log", *options)

    def deploy_cluster(self) -> Deployed:
        """The same, on the analytics hosts only."""
        return self.deploy("--limit", CLUSTER)

    def refused(self) -> str:
        """What a deploy that fails says."""
        pyinfra = f"{Path(sys.executable).parent}/pyinfra"
        command = [pyinfra, "-y", "--limit", CLUSTER, str(self.inventory), "deploy.py"]
        outcome = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=300)
        assert outcome.returncode, "the deploy went through"
        return outcome.stdout + outcome.stderr


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AptRepository]:
    folder = tmp_path_factory.mktemp("apt")
    signer = Signer(folder / "gnupg")
    built = AptRepository(folder / "www", signer)
    built.folder.mkdir()
    built.add(f"{OLD}~debian12")
    built.add(f"{NEW}~debian12", before=OLD)
    shutil.copy(signer.key, built.folder / "key.asc")
    yield built
    signer.close()


@pytest.fixture(scope="module")
def site(fleet: Fleet, repository: AptRepository, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The repository is served over https by the controller; only apt's own settings make the hosts trust it."""
    folder, gateway = tmp_path_factory.mktemp("site"), paths.from_environment().gateway
    shutil.copytree(drive.INVENTORY.parent, folder / "inventory")
    own = load(drive.INVENTORY).site
    material = Authority(own.pki, own.name).issue(host_leaf("apt", "apt", gateway))
    certificate, key = folder / "apt.crt", folder / "apt.key"
    certificate.write_text(material.certificate)
    key.write_text(material.key)
    other = Signer(folder / "other")
    for host in ANALYTICS:
        drive.ask(host, f"echo 'Acquire::https::{gateway}::CAInfo \"/etc/ops/pki/ca.crt\";' > {APT_TRUST}")
    with served(repository.folder, str(gateway), certificate, key) as url:
        yield Site(folder, {"url": url, "suite": SUITE, "key": f"{url}/key.asc"}, other.key)
    other.close()
    for host in ANALYTICS:
        drive.ask(host, f"rm -f {APT_TRUST} /var/cache/apt/archives/timescaledb-2-*")  # which later labs would share


def sql(host: str, statement: str, database: str = DATABASE) -> str:
    return drive.ask(host, f'cd / && runuser -u postgres -- psql -XAtqp {PORT} -d {database} -c "{statement}"')


def installed(host: str) -> list[str]:
    """The versions of the two packages; none where they are not there."""
    listed = drive.run(host, f"dpkg-query -W -f='${{db:Status-Status}} ${{Version}}\\n' {EXTENSION} {LOADER}")
    return [line.split()[1] for line in listed.stdout.splitlines() if line.startswith("installed ")]


def test_without_its_packages_the_cluster_is_left_out_and_the_rest_is_deployed(fleet: Fleet) -> None:
    outcome = ops("preflight", str(drive.INVENTORY), "--json")
    assert outcome.returncode == 0, outcome.stderr
    document = json.loads(outcome.stdout)
    assert document["left_out"] == dict.fromkeys(ANALYTICS, CLUSTER)
    assert {finding["host"] for finding in document["findings"] if finding["check"] == "packages"} == set(ANALYTICS)
    for host in ANALYTICS:
        files = ["ca.crt", "prometheus-node-exporter.crt", "prometheus-node-exporter.key"]
        assert drive.ask(host, "ls /etc/ops/pki").split() == files, "the base system and its exporter, nothing else"
    assert fleet.first.operations > 0


def test_a_required_source_that_does_not_answer_stops_the_deploy_before_any_change(site: Site) -> None:
    site.declare(required=True, source={"url": "https://apt.timescale.example/debian"})
    said = site.refused()
    assert "TimescaleDB: https://apt.timescale.example/debian/dists/bookworm does not answer" in said
    assert ", ".join(ANALYTICS) in said
    assert "Starting operation" not in said


def test_packages_that_another_key_has_signed_are_refused(site: Site) -> None:
    site.declare(required=True, source={"key": str(site.other_key)})
    assert "NO_PUBKEY" in site.refused()
    assert [installed(host) for host in ANALYTICS] == [[], []]


def test_the_pinned_version_is_installed_preloaded_and_created(site: Site) -> None:
    site.declare(required=True, version="2.27.*")
    site.deploy_cluster()
    leader = wait_until_healthy(ANALYTICS)
    for host in ANALYTICS:
        assert installed(host) == [f"{OLD}~debian12"] * 2, "the repository has a newer one"
        assert drive.run(host, "apt-get -s dist-upgrade").stdout.count("Inst timescaledb") == 0, "and the pin holds"
        assert sql(host, "SHOW shared_preload_libraries") == "timescaledb,pg_stat_statements"
        assert sql(host, "SELECT count(*) > 0 FROM pg_settings WHERE name = 'auto_explain.log_analyze'") == "t", (
            "loaded"
        )
    assert sql(leader, "SELECT timescaledb_version()") == OLD
    assert sql(leader, "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'", "postgres") == "0"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("timescaledb.telemetry_level", "off"),
        ("timescaledb.max_background_workers", "16"),
        ("max_worker_processes", "21"),
        ("max_locks_per_transaction", "256"),
        ("maintenance_work_mem", "128MB"),
    ],
)
def test_every_member_has_the_tuning_of_an_analytics_cluster(site: Site, setting: str, value: str) -> None:
    assert [sql(host, f"SHOW {setting}") for host in ANALYTICS] == [value, value]


def test_what_is_installed_needs_no_source(site: Site) -> None:
    site.declare(required=True, version="2.27.*", source={"url": "https://apt.timescale.example/debian"})
    changes = site.deploy_cluster().changes
    assert list(changes) == ["TimescaleDB packages | Write /etc/apt/sources.list.d/pend-ops-timescaledb.sources"]


def test_a_newer_pin_upgrades_every_member_and_then_the_extension(site: Site) -> None:
    site.declare(required=True, version="2.28.*")
    site.deploy_cluster()
    leader = wait_until_healthy(ANALYTICS)
    assert [installed(host) for host in ANALYTICS] == [[f"{NEW}~debian12"] * 2] * 2
    assert sql(leader, "SELECT timescaledb_version()") == NEW
    replica = next(host for host in ANALYTICS if host != leader)
    wait_until("the replica has it too", lambda: sql(replica, "SELECT timescaledb_version()"), until=NEW.__eq__)


def test_an_older_pin_is_refused_before_any_change(site: Site) -> None:
    site.declare(required=True, version="2.27.*")
    said = site.refused()
    assert f"has TimescaleDB {NEW}~debian12, newer than the pin 2.27.*" in said
    assert "Starting operation" not in said


def test_from_then_on_the_whole_fleet_is_deployed_with_it(site: Site) -> None:
    site.declare(required=True, version="2.28.*")
    site.deploy()
    assert site.deploy().changes == {}
    assert json.loads(ops("preflight", str(site.inventory), "--json").stdout)["left_out"] == {}
