"""What ops.retention says is kept is kept, what it does not is dropped, and aggregates lose nothing by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from ops.postgres.connect import Connection

from .analytics_rows import TOKENS, insert, make_tokens, stored
from .fix_database import address, number, value
from .fix_timescale import refresh, run_jobs

pytestmark = pytest.mark.integration

JOB = "apply_retention"


@contextmanager
def keeping(connection: Connection, relation: str, keep: str) -> Iterator[None]:
    """ops.retention with another `keep` for this relation, meanwhile."""
    before = value(connection, "SELECT keep FROM ops.retention WHERE relation = %s", relation)
    change = "UPDATE ops.retention SET keep = %s WHERE relation = %s"
    connection.execute(change, [keep, relation])
    yield
    connection.execute(change, [before, relation])


def days(connection: Connection, relation: str, column: str) -> list[int]:
    """How many days ago there are rows."""
    query = f"SELECT DISTINCT (extract(epoch FROM now() - {column}) / 86400)::int FROM {relation} ORDER BY 1"
    return [day for (day,) in connection.execute(query.encode()).fetchall()]


def pay(connection: Connection, days_ago: int) -> None:
    """A transfer, a price and a payment, so many days ago."""
    moment = value(connection, "SELECT now() - make_interval(days => %s)", days_ago).isoformat()
    common = {"id": str(number(days_ago + 1)), "timestamp": moment, "token_id": str(TOKENS[0])}
    insert(connection, "token_price_data", [common | {"price": "1", "volume": 0, "market_cap": 0, "change24h": 0}])
    sides = {"from_address": address(1), "to_address": address(2), "gas_used": 0, "gas_price": 0, "is_success": True}
    insert(connection, "transaction_activity", [common | sides | {"amount": "5"}])
    insert(connection, "interest_payments", [common | {"recipient": address(2), "amount": "1"}])


@pytest.fixture(scope="module")
def aged(analytics: Connection) -> Connection:
    """Rows of four years, 50 days apart, old ones compressed, all of them in the aggregates."""
    analytics.execute("SET TIME ZONE 'UTC'")
    make_tokens(analytics)
    for days_ago in range(0, 4 * 365, 50):
        pay(analytics, days_ago)
    names = analytics.execute(
        "SELECT user_view_name::text FROM _timescaledb_catalog.continuous_agg ORDER BY mat_hypertable_id"
    ).fetchall()
    refresh(analytics, *(name for (name,) in names))
    run_jobs(analytics, "policy_compression")
    return analytics


def test_every_hypertable_and_aggregate_has_its_rule(aged: Connection) -> None:
    declared = {name for (name,) in aged.execute("SELECT relation FROM ops.retention").fetchall()}
    there = aged.execute(
        "SELECT hypertable_name::text FROM timescaledb_information.hypertables WHERE hypertable_schema = 'public'"
        " UNION ALL SELECT view_name::text FROM timescaledb_information.continuous_aggregates"
    ).fetchall()
    assert declared == {name for (name,) in there}


def test_no_rule_can_be_shorter_than_what_aggregates_are_still_made_from(aged: Connection) -> None:
    needed = aged.execute("""
        SELECT coalesce(below.user_view_name, source.table_name)::text, max((config ->> 'start_offset')::interval)
        FROM timescaledb_information.jobs AS job
        JOIN _timescaledb_catalog.continuous_agg AS a ON a.mat_hypertable_id = (config ->> 'mat_hypertable_id')::int
        JOIN _timescaledb_catalog.hypertable AS source ON source.id = a.raw_hypertable_id
        LEFT JOIN _timescaledb_catalog.continuous_agg AS below ON below.mat_hypertable_id = source.id
        WHERE proc_name = 'policy_refresh_continuous_aggregate' GROUP BY 1""").fetchall()
    assert len(needed) >= 8
    for relation, window in needed:
        at_least = value(aged, "SELECT at_least FROM ops.retention WHERE relation = %s", relation)
        assert at_least is None or at_least >= window, relation
        with pytest.raises(psycopg.errors.CheckViolation):
            aged.execute("UPDATE ops.retention SET keep = '89 days' WHERE relation = %s", [relation])
    for relation in ("token_activity_daily", "token_wallets_daily"):
        with pytest.raises(psycopg.errors.CheckViolation):
            aged.execute("UPDATE ops.retention SET keep = '100 years' WHERE relation = %s", [relation])


def test_what_is_too_old_goes_and_nothing_else(aged: Connection) -> None:
    tables = ("token_price_data", "transaction_activity", "interest_payments")
    before = {name: days(aged, name, "timestamp") for name in tables}
    forever = ("token_price_daily", "token_price_monthly", "token_activity_daily", "token_wallets_daily")
    views = ("daily_cumulative_metrics", "daily_unique_wallets", "token_holders", "weekly_payments")
    held = {name: stored(aged, name) for name in (*forever, *views)}
    run_jobs(aged, JOB)
    year, two_years = 365, 2 * 365
    chunk = 7  # a chunk goes when the last of it is too old
    for name, keep in (("token_price_data", year), ("transaction_activity", two_years)):
        left = days(aged, name, "timestamp")
        assert [day for day in before[name] if day <= keep] == [day for day in left if day <= keep]
        assert max(left) <= keep + chunk < max(before[name])
    assert days(aged, "interest_payments", "timestamp") == before["interest_payments"], "kept for seven years"
    assert {name: stored(aged, name) for name in held} == held
    run_jobs(aged, "policy_refresh_continuous_aggregate")
    assert {name: stored(aged, name) for name in held} == held, "a refresh makes nothing anew from what is gone"


def test_a_change_of_the_rule_is_all_it_takes_and_is_for_migrator_to_make(aged: Connection) -> None:
    aged.execute("SET ROLE migrator")
    with keeping(aged, "token_price_data", "200 days"):
        aged.execute("CALL ops.apply_retention()")
    aged.execute("RESET ROLE")
    left = days(aged, "token_price_data", "timestamp")
    assert 200 - 50 in left
    assert max(left) <= 200 + 7


def test_rows_that_no_aggregate_has_seen_stay_and_the_job_says_so(aged: Connection) -> None:
    aged.execute("INSERT INTO analytics_events (time, event_type) VALUES (now() - interval '300 days', 'seen')")
    aged.execute(
        "INSERT INTO token_price_data (timestamp, price, token_id) VALUES (now() - interval '600 days', 1, %s)",
        [TOKENS[0]],
    )
    aged.execute("CALL refresh_continuous_aggregate('analytics_events_hourly', NULL, NULL)")
    with keeping(aged, "analytics_events", "200 days"):
        with pytest.raises(psycopg.errors.RaiseException) as caught:
            aged.execute("CALL ops.apply_retention()")
        assert caught.value.diag.message_primary == (
            "rows are kept longer than ops.retention says: analytics_events"
            " (not yet in analytics_events_daily, analytics_events_weekly, analytics_events_monthly)"
        )
        assert 300 in days(aged, "analytics_events", "time")
        assert max(days(aged, "token_price_data", "timestamp")) < 600, "the others were done"
        refresh(aged, "analytics_events_daily", "analytics_events_weekly", "analytics_events_monthly")
        aged.execute("CALL ops.apply_retention()")
        assert 300 not in days(aged, "analytics_events", "time")
    assert value(aged, "SELECT sum(event_count) FROM analytics_events_monthly WHERE event_type = 'seen'") == 1
