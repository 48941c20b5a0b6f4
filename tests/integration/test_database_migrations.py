"""Migrations on a real server: once, twice, undone, under a lock; and whether the database is what they make."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ops.database import catalogue
from ops.database.migrations import Patience, files, migrate, rollback, status
from ops.database.partitions import make
from ops.database.target import Target, alone, given
from ops.database.validate import validate
from ops.errors import OpsError, UsageError
from ops.model.catalogue import Catalogue, compare

from ..waiting import wait_until
from .fix_database import SQL, Databases, fill, quiet, statement, value

pytestmark = pytest.mark.integration

NAMES = [file.name for file in files(SQL)]
# The seeds' own names. Where a UNIQUE constraint has the name, it is the index.
SEED_INDEXES = {
    "idx_users_phone_hash",
    "idx_users_blockchain_address",
    "idx_users_tier",
    "idx_users_status",
    "idx_users_created_at",
    "idx_assets_contract_address",
    "idx_assets_type",
    "idx_assets_category",
    "idx_assets_status",
    "idx_investments_user_id",
    "idx_investments_asset_id",
    "idx_investments_status",
    "idx_investments_invested_at",
    "idx_kyc_applications_user_id",
    "idx_kyc_applications_status",
    "idx_kyc_applications_submitted_at",
    "idx_kyc_documents_application_id",
    "idx_admin_users_email",
    "idx_admin_users_role",
    "idx_admin_logs_admin_id",
    "idx_admin_logs_action",
    "idx_admin_logs_created_at",
    "idx_blockchain_transactions_hash",
    "idx_blockchain_transactions_block_number",
    "idx_blockchain_transactions_from_address",
    "idx_blockchain_transactions_to_address",
    "idx_blockchain_transactions_timestamp",
    "idx_blockchain_blocks_timestamp",
    "idx_user_analytics_user_id",
    "idx_user_analytics_event_type",
    "idx_user_analytics_timestamp",
    "idx_system_metrics_metric_type",
    "idx_system_metrics_timestamp",
    "idx_investments_user_asset",
    "idx_admin_logs_resource",
    "idx_user_analytics_user_event_time",
    "idx_user_metadata_gin",
    "idx_asset_performance_gin",
    "idx_transactions_timestamp",
    "idx_blockchain_events_contract",
}


def read(target: Target) -> Catalogue:
    with target.connect() as connection:
        return catalogue.read(connection)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the migrations, to add to."""
    return Path(shutil.copytree(SQL, tmp_path / "app"))


def add(folder: Path, name: str, text: str, undo: str | None = None) -> None:
    (folder / f"{name}.sql").write_text(text)
    if undo is not None:
        (folder / f"{name}.rollback.sql").write_text(undo)


def stepped_back(said: list[str], times: int) -> bool:
    return len(said) >= times


# -- applied and undone ------------------------------------------------------------------------------------------


def test_a_second_run_does_nothing(databases: Databases) -> None:
    target = databases.empty()
    assert migrate(target, Patience(), quiet) == NAMES
    before = read(target)
    with target.connect() as connection:
        changed = value(connection, "SELECT pg_current_wal_insert_lsn()")
        assert migrate(target, Patience(), quiet) == []
        assert value(connection, "SELECT pg_current_wal_insert_lsn()") == changed
    assert compare(before, read(target)) == []
    assert {one.state for one in status(target)} == {"applied"}


def test_each_migration_goes_over_rows_and_is_undone_where_it_can_be(databases: Databases) -> None:
    target = databases.empty()
    undone = []
    for file in files(SQL):
        before = read(target)
        assert migrate(target, Patience(), quiet, upto=file.name) == [file.name]
        with target.connect() as connection:
            fill(connection)  # the next one meets rows in all tables that are there by now
        after = read(target)
        if file.kept:
            with pytest.raises(OpsError, match="cannot be undone"):
                rollback(target, Patience(), quiet)
            continue
        assert rollback(target, Patience(), quiet) == file.name
        assert compare(before, read(target)) == [], f"{file.name} leaves something behind"
        migrate(target, Patience(), quiet, upto=file.name)
        assert compare(after, read(target)) == []
        undone.append(file.name)
        with target.connect() as connection:
            fill(connection)
    assert len(undone) == len(NAMES) - 2


