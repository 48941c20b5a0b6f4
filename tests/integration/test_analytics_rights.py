"""Who may do what in `pend_analytics`: every role, every table and view, every operation; compressed or not."""

from __future__ import annotations

from itertools import product

import psycopg
import pytest

from ops.postgres.connect import Connection

from .analytics_rows import fill
from .fix_database import acting, value
from .fix_timescale import run_jobs

pytestmark = pytest.mark.integration

OPERATIONS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
HYPERTABLES = (
    "analytics_events",
    "blockchain_metrics",
    "interest_payments",
    "token_price_data",
    "transaction_activity",
)
# Role → relations that it may not just read, or not read at all; every other relation it may read.
RIGHTS = {
    "analytics_app": {
        **dict.fromkeys(HYPERTABLES, "SI"),
        "tokens": "SIU",
        "event_log": "",
        "ops.retention": "",
    },
    "analyst": {"analytics_events": "", "ops.retention": ""},
    "auditor": {},
    "exporter": {},
}
NOBODY = ("exporter", "pg_monitor")  # read nothing of public


@pytest.fixture(scope="module")
def filled(analytics: Connection) -> Connection:
    """Rows in every table, most of them compressed."""
    fill(analytics, count=20)
    run_jobs(analytics, "policy_compression")
    return analytics


def relations(connection: Connection) -> list[str]:
    """Tables, views and aggregates, yoyo's own aside."""
    rows = connection.execute(
        "SELECT CASE relnamespace WHEN 'ops'::regnamespace THEN 'ops.' ELSE '' END || relname FROM pg_class"
        " WHERE relkind IN ('r', 'v') AND relnamespace IN ('public'::regnamespace, 'ops'::regnamespace)"
        " AND relname !~ 'yoyo' ORDER BY 1"
    ).fetchall()
    return [name for (name,) in rows]


def declared(role: str, relation: str) -> set[str]:
    """The operations that this role has with this relation."""
    if role in NOBODY and relation != "ops.retention":
        return set()
    rights = RIGHTS.get(role, {}).get(relation, "S" if role in RIGHTS else "")
    return {operation for operation in OPERATIONS[:3] if operation[0] in rights}


def test_every_right_is_as_declared(filled: Connection) -> None:
    found, wanted = {}, {}
    for role, relation in product((*RIGHTS, "public", "pg_monitor"), relations(filled)):
        found[role, relation] = {
            operation
            for operation in OPERATIONS
            if value(filled, "SELECT has_table_privilege(%s, %s, %s)", role, relation, operation)
        }
        wanted[role, relation] = declared(role, relation)
    assert len(found) > 150
    assert found == wanted


@pytest.mark.parametrize("role", RIGHTS)
def test_what_a_role_may_read_it_reads_compressed_or_not(filled: Connection, role: str) -> None:
    assert value(filled, "SELECT count(*) FROM timescaledb_information.chunks WHERE is_compressed") > 0
    for relation in relations(filled):
        with acting(filled, role):
            if "SELECT" in declared(role, relation):
                assert value(filled, f"SELECT count(*) FROM {relation}") >= 0
            else:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    filled.execute(f"SELECT count(*) FROM {relation}".encode())


def test_the_application_adds_rows_and_changes_none(filled: Connection) -> None:
    with acting(filled, "analytics_app"):
        filled.execute("INSERT INTO analytics_events (time, event_type) VALUES (now(), 'seen')")
        filled.execute("UPDATE tokens SET total_supply = 5")
    for text in (
        "UPDATE transaction_activity SET amount = 0",
        "DELETE FROM interest_payments",
        "TRUNCATE token_price_data",
        "DROP TABLE blockchain_metrics",
        "SELECT drop_chunks('transaction_activity', older_than => now())",
        "UPDATE ops.retention SET keep = '100 days'",
        "CALL ops.apply_retention()",
        "CREATE TABLE public.mine (n int)",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), acting(filled, "analytics_app"):
            filled.execute(text.encode())


def test_the_analyst_sees_who_did_what_and_when_and_no_details(filled: Connection) -> None:
    with acting(filled, "analyst"):
        assert value(filled, "SELECT count(*) FROM event_log") == 40
        columns = filled.execute("SELECT * FROM event_log LIMIT 0").description or []
        assert [column.name for column in columns] == ["time", "event_type", "user_id"]


def test_policies_run_as_an_owner_that_has_no_password_and_no_power(filled: Connection) -> None:
    owners = filled.execute(
        "SELECT DISTINCT owner::text FROM timescaledb_information.jobs WHERE job_id >= 1000"
    ).fetchall()
    assert owners == [("analytics_owner",)]
    row = filled.execute("""
        SELECT rolcanlogin, rolpassword IS NULL,
            rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
        FROM pg_authid WHERE rolname = 'analytics_owner'""").fetchone()
    assert row == (True, True, False)
