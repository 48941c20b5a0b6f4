"""Continuous aggregates of real TimescaleDB against plain SQL over the same rows: late, doubled, compressed, brand-new.

The tests follow each other in one database: what one adds is there for the next.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from ops.postgres.connect import Connection

from .analytics_rows import DAYS, PLAIN, START, differing, fill, insert, plain, rows, stored
from .fix_database import address, number, value
from .fix_timescale import refresh, run_jobs

pytestmark = pytest.mark.integration

# What a dashboard shows of the bucket that is not over yet.
REAL_TIME = {
    *("blockchain_metrics_hourly", "blockchain_metrics_daily"),
    *("token_price_hourly", "token_price_daily"),
    *("token_activity_hourly", "token_activity_daily", "token_wallets_daily"),
}
# Views over them show it too.
LIVE = REAL_TIME | {"hourly_activity", "daily_cumulative_metrics", "daily_unique_wallets", "token_holders"}


def aggregates(connection: Connection) -> list[str]:
    """All of them, each after those that it is made from."""
    return [
        name
        for (name,) in connection.execute(
            "SELECT user_view_name::text FROM _timescaledb_catalog.continuous_agg ORDER BY mat_hypertable_id"
        ).fetchall()
    ]


@pytest.fixture(scope="module")
def filled(analytics: Connection) -> Connection:
    """Rows in all tables, and all aggregates made from them."""
    analytics.execute("SET TIME ZONE 'UTC'")
    fill(analytics)
    refresh(analytics, *aggregates(analytics))
    return analytics


def test_plain_sql_is_known_for_every_aggregate_and_view(filled: Connection) -> None:
    views = filled.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace"
    ).fetchall()
    assert {name for (name,) in views} - {"event_log"} == set(PLAIN)
    real_time = filled.execute(
        "SELECT view_name FROM timescaledb_information.continuous_aggregates WHERE NOT materialized_only"
    ).fetchall()
    assert {name for (name,) in real_time} == REAL_TIME


@pytest.mark.parametrize("name", PLAIN)
def test_an_aggregate_holds_what_plain_sql_says(filled: Connection, name: str) -> None:
    assert len(plain(filled, name)) >= 2, "there is something to compare"
    assert stored(filled, name) == plain(filled, name)


def test_weeks_begin_on_monday_and_empty_buckets_have_no_row(filled: Connection) -> None:
    weeks = filled.execute("SELECT DISTINCT extract(isodow FROM bucket) FROM token_price_weekly").fetchall()
    assert weeks == [(1,)]
    silent = START + timedelta(days=31)
    assert value(filled, "SELECT count(*) FROM blockchain_metrics_daily WHERE bucket = %s", silent) == 0
    assert value(filled, "SELECT count(*) FROM blockchain_metrics_daily WHERE bucket = %s", silent + timedelta(3)) == 1


def test_what_is_read_twice_is_refused_and_counted_once(filled: Connection) -> None:
    again = rows()
    for table in ("transaction_activity", "token_price_data", "interest_payments"):
        with pytest.raises(psycopg.errors.UniqueViolation):
            insert(filled, table, again[table][:1])
        assert insert(filled, table, again[table], on_conflict="ON CONFLICT DO NOTHING") == 0
    numbered = [row for row in again["blockchain_metrics"] if row["block_number"]]
    assert insert(filled, "blockchain_metrics", numbered, on_conflict="ON CONFLICT DO NOTHING") == 0
    refresh(filled, *aggregates(filled))
    assert differing(filled) == []


@pytest.mark.parametrize(
    ("table", "column", "wrong"),
    [
        ("transaction_activity", "from_address", "0x" + "A" * 40),
        ("transaction_activity", "to_address", "0x12"),
        ("transaction_activity", "transaction_hash", "0x" + "0" * 63),
        ("transaction_activity", "amount", "-1"),
        ("interest_payments", "recipient", "1" * 42),
        ("interest_payments", "amount", "0"),
        ("token_price_data", "price", "-0.00000001"),
        ("blockchain_metrics", "gas_used", -1),
    ],
)
def test_what_is_no_address_hash_or_amount_is_refused(
    filled: Connection, table: str, column: str, wrong: object
) -> None:
    row = rows(seed=99, count=6)[table][0] | {column: wrong}
    with pytest.raises(psycopg.errors.CheckViolation):
        insert(filled, table, [row])


def test_a_row_of_an_unknown_token_is_refused(filled: Connection) -> None:
    row = rows(seed=99, count=6)["token_price_data"][0] | {"token_id": str(number(77))}
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        insert(filled, "token_price_data", [row])


def test_late_rows_are_in_after_the_next_refresh_of_what_they_fall_into(filled: Connection) -> None:
    fill(filled, seed=8, count=60)
    assert set(differing(filled)) == set(PLAIN), "what is materialized does not know of them yet"
    refresh(filled, *aggregates(filled))
    assert differing(filled) == []


def test_new_rows_are_shown_at_once_where_a_dashboard_needs_it(filled: Connection) -> None:
    new = START + timedelta(days=DAYS + 40)
    for table, added in rows(seed=9, count=20).items():
        column = "time" if "time" in added[0] else "timestamp"
        moved = [
            row | {column: (datetime.fromisoformat(row[column]) + timedelta(days=DAYS + 40)).isoformat()}
            for row in added
        ]
        insert(filled, table, moved)
    assert set(differing(filled)) == set(PLAIN) - LIVE
    for name in sorted(set(aggregates(filled)) - REAL_TIME):
        assert value(filled, f"SELECT count(*) FROM {name} WHERE bucket >= %s", new) == 0
    refresh(filled, *aggregates(filled))
    assert differing(filled) == []


def test_compressing_changes_no_result_and_late_rows_and_duplicates_meet_it_too(filled: Connection) -> None:
    before = {name: stored(filled, name) for name in PLAIN}
    run_jobs(filled, "policy_compression")
    left = filled.execute(
        "SELECT hypertable_name, count(*) FROM timescaledb_information.chunks WHERE NOT is_compressed"
        " AND hypertable_schema = 'public' AND range_end < now() - interval '7 days' GROUP BY 1"
    ).fetchall()
    assert left == []
    compressed = filled.execute(
        "SELECT DISTINCT hypertable_name::text FROM timescaledb_information.chunks WHERE is_compressed ORDER BY 1"
    ).fetchall()
    assert [name for (name,) in compressed] == sorted(rows())
    assert {name: stored(filled, name) for name in PLAIN} == before
    assert differing(filled) == [], "plain SQL over compressed rows"

    again = rows()["transaction_activity"]
    with pytest.raises(psycopg.errors.UniqueViolation):
        insert(filled, "transaction_activity", again[:1])
    fill(filled, seed=10, count=60)
    refresh(filled, *aggregates(filled))
    assert differing(filled) == []


def test_the_policies_alone_bring_in_rows_that_come_up_to_90_days_late(filled: Connection) -> None:
    now, price = datetime.now(UTC), rows(seed=11, count=6)["token_price_data"][0]
    for days in range(0, 90, 4):
        row = price | {"id": str(number(10_000 + days)), "timestamp": (now - timedelta(days=days)).isoformat()}
        insert(filled, "token_price_data", [row])
    assert differing(filled), "late for what is materialized"
    run_jobs(filled, "policy_refresh_continuous_aggregate", of="token_price")
    for name, unit in (("hourly", "hour"), ("daily", "day"), ("weekly", "week"), ("monthly", "month")):
        over = value(filled, "SELECT date_trunc(%s, now() - interval '1 day')", unit)  # what began then may not be over
        held = [row for row in stored(filled, f"token_price_{name}") if row[0] < over]
        assert held == [row for row in plain(filled, f"token_price_{name}") if row[0] < over]
        assert sum(row[0] > now - timedelta(days=100) for row in held) >= 2


def test_a_dashboard_finds_its_holders_whatever_is_burnt_or_made(filled: Connection) -> None:
    assert value(filled, "SELECT count(*) FROM token_holders WHERE address = %s", address(0)) == 0
    assert value(filled, "SELECT count(*) FROM transaction_activity WHERE from_address = %s", address(0)) > 0
