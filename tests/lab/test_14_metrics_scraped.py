"""No rule waits for a metric that nobody tells: all that the rules name is there, scraped from the real fleet."""

from __future__ import annotations

import pytest

from ops.lab.breakage import Scene
from tests.alerts import rules

from .conftest import wait_until

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
TOLD_WITHIN = 180


def test_every_metric_that_a_rule_names_is_scraped(watched: Scene) -> None:
    named = set().union(*map(rules.metrics, rules.expressions()))
    assert NOT_TOLD.keys() <= named, "no rule names it any more"

    def missing() -> list[str]:
        return sorted(named - NOT_TOLD.keys() - set(watched.prometheus("label/__name__/values")))

    wait_until("every metric of a rule is scraped", missing, until=lambda names: not names, deadline=TOLD_WITHIN)


def test_prometheus_evaluates_every_rule_of_the_checkout(watched: Scene) -> None:
    def trouble() -> list[str]:
        loaded = [rule for group in watched.prometheus("rules")["groups"] for rule in group["rules"]]
        unwell = [f"{rule['name']}: {rule['health']} {rule.get('lastError', '')}" for rule in loaded]
        unknown = {rule.name for rule in rules.alerts()} - {rule["name"] for rule in loaded}
        return [*(one for one in unwell if not one.endswith(": ok ")), *sorted(unknown)]

    wait_until("every rule is loaded and well", trouble, until=lambda found: not found, deadline=120)