def test_what_cannot_be_undone_says_why(databases: Databases, folder: Path) -> None:
    reasons = {file.name: file.kept for file in files(SQL) if file.kept}
    assert reasons == {
        "0001-roles": "roles belong to the whole cluster, and other databases may lean on them",
        "0009-audit": "the audit trail is evidence",
    }
    add(folder, "0900-no-way-back", "CREATE TABLE ops.more (n int);")
    target = databases.target(databases.migrated().database, folder)
    migrate(target, Patience(), quiet)
    with pytest.raises(OpsError, match="0900-no-way-back cannot be undone") as caught:
        rollback(target, Patience(), quiet)
    assert caught.value.detail == "there is no 0900-no-way-back.rollback.sql"


def test_a_file_is_applied_whole_or_not_at_all(databases: Databases, folder: Path) -> None:
    add(folder, "0900-broken", "CREATE TABLE ops.half (n int);\nALTER TABLE ops.nowhere ADD COLUMN m int;")
    target = databases.target(databases.migrated().database, folder)
    with pytest.raises(OpsError, match="0900-broken: the server refused it") as caught:
        migrate(target, Patience(), quiet)
    assert "nothing of it was done" in (caught.value.detail or "")
    with target.connect() as connection:
        assert value(connection, "SELECT to_regclass('ops.half')") is None
    assert status(target)[-1].state == "pending"
    add(folder, "0900-broken", "CREATE TABLE ops.half (n int);")
    assert migrate(target, Patience(), quiet) == ["0900-broken"]


def test_a_file_that_was_changed_lost_or_put_in_between_is_named_and_stops_everything(
    databases: Databases, folder: Path
) -> None:
    target = databases.target(databases.migrated().database, folder)
    (folder / "0004-admin.sql").write_text((folder / "0004-admin.sql").read_text() + "-- a late thought\n")
    (folder / "0005-kyc.sql").unlink()
    add(folder, "0006-between", "SELECT 1;")
    found = {one.name: one.state for one in status(target) if one.state != "applied"}
    assert found == {"0004-admin": "changed", "0005-kyc": "missing", "0006-between": "out of order"}
    for run in (migrate, rollback):
        with pytest.raises(OpsError, match="do not agree"):
            run(target, Patience(), quiet)


def test_an_index_is_built_beside_everybody_and_nothing_else_without_a_transaction(
    databases: Databases, folder: Path
) -> None:
    target = databases.target(databases.migrated().database, folder)
    text = "-- transactional: false\nCREATE INDEX CONCURRENTLY idx_more ON public.users (updated_at);"
    add(folder, "0900-index", text, "-- transactional: false\nDROP INDEX CONCURRENTLY public.idx_more;")
    assert migrate(target, Patience(), quiet) == ["0900-index"]
    assert rollback(target, Patience(), quiet) == "0900-index"
    add(folder, "0900-index", "-- transactional: false\nALTER TABLE public.users ADD COLUMN more int;")
    with pytest.raises(UsageError, match="holds more than CONCURRENTLY"):
        migrate(target, Patience(), quiet)


# -- among others ------------------------------------------------------------------------------------------------


def test_a_long_transaction_keeps_the_migration_waiting_and_nobody_else(databases: Databases, folder: Path) -> None:
    add(folder, "0900-more", "ALTER TABLE public.users ADD COLUMN more integer;")
    target = databases.target(databases.migrated().database, folder)
    said: list[str] = []
    with target.connect() as long, target.connect() as client, ThreadPoolExecutor(1) as pool:
        client.execute("SET lock_timeout = '20s'")
        with long.transaction():
            long.execute("SELECT count(*) FROM users")
            run = pool.submit(migrate, target, Patience(lock=0.2, total=120), said.append)
            # Both run into the lock again and again: the migration steps back each time, the client gets through.
            for tries in (1, 2, 3):
                wait_until("it steps back", partial(stepped_back, said, tries), deadline=60)
                client.execute("SELECT count(*) FROM users")
                client.execute(statement("UPDATE users SET tier = tier WHERE id = {1}"))
            assert not run.done()
        assert run.result(timeout=60) == ["0900-more"]
    assert all("steps back from a lock" in text for text in said[:-1])
    assert "oldest transactions: postgres (ops db, pid" in said[0]


def test_a_lock_that_is_never_to_be_had_is_given_up_with_its_holder_named(databases: Databases, folder: Path) -> None:
    add(folder, "0900-more", "ALTER TABLE public.users ADD COLUMN more integer;")
    target = databases.target(databases.migrated().database, folder)
    with target.connect() as long, long.transaction():
        pid = value(long, "SELECT pg_backend_pid() FROM (SELECT count(*) FROM users) AS read")
        with pytest.raises(OpsError, match="0900-more: a lock was not to be had within 1 s") as caught:
            migrate(target, Patience(lock=0.1, total=1), quiet)
    assert f"pid {pid}" in (caught.value.detail or "")
    assert status(target)[-1].state == "pending"


