"""Who may do what to whose rows, asked of the server: each role, table, operation and situation, against what is
declared here. The declaration is this file's own; it is not read from the migrations."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from ops.postgres.connect import Connection

from .fix_database import ROWS, Databases, acting, fill, number, statement, value

pytestmark = pytest.mark.integration

# Table -> what a role may do there: Select, Insert, Update, Delete. What is not listed may not be done.
RIGHTS: dict[str, dict[str, str]] = {
    "app_user": {
        "users": "SIU", "user_profiles": "SIU", "user_tiers": "S", "kyc_applications": "SI", "kyc_documents": "SI",
        "assets": "S", "asset_details": "S", "asset_metrics": "SIU", "investments": "SIU", "transactions": "SIU",
        "investment_agreements": "SI", "blockchain_blocks": "SIU", "blockchain_transactions": "SIU",
        "blockchain_events": "SIU", "contract_interactions": "SIU", "user_analytics": "I", "system_metrics": "I",
        "system_logs": "I", "api_usage_logs": "I",
    },
    "admin_role": {
        "users": "SIUD", "user_profiles": "SIUD", "user_tiers": "SIUD", "kyc_applications": "SIUD",
        "kyc_documents": "SIUD", "assets": "SIUD", "asset_details": "SIUD", "asset_metrics": "SIUD",
        "investments": "SIU", "transactions": "SIU", "investment_agreements": "S", "admin_users": "SIUD",
        "admin_sessions": "SIUD", "admin_permissions": "SIUD", "admin_logs": "SI", "blockchain_blocks": "S",
        "blockchain_transactions": "S", "blockchain_events": "S", "contract_interactions": "S", "user_analytics": "S",
        "system_metrics": "S", "system_logs": "SI", "api_usage_logs": "S",
    },
    "auditor": dict.fromkeys((*ROWS, "user_tiers", "audit_trail"), "S"),
    "analyst": dict.fromkeys((
        "users", "user_tiers", "assets", "asset_details", "asset_metrics", "blockchain_blocks",
        "blockchain_transactions", "blockchain_events", "user_analytics", "system_metrics",
    ), "S"),
    "exporter": {},
    "migrator": dict.fromkeys((*ROWS, "user_tiers"), "SIUD"),
    "view_owner": dict.fromkeys(("users", "investments", "assets", "asset_details", "asset_metrics"), "S"),
    "audit_owner": {"audit_trail": "SI"},
    "pend_app": {},  # the application's login without its group: that it owns the database gives it nothing
    "pend_readonly": dict.fromkeys((*ROWS, "user_tiers", "audit_trail"), "S"),  # a member of pg_read_all_data
}  # fmt: skip

RIGHTS["pend_member"] = RIGHTS["app_user"]  # the same login as a member of its group, as an inventory has it
FOR_A_USER = ("app_user", "pend_member")

# Tables with row security, and the roles that see all rows there; the application sees those of its user, others none.
SECURED: dict[str, tuple[str, ...]] = {
    "users": ("admin_role", "auditor", "analyst", "view_owner"),
    "user_profiles": ("admin_role", "auditor"),
    "kyc_applications": ("admin_role", "auditor"),
    "kyc_documents": ("admin_role", "auditor"),
    "investments": ("admin_role", "auditor", "view_owner"),
    "transactions": ("admin_role", "auditor"),
    "investment_agreements": ("admin_role", "auditor"),
    "contract_interactions": ("admin_role", "auditor"),
}

# Key of each table that is not `id`, and a column that whoever may update a row may update.
KEYS = {"user_profiles": "user_id", "asset_details": "asset_id", "asset_metrics": "asset_id",
        "user_tiers": "tier", "blockchain_blocks": "number"}  # fmt: skip
CHANGED = {"users": "phone_hash", "investments": "status", "transactions": "status"}

# A new row of user {1} and, where it is somebody's, one of user {2}; where nothing is listed, that of ROWS will do.
NEW = {
    "users": "INSERT INTO users (id, phone_hash, blockchain_address) VALUES ({n}, 'new', '0xnew')",
    "user_profiles": "INSERT INTO user_profiles (user_id) VALUES ({n}) ON CONFLICT (user_id) DO NOTHING",
    "user_tiers": "INSERT INTO user_tiers (tier, name) VALUES (5, 'again')",
    "kyc_applications": "INSERT INTO kyc_applications (user_id) VALUES ({n})",
    "kyc_documents": "INSERT INTO kyc_documents (application_id, document_type) VALUES ({n}, 'id')",
    "investments": "INSERT INTO investments (user_id, asset_id, amount, currency) VALUES ({n}, {1}, 1, 'USD')",
    "transactions": "INSERT INTO transactions (user_id, type, amount, currency) VALUES ({n}, 'fee', 1, 'USD')",
    "investment_agreements": """INSERT INTO investment_agreements (user_id, asset_id, agreement_hash)
        VALUES ({n}, {2}, '0xb')""",
    "contract_interactions": """INSERT INTO contract_interactions (contract_address, function_name, user_id)
        VALUES ('0x11', 'invest', {n})""",
    "audit_trail": """INSERT INTO audit_trail
        (table_name, record_id, action, session_role, effective_role, chain, chain_position, hash)
        VALUES ('users', '1', 'INSERT', 'me', 'me', 0, 1000, sha256(''))""",
}
# Whose rows are asked for, by whom: user 1's by user 1, user 2's by user 1, user 1's while no user is set.
SITUATIONS = {"own row": (1, "1"), "another's row": (2, "1"), "no user set": (1, None)}
# Who may not even look into the schema is told that there is no such table.
REFUSED = (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)
OPERATIONS = {"S": "select", "I": "insert", "U": "update", "D": "delete"}


@pytest.fixture(scope="module")
def filled(databases: Databases) -> Iterator[Connection]:
    """A database with rows, roles to log in as, and the owner that an inventory may give it."""
    target = databases.migrated()
    with target.connect() as connection:
        connection.execute("CREATE ROLE pend_app LOGIN")
        connection.execute("CREATE ROLE pend_member LOGIN IN ROLE app_user")
        connection.execute("CREATE ROLE pend_readonly LOGIN IN ROLE pg_read_all_data")
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO pend_app").format(sql.Identifier(target.database)))
        fill(connection)
        yield connection


def expected(role: str, table: str, operation: str, situation: str) -> str:
    """`yes`, `nothing` (as if the row were not there) or `refused`."""
    if operation not in RIGHTS[role].get(table, ""):
        return "refused"
    if table not in SECURED or role in SECURED[table] or (role in FOR_A_USER and situation == "own row"):
        return "yes"
    return "refused" if operation == "I" else "nothing"


def attempted(connection: Connection, role: str, table: str, operation: str, situation: str) -> str:
    """What the server makes of it."""
    row, user = SITUATIONS[situation]
    key = KEYS.get(table, "id")
    # Only rows that are somebody's have another's beside them.
    where = f"{key} = {{{row}}}" if table in SECURED else f"{key} IS NOT NULL"
    text = {
        "S": f"SELECT {key} FROM {table} WHERE {where}",
        "I": NEW.get(table, ROWS.get(table, "")).replace("{n}", f"{{{row}}}"),
        "U": f"UPDATE {table} SET {CHANGED.get(table, key)} = {CHANGED.get(table, key)} WHERE {where}",
        "D": f"DELETE FROM {table} WHERE {where}",
    }[operation]
    try:
        with acting(connection, role, number(int(user)) if user else None):
            return "yes" if connection.execute(statement(text)).rowcount > 0 or operation == "I" else "nothing"
    except REFUSED:
        return "refused"
    except psycopg.errors.IntegrityError:
        return "yes"  # rights were asked for before constraints were


@pytest.mark.parametrize("role", RIGHTS)
def test_a_role_may_do_what_is_declared_and_nothing_else(filled: Connection, role: str) -> None:
    wrong = []
    for table in (*ROWS, "user_tiers", "audit_trail"):
        for operation, word in OPERATIONS.items():
            for situation in SITUATIONS:
                want = expected(role, table, operation, situation)
                got = attempted(filled, role, table, operation, situation)
                if want != got:
                    wrong.append(f"{word} on {table}, {situation}: {got}, declared {want}")
    assert not wrong


@pytest.mark.parametrize("role", [role for role in RIGHTS if role != "migrator"])
def test_nobody_but_the_owner_empties_a_table(filled: Connection, role: str) -> None:
    for table in (*ROWS, "user_tiers", "audit_trail"):
        with pytest.raises(REFUSED), acting(filled, role, number(1)):
            filled.execute(f"TRUNCATE {table} CASCADE".encode())


@pytest.mark.parametrize("role", RIGHTS)
def test_who_may_read_what_stands_beside_the_tables(filled: Connection, role: str) -> None:
    declared = {
        "public.asset_performance_summary": ("app_user", "admin_role", "auditor", "analyst", "view_owner"),
        "public.real_time_stats": ("app_user", "admin_role", "auditor", "analyst", "view_owner"),
        "public.user_portfolio_summary": ("admin_role", "auditor", "view_owner"),
        "public.user_portfolio": ("app_user", "admin_role", "auditor"),
        "public.wallet_directory": ("admin_role", "auditor", "analyst"),
        "public.kyc_queue": ("admin_role", "auditor"),
        "public.audit_trail": ("auditor", "audit_owner"),
        "audit.head": ("auditor", "exporter", "audit_owner"),
        "audit.masked_columns": ("auditor", "audit_owner"),
        "ops.view_refresh": ("exporter", "admin_role", "auditor", "migrator"),
    }
    for relation, readers in declared.items():
        try:
            with acting(filled, role):
                filled.execute(f"SELECT count(*) FROM {relation}".encode())
            could = True
        except REFUSED:
            could = False
        # migrator owns the plain views, pend_readonly reads everything: what the views read stops or empties them.
        if role != "pend_readonly" and not (role == "migrator" and relation.startswith("public.")):
            group = "app_user" if role in FOR_A_USER else role
            assert could == (group in readers), f"{role} on {relation}"


@pytest.mark.parametrize("table", SECURED)
def test_an_empty_setting_is_no_user(filled: Connection, table: str) -> None:
    with acting(filled, "app_user", ""):
        assert value(filled, f"SELECT count(*) FROM {table} WHERE {KEYS.get(table, 'id')} IS NOT NULL") == 0


@pytest.mark.parametrize("table", SECURED)
def test_a_setting_that_is_no_key_is_an_error_and_no_rows(filled: Connection, table: str) -> None:
    with pytest.raises(psycopg.errors.InvalidTextRepresentation), acting(filled, "app_user", "nobody' OR true"):
        filled.execute(f"SELECT {KEYS.get(table, 'id')} FROM {table}".encode())


def test_a_user_cannot_give_a_row_away_or_raise_itself(filled: Connection) -> None:
    for text in (
        "UPDATE user_profiles SET user_id = {2}",
        "UPDATE users SET tier = 5",
        "UPDATE users SET status = 'active'",
        "UPDATE investments SET amount = 1000000",
        "INSERT INTO kyc_applications (user_id, status) VALUES ({1}, 'verified')",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), acting(filled, "app_user", number(1)):
            filled.execute(statement(text))


def test_a_view_shows_what_its_reader_may_see(filled: Connection) -> None:
    with acting(filled, "app_user", number(1)):
        assert filled.execute("SELECT user_id FROM user_portfolio").fetchall() == [(number(1),)]
    with acting(filled, "auditor"):
        assert value(filled, "SELECT count(*) FROM user_portfolio") == 2
    with pytest.raises(psycopg.errors.InsufficientPrivilege), acting(filled, "analyst"):
        filled.execute("SELECT phone_hash FROM users")


def test_who_logs_in_is_found_without_seeing_anybody(filled: Connection) -> None:
    with acting(filled, "app_user"):
        assert value(filled, "SELECT app_find_user_by_phone('hash 2')") == number(2)
        assert value(filled, "SELECT app_find_user_by_address('0X02')") == number(2)
        assert value(filled, "SELECT app_find_user_by_phone('nobody')") is None
    with pytest.raises(psycopg.errors.InsufficientPrivilege), acting(filled, "analyst"):
        filled.execute("SELECT app_find_user_by_phone('hash 2')")


def test_the_owner_of_the_database_makes_and_drops_nothing_in_public(filled: Connection) -> None:
    for text in (
        *("CREATE TABLE public.mine (n int)", "DROP TABLE public.audit_trail", "DROP TABLE public.users CASCADE"),
        *("DROP SCHEMA audit CASCADE", "DROP SCHEMA public CASCADE", "ALTER TABLE public.users DISABLE TRIGGER ALL"),
    ):
        with pytest.raises(REFUSED), acting(filled, "pend_app"):
            filled.execute(text.encode())


def test_every_function_that_acts_for_its_owner_has_its_path_pinned(filled: Connection) -> None:
    loose = filled.execute(
        "SELECT p.oid::regprocedure FROM pg_proc p WHERE prosecdef AND pronamespace IN"
        " ('public'::regnamespace, 'ops'::regnamespace, 'audit'::regnamespace)"
        " AND NOT coalesce(proconfig::text ~ 'search_path=pg_catalog, pg_temp', false)"
    ).fetchall()
    assert not loose


def test_plain_views_ask_for_the_rights_of_their_reader(filled: Connection) -> None:
    views = filled.execute(
        "SELECT relname, reloptions FROM pg_class WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace"
        " AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')"
    ).fetchall()
    assert len(views) == 3
    assert all(options == ["security_invoker=true"] for _, options in views)
