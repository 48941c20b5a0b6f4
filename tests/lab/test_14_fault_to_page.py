"""Something breaks, and the one alert that it is for pages somebody, alone; it is mended, and that is told too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.deploys.inventory import load
from ops.lab import drive
from ops.lab.breakage import Scene
from ops.lab.pager import Pager
from ops.lab.paging import FAULTS, Fault, pager_of, try_out

from .conftest import Fleet, wait_until

pytestmark = pytest.mark.lab

# Each exporter answers a few collectors late after a boot; beyond this, one that is down is down.
SCRAPED = 120


@pytest.fixture(scope="module")
def scene(fleet: Fleet) -> Scene:
    """The deployed lab, with a backup and a drill: without them their alerts would be right."""
    scene = Scene(load(drive.CHECKOUT / drive.INVENTORY))
    fleet.wait_until_healthy()
    drive.ask(scene.replica(), "ops backup create", deadline=300)
    drive.ask(scene.first("drill"), "ops drill restore --target latest", deadline=300)
    return scene


@pytest.fixture(scope="module")
def pager(scene: Scene) -> Iterator[Pager]:
    with pager_of(scene.inventory) as pager:
        yield pager


def test_every_target_of_prometheus_is_up(scene: Scene) -> None:
    def down() -> list[str]:
        targets = scene.prometheus("targets")["activeTargets"]
        assert len(targets) > len(scene.inventory.hosts)
        return [f"{one['scrapeUrl']}: {one['lastError']}" for one in targets if one["health"] != "up"]

    wait_until("Prometheus reaches all it is to ask", down, until=lambda found: not found, deadline=SCRAPED)


def test_no_series_has_two_names_for_one_figure(scene: Scene) -> None:
    """What ours tell is switched off in Debian's exporters."""
    names = set(scene.prometheus("label/__name__/values"))
    assert "ops_postgres_up" in names
    assert "pg_stat_database_deadlocks" in names
    doubles = ("pg_settings_", "pg_stat_activity_", "pg_stat_archiver_", "pg_stat_replication_", "pg_database_size_")
    assert [name for name in sorted(names) if name.startswith(doubles)] == []


def test_nobody_is_answered_without_a_certificate(scene: Scene) -> None:
    watcher = scene.first("monitoring")
    for target in scene.prometheus("targets")["activeTargets"]:
        url = target["scrapeUrl"]
        naked = drive.run(watcher, f"curl -s --max-time 10 --cacert /etc/ops/pki/ca.crt {url} | head -c 100")
        assert "# HELP" not in naked.stdout, url


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_pages_with_its_alert_and_with_no_other_and_its_end_is_told(
    scene: Scene, pager: Pager, fault: Fault
) -> None:
    outcome = try_out(fault, scene, pager)
    assert outcome.paged is not None, f"{fault.alert} never paged; told: {outcome.others}, {outcome.tickets}"
    assert outcome.others == ()
    assert outcome.cleared is not None, f"{fault.alert} never ended"