def test_two_runs_do_not_meet(databases: Databases) -> None:
    target = databases.empty()
    with target.connect() as connection, alone(connection, "migrate"):
        with pytest.raises(OpsError, match="another run of ops db is at work") as caught:
            migrate(target, Patience(), quiet)
        assert f"process {connection.info.backend_pid} on the server" in (caught.value.detail or "")
    assert migrate(target, Patience(), quiet, upto=NAMES[0]) == NAMES[:1]


def test_a_password_in_the_address_is_refused() -> None:
    for uri in ("postgresql://me:secret@pg1/pend_production", "postgresql://me@pg1/pend_production?password=secret"):
        with pytest.raises(UsageError, match="must hold no password"):
            given(uri)


def test_the_commands_say_what_is_so_by_their_exit_codes(databases: Databases) -> None:
    target, host = databases.empty(), databases.host
    host.write_config(host.folder())

    def ops(*arguments: str) -> tuple[int, dict[str, Any]]:
        meant = ("--database", target.database, "--folder", str(SQL), "--json")
        outcome = host.ops(*arguments, *meant)
        return outcome.returncode, json.loads(outcome.stdout)

    assert ops("db", "migrate", "--dry") == (1, {"database": target.database, "pending": NAMES, "refused": []})
    assert ops("db", "validate")[0] == 1  # nothing was applied yet
    assert ops("db", "migrate") == (0, {"database": target.database, "applied": NAMES})
    assert ops("db", "migrate") == (0, {"database": target.database, "applied": []})
    code, found = ops("db", "status")
    assert (code, {one["state"] for one in found["migrations"]}) == (0, {"applied"})
    assert ops("db", "validate") == (0, {"database": target.database, "differences": []})
    assert ops("db", "refresh", "--due") == (0, {"database": target.database, "refreshed": []})
    assert ops("db", "partitions", "--ahead", "3")[0] == 0
    assert ops("audit", "verify")[0] == 0
    assert ops("db", "rollback") == (0, {"database": target.database, "undone": NAMES[-1]})
    code, found = ops("db", "status")
    assert (code, found["migrations"][-1]["state"]) == (1, "pending")
    assert host.ops("db", "status", "--database", "nowhere", "--folder", str(SQL)).returncode == 3
    assert host.ops("db", "status", "--database", "nowhere").returncode == 2  # no migrations are known for it


def test_the_deploy_is_told_what_it_would_apply_of_what_it_brings(databases: Databases) -> None:
    target, host = databases.migrated(), databases.host
    host.write_config(host.folder())

    def check(database: str, declared: dict[str, str]) -> tuple[int, Any]:
        host.write(host.base / "declared.json", json.dumps(declared))
        asked = ("--check", "--json", "--declared", host.base / "declared.json", "--database", database)
        outcome = host.ops("db", "migrate", *asked, "--folder", SQL)
        assert outcome.stdout, outcome.stderr
        return outcome.returncode, json.loads(outcome.stdout)

    brought = {file.name: file.digest for file in files(SQL)}
    assert check(target.database, brought) == (0, {"pending": []})
    code, found = check(target.database, brought | {"0900-more": "of a file that is not there yet"})
    assert (code, [one["what"] for one in found["pending"]]) == (1, [f"{target.database}: migration 0900-more"])
    code, found = check(target.database, brought | {NAMES[0]: "of another text"})
    assert (code, found["error"]) == (1, "the database and the folder do not agree")
    code, found = check("not_made_yet", brought)
    assert (code, len(found["pending"])) == (1, len(NAMES))


# -- what they make ----------------------------------------------------------------------------------------------


def test_every_index_of_the_seeds_is_there(databases: Databases) -> None:
    with databases.migrated().connect() as connection:
        rows = connection.execute("SELECT indexname FROM pg_indexes WHERE schemaname = 'public'").fetchall()
    assert not SEED_INDEXES - {name for (name,) in rows}


