"""The migrations of `pend_analytics` on real TimescaleDB: once, twice, over rows, undone; and a difference is named.

`ops db validate` makes a scratch database beside the live one, which this server cannot have. What it compares are two
catalogues; here they are those of the same database before and after.
"""

from __future__ import annotations

import pytest

from ops.database import catalogue
from ops.database.migrations import Patience, files, migrate, rollback, status
from ops.errors import OpsError
from ops.model.catalogue import Catalogue, compare
from ops.postgres.connect import Connection

from .analytics_rows import fill, insert, make_tokens, rows
from .fix_database import quiet, value
from .fix_timescale import SQL, Timescale

pytestmark = pytest.mark.integration

NAMES = [file.name for file in files(SQL)]
KEPT = "0001-roles"


def read(server: Timescale) -> Catalogue:
    with server.connect() as connection:
        return catalogue.read(connection)


def fill_what_is_there(connection: Connection) -> None:
    """Rows in every table that is there and has none yet."""
    if value(connection, "SELECT to_regclass('tokens')") is not None:
        make_tokens(connection)
    for table, added in rows(count=20).items():
        if value(connection, "SELECT to_regclass(%s)", table) and not value(
            connection, f"SELECT EXISTS (SELECT FROM {table})"
        ):
            insert(connection, table, added)


def test_each_migration_goes_over_rows_and_is_undone_where_it_can_be(empty_timescale: Timescale) -> None:
    target = empty_timescale.target()
    before = read(empty_timescale)
    for name in NAMES:
        assert migrate(target, Patience(), quiet, upto=name) == [name]
        with empty_timescale.connect() as connection:
            fill_what_is_there(connection)
        after = read(empty_timescale)
        if name == KEPT:
            with pytest.raises(OpsError, match="cannot be undone"):
                rollback(target, Patience(), quiet)
            before = after
            continue
        assert rollback(target, Patience(), quiet) == name
        assert compare(before, read(empty_timescale)) == [], f"{name} leaves something behind"
        migrate(target, Patience(), quiet, upto=name)
        again = read(empty_timescale)
        assert compare(after, again) == [], "though TimescaleDB has given out other numbers"
        before = again


def test_a_second_run_does_nothing(empty_timescale: Timescale) -> None:
    before = read(empty_timescale)
    assert migrate(empty_timescale.target(), Patience(), quiet) == []
    assert compare(before, read(empty_timescale)) == []
    assert {one.state for one in status(empty_timescale.target())} == {"applied"}


@pytest.mark.parametrize(
    ("statement", "kind", "name"),
    [
        (
            "SELECT set_chunk_time_interval('analytics_events', interval '1 day')",
            "hypertable",
            "public.analytics_events",
        ),
        (
            "ALTER MATERIALIZED VIEW token_price_daily SET (timescaledb.materialized_only = true)",
            *("continuous aggregate", "public.token_price_daily"),
        ),
        (
            "CALL remove_columnstore_policy('interest_payments')",
            *("job", "_timescaledb_functions.policy_compression of public.interest_payments"),
        ),
        (
            "SELECT alter_job(job_id, scheduled => false) FROM timescaledb_information.jobs WHERE proc_schema = 'ops'",
            *("job", "ops.apply_retention"),
        ),
        ("GRANT DELETE ON tokens TO analyst", "grant", "DELETE on public.tokens to analyst"),
        ("DROP INDEX idx_transaction_activity_from", "index", "idx_transaction_activity_from"),
        (
            "ALTER TABLE transaction_activity DROP CONSTRAINT transaction_activity_amount_check",
            *("constraint", "transaction_activity_amount_check on public.transaction_activity"),
        ),
    ],
)
def test_a_planted_difference_is_named(empty_timescale: Timescale, statement: str, kind: str, name: str) -> None:
    declared = read(empty_timescale)
    with empty_timescale.connect() as connection:
        connection.execute(statement.encode())
    found = compare(declared, read(empty_timescale))
    assert [(one.kind, one.name) for one in found] == [(kind, name)]


def test_how_long_rows_are_kept_is_no_difference(empty_timescale: Timescale) -> None:
    declared = read(empty_timescale)
    with empty_timescale.connect() as connection:
        connection.execute("UPDATE ops.retention SET keep = '3 years' WHERE relation = 'token_price_data'")
        fill(connection, seed=8, count=6)
    assert compare(declared, read(empty_timescale)) == [], "nor are rows and their chunks"


def test_everything_is_explained(empty_timescale: Timescale) -> None:
    with empty_timescale.connect() as connection:
        silent = connection.execute("""
            SELECT format('%s.%s', c.relname, a.attname) FROM pg_class AS c JOIN pg_attribute AS a ON attrelid = c.oid
            WHERE relkind IN ('r', 'v') AND relnamespace IN ('public'::regnamespace, 'ops'::regnamespace)
                AND relname !~ 'yoyo' AND attnum > 0 AND NOT attisdropped AND (
                    col_description(c.oid, attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL)""").fetchall()
    assert silent == []
