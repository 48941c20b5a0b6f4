"""What the exporter asks TimescaleDB, asked of a real one: jobs, aggregates that are behind, what compressing saved."""

from __future__ import annotations

from typing import Any

import pytest

from ops.exporter.database import query
from ops.postgres.connect import Connection

from .analytics_rows import TOKENS, make_tokens
from .fix_database import value
from .fix_timescale import refresh, run_jobs

pytestmark = pytest.mark.integration

HOUR = 3600
STEPS = [f"token_price_{step}" for step in ("hourly", "daily", "weekly", "monthly")]


@pytest.fixture(scope="module")
def busy(analytics: Connection) -> Connection:
    """Prices of every hour for four months, in all their aggregates up to now; old ones compressed."""
    make_tokens(analytics)
    analytics.execute(
        "INSERT INTO token_price_data (timestamp, price, token_id)"
        " SELECT at, 1, %s FROM generate_series(now() - interval '130 days', now(), interval '1 hour') AS at",
        [TOKENS[0]],
    )
    refresh(analytics, *STEPS, until=value(analytics, "SELECT now()::text"))
    run_jobs(analytics, "policy_compression", of="token_price_data")
    return analytics


def asked(connection: Connection, name: str) -> dict[str, tuple[Any, ...]]:
    """The answer to one of the exporter's queries, by the first column."""
    rows = connection.execute(query(name).format(schema="public").encode()).fetchall()
    return {row[0]: row[1:] for row in rows}


def test_an_aggregate_that_its_policy_has_brought_up_to_date_is_not_behind(busy: Connection) -> None:
    lags = asked(busy, "timescaledb_aggregates")
    assert lags == {f"public.{name}": (0,) for name in STEPS}, "not even by a week or a month that is not over"


def test_one_that_is_not_refreshed_is_behind_by_what_it_lacks(busy: Connection) -> None:
    busy.execute("TRUNCATE token_price_hourly")
    refresh(busy, "token_price_hourly", until=value(busy, "SELECT (now() - interval '2 days')::text"))
    (lag,) = asked(busy, "timescaledb_aggregates")["public.token_price_hourly"]
    assert 46 * HOUR < lag < 48 * HOUR, "two days but for an hour's bucket and twice ten minutes"


def test_every_job_is_told_and_that_none_has_succeeded_where_none_has_run(busy: Connection) -> None:
    jobs = busy.execute("SELECT application_name FROM timescaledb_information.jobs").fetchall()
    assert len(jobs) > 20
    told = asked(busy, "timescaledb_jobs")
    assert {name: succeeded for name, (_, succeeded, _) in told.items()} == {name: None for (name,) in jobs}


def test_what_compressing_left_and_saved_is_told(busy: Connection) -> None:
    told = asked(busy, "timescaledb_compression")
    assert list(told) == ["public.token_price_data"], "the others have no rows"
    uncompressed, ratio = told["public.token_price_data"]
    assert uncompressed == 0
    assert ratio > 1