SEARCHES = {
    "idx_users_blockchain_address_trgm": "SELECT id FROM users WHERE blockchain_address ILIKE '%beef%'",
    "idx_user_profiles_phone_trgm": "SELECT user_id FROM user_profiles WHERE phone_number_masked LIKE '%7890%'",
    "idx_assets_search": """SELECT id FROM assets WHERE to_tsvector('english', title || ' ' || coalesce(description, '')
        || ' ' || coalesce(category, '')) @@ plainto_tsquery('english', 'villas by the sea')""",
    "idx_assets_title_trgm": "SELECT id FROM assets WHERE title ILIKE '%villa%'",
    "idx_user_metadata_gin": """SELECT user_id FROM user_profiles WHERE metadata @> '{"source": "app"}'""",
    "idx_asset_performance_gin": "SELECT asset_id FROM asset_metrics WHERE performance_data ? 'yield'",
    "idx_kyc_applications_status_submitted_at": """SELECT id FROM kyc_applications WHERE status = 'pending_review'
        ORDER BY submitted_at LIMIT 20""",
    "idx_blockchain_events_contract": """SELECT id FROM blockchain_events WHERE contract_address = '0x11'
        AND event_type = 'Invested'""",
}


def test_each_search_of_the_requirements_has_an_index(databases: Databases) -> None:
    with databases.migrated().connect() as connection:
        connection.execute("SET enable_seqscan = off")  # the tables are empty: only what is possible is asked
        connection.execute("SET enable_sort = off")
        for index, query in SEARCHES.items():
            plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN {query}".encode()).fetchall())
            assert index in plan, plan


def test_everything_has_a_comment(databases: Databases) -> None:
    found = read(databases.migrated())
    commented = {thing.name for thing in found if thing.kind == "comment"}
    views = {thing.name for thing in found if thing.kind == "view"}
    columns = {t.name for t in found if t.kind == "column" and t.name.rpartition(".")[0] not in views}
    columns = {name for name in columns if "_default." not in name}  # a partition's columns are its parent's
    wanted = columns | {thing.name for thing in found if thing.kind in ("table", "function")}
    assert wanted - commented == set()


def test_money_is_numeric(databases: Databases) -> None:
    amounts = ("amount", "total_invested", "token_price", "minimum_investment", "soft_cap", "max_investment", "value")
    found = read(databases.migrated())
    columns = {thing.name: text for thing, text in found.items() if thing.kind == "column"}
    money = {name: text for name, text in columns.items() if name.rpartition(".")[2] in amounts}
    assert len(money) > 6
    assert all(text.startswith("numeric") for text in money.values())


def test_months_are_made_ahead_and_strays_move_into_theirs(databases: Databases) -> None:
    target = databases.migrated()
    with target.connect() as connection:
        far = "now() + interval '1 year'"
        connection.execute(
            f"INSERT INTO system_logs (level, source, message, timestamp) VALUES ('info', 'a', 'b', {far})".encode()
        )
        _, before = make(target, 3)
        assert {one.table: one.stray_rows for one in before}["system_logs"] == 1
        made, after = make(target, 13)
        assert len(made) == 4 * 10
        assert all(one.stray_rows == 0 for one in after)
        assert value(connection, "SELECT count(*) FROM system_logs") == 1
        assert value(connection, "SELECT count(*) FROM system_logs_default") == 0
        assert make(target, 13)[0] == []
    assert validate(target) == []


