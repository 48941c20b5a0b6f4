"""Something breaks, and the one alert that it is for pages somebody, alone; it is mended, and that is told too.

Early, while the fleet has a clean record: what other tests cost the write route counts for an hour, and pages.
"""

from __future__ import annotations

import pytest

from ops.lab import drive
from ops.lab.breakage import Scene
from ops.lab.paging import FAULTS, try_out

from .conftest import Fleet, wait_until

pytestmark = pytest.mark.lab

# Each exporter answers a few collectors late after a boot; beyond this, one that is down is down.
SCRAPED = 120


def test_every_target_of_prometheus_is_up(watched: Scene) -> None:
    def down() -> list[str]:
        targets = watched.prometheus("targets")["activeTargets"]
        assert len(targets) > len(watched.inventory.hosts)
        return [f"{one['scrapeUrl']}: {one['lastError']}" for one in targets if one["health"] != "up"]

    wait_until("Prometheus reaches all it is to ask", down, until=lambda found: not found, deadline=SCRAPED)


def test_no_series_has_two_names_for_one_figure(watched: Scene) -> None:
    """What ours tell is switched off in Debian's exporters."""
    names = set(watched.prometheus("label/__name__/values"))
    assert "ops_postgres_up" in names
    assert "pg_stat_database_deadlocks" in names
    doubles = ("pg_settings_", "pg_stat_activity_", "pg_stat_archiver_", "pg_stat_replication_", "pg_database_size_")
    assert [name for name in sorted(names) if name.startswith(doubles)] == []


def test_nobody_is_answered_without_a_certificate(watched: Scene) -> None:
    watcher = watched.first("monitoring")
    for target in watched.prometheus("targets")["activeTargets"]:
        url = target["scrapeUrl"]
        naked = drive.run(watcher, f"curl -s --max-time 10 --cacert /etc/ops/pki/ca.crt {url} | head -c 100")
        assert "# HELP" not in naked.stdout, url


# Those that do not touch each other are broken at once. Two are left to `python -m benchmarks.paging`, which measures
# all of them one by one: an archive out of reach pages after five minutes, and a backup's age takes a reload.
AT_ONCE = ("drill failed", "segment deleted from the store", "certificate about to expire", "Redis master killed",
           "replica cut off from its primary")  # fmt: skip
ALONE = ("primary's host killed",)


@pytest.mark.parametrize("names", [AT_ONCE, ALONE], ids=["what goes together", "the primary's host"])
def test_a_fault_pages_with_its_alert_and_with_no_other_and_its_end_is_told(
    fleet: Fleet, watched: Scene, names: tuple[str, ...]
) -> None:
    known = {fault.name: fault for fault in FAULTS}
    for outcome in try_out([known[name] for name in names], watched, fleet.pager):
        told = f"{outcome.fault.name}: told of {outcome.others}, {outcome.tickets}"
        assert outcome.paged is not None, f"{outcome.fault.alert} never paged; {told}"
        assert outcome.others == (), told
        assert outcome.cleared is not None, f"{outcome.fault.alert} never ended; {told}"
