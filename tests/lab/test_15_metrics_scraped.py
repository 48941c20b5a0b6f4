"""No rule waits for a metric that nobody tells: all that the rules name is there, scraped from the real fleet."""

from __future__ import annotations

import pytest

from ops.deploys.inventory import load
from ops.lab import drive
from ops.lab.breakage import Scene
from tests.alerts import rules

from .conftest import Fleet, wait_until

pytestmark = pytest.mark.lab

# What the lab does not tell, and why. Anything else that is missing is a mistake, in the rule or in the exporter.
NOT_TOLD = {
    "ops_certificate_unreadable": "every certificate can be seen",
    "ops_failover_finding": "there is one only where something is not well",
    "ops_mirror_behind_seconds": "the lab has one repository",
    "ops_sequence_used_ratio": "no sequence is half used",
    "ops_slot_safe_bytes": "no limit is set on what slots keep",
    "ops_timescaledb_aggregate_lag_seconds": "TimescaleDB's packages are out of the lab's reach",
    "ops_timescaledb_job_failing": "TimescaleDB's packages are out of the lab's reach",
    "ops_timescaledb_uncompressed_chunks": "TimescaleDB's packages are out of the lab's reach",
    "ops_wal_queue_oldest_timestamp_seconds": "nothing waits to be archived",
}
# Each collector of the fleet's has its own pace: the slowest look every ten minutes.
TOLD_WITHIN = 900


@pytest.fixture(scope="module")
def scene(fleet: Fleet) -> Scene:
    """The deployed lab with what only time brings: two backups, of which one follows the other, and a drill."""
    scene = Scene(load(drive.CHECKOUT / drive.INVENTORY))
    fleet.wait_until_healthy()
    for _ in range(2):
        drive.ask(scene.replica(), "ops backup create", deadline=300)
    drive.ask(scene.first("drill"), "ops drill restore --target latest", deadline=300)
    return scene


def test_every_metric_that_a_rule_names_is_scraped(scene: Scene) -> None:
    named = set().union(*map(rules.metrics, rules.expressions()))
    assert NOT_TOLD.keys() <= named, "no rule names it any more"

    def missing() -> list[str]:
        return sorted(named - NOT_TOLD.keys() - set(scene.prometheus("label/__name__/values")))

    wait_until("every metric of a rule is scraped", missing, until=lambda names: not names, deadline=TOLD_WITHIN)


def test_prometheus_evaluates_every_rule_of_the_checkout(scene: Scene) -> None:
    def trouble() -> list[str]:
        loaded = [rule for group in scene.prometheus("rules")["groups"] for rule in group["rules"]]
        unwell = [f"{rule['name']}: {rule['health']} {rule.get('lastError', '')}" for rule in loaded]
        unknown = {rule.name for rule in rules.alerts()} - {rule["name"] for rule in loaded}
        return [*(one for one in unwell if not one.endswith(": ok ")), *sorted(unknown)]

    wait_until("every rule is loaded and well", trouble, until=lambda found: not found, deadline=120)