# Something of every kind, and what it has to be called.
PLANTED = {
    "ALTER TABLE users ALTER status DROP NOT NULL": ("different", "column", "public.users.status"),
    "ALTER TABLE users ALTER tier SET DEFAULT 1": ("different", "column", "public.users.tier"),
    "ALTER TABLE assets ALTER location TYPE text": ("different", "column", "public.assets.location"),
    "ALTER TABLE investments ADD COLUMN more int": ("unexpected", "column", "public.investments.more"),
    "ALTER TABLE admin_users DROP COLUMN last_login_at": ("missing", "column", "public.admin_users.last_login_at"),
    "ALTER TABLE investments DROP CONSTRAINT investments_amount_check": (
        *("missing", "constraint"), "investments_amount_check on public.investments"),
    "DROP INDEX idx_users_created_at": ("missing", "index", "idx_users_created_at"),
    "CREATE INDEX idx_more ON users (updated_at)": ("unexpected", "index", "idx_more"),
    "ALTER TABLE users DISABLE TRIGGER users_audit_update": (
        *("different", "trigger"), "users_audit_update on public.users"),
    "DROP TRIGGER assets_updated_at ON assets": ("missing", "trigger", "assets_updated_at on public.assets"),
    "ALTER POLICY user_data_policy ON users USING (true)": (
        *("different", "policy"), "user_data_policy on public.users"),
    "CREATE POLICY more ON users TO app_user USING (true)": ("unexpected", "policy", "more on public.users"),
    "ALTER TABLE user_profiles NO FORCE ROW LEVEL SECURITY": ("different", "table", "public.user_profiles"),
    "ALTER TABLE kyc_documents OWNER TO app_user": ("different", "table", "public.kyc_documents"),
    "GRANT DELETE ON audit_trail TO app_user": ("unexpected", "grant", "DELETE on public.audit_trail to app_user"),
    "GRANT UPDATE (tier) ON users TO app_user": ("unexpected", "grant", "UPDATE on public.users.tier to app_user"),
    "REVOKE SELECT ON assets FROM analyst": ("missing", "grant", "SELECT on public.assets to analyst"),
    "GRANT CREATE ON SCHEMA public TO PUBLIC": ("unexpected", "grant", "CREATE on schema public to public"),
    "CREATE OR REPLACE FUNCTION app_current_user_id() RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'": (
        *("different", "function"), "public.app_current_user_id()"),
    "CREATE FUNCTION more() RETURNS int LANGUAGE sql AS 'SELECT 1'": ("unexpected", "function", "public.more()"),
    "CREATE OR REPLACE VIEW wallet_directory AS"
    " SELECT blockchain_address, tier, status, created_at FROM users WHERE tier > 0": (
        *("different", "view"), "public.wallet_directory"),
    "DROP MATERIALIZED VIEW real_time_stats": ("missing", "table", "public.real_time_stats"),
    "CREATE TABLE more (n int)": ("unexpected", "table", "public.more"),
    "DROP TABLE system_logs_default": ("missing", "table", "public.system_logs_default"),
    "COMMENT ON TABLE assets IS 'other'": ("different", "comment", "public.assets"),
    "ALTER SCHEMA public OWNER TO app_user": ("different", "schema", "public"),
    "DELETE FROM audit.masked_columns WHERE column_name = 'password_hash'": (
        *("missing", "masked column"), "admin_users.password_hash"),
    "CREATE SEQUENCE more_numbers": ("unexpected", "sequence", "public.more_numbers"),
    "DROP EXTENSION btree_gin": ("missing", "extension", "btree_gin"),
    "GRANT audit_owner TO app_user": ("different", "role", "audit_owner"),
    "ALTER DEFAULT PRIVILEGES FOR ROLE migrator GRANT EXECUTE ON FUNCTIONS TO PUBLIC": (
        *("missing", "default right"), "f by migrator"),
}  # fmt: skip


def test_a_database_as_its_migrations_make_it_has_no_differences(databases: Databases) -> None:
    target = databases.migrated()
    with target.connect() as connection:
        fill(connection)
        connection.execute("CREATE EXTENSION amcheck")  # the deploy's, and none of the migrations'
    assert validate(target) == []


def test_whatever_is_planted_is_named_and_nothing_else_is(databases: Databases) -> None:
    target = databases.migrated()
    with target.connect() as connection:
        for text in PLANTED:
            connection.execute(text.encode())
    try:
        found = {(one.verdict, one.kind, one.name) for one in validate(target)}
        assert set(PLANTED.values()) - found == set()
        # What follows from a planted thing: the owner's own rights, the key of a column that went, options of a view.
        follows = ("grant", "comment", "function", "table")
        assert [one for one in found - set(PLANTED.values()) if one[1] not in follows] == []
    finally:
        databases.host.sql("REVOKE audit_owner FROM app_user")


def test_validation_leaves_no_database_behind_and_clears_up_after_one_that_was_killed(databases: Databases) -> None:
    databases.host.sql("CREATE DATABASE ops_validate_1")
    validate(databases.migrated())
    names = databases.host.sql("SELECT datname FROM pg_database WHERE datname LIKE 'ops%'")
    assert names == []


def test_a_database_without_migrations_cannot_be_validated(databases: Databases) -> None:
    with pytest.raises(OpsError, match="no migration was applied"):
        validate(databases.empty())


def test_who_is_not_let_in_is_told_so() -> None:
    with pytest.raises(OpsError, match="does not let us in"):
        status(given("postgresql://postgres@127.0.0.1:1/pend_production", SQL))


def test_psycopg_is_not_asked_to_read_nonsense() -> None:
    with pytest.raises(UsageError, match="no URI that libpq reads"):
        status(given("postgresql://postgres@/pend_production?nonsense=1", SQL))


def test_a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are no migrations"):
        files(tmp_path / "nowhere")
    (tmp_path / "0001-unreadable.sql").mkdir()  # root reads every file
    with pytest.raises(UsageError, match="cannot be read"):
        files(tmp_path)
