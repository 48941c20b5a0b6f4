"""The audit trail on a real server: what it says, that nobody changes it, and how a superuser who did is found out."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from ops.database.audit import anchor, judge, judged, open_guards, read_anchor
from ops.database.target import Target
from ops.errors import UsageError
from ops.model.audit import Flaw, Head
from ops.postgres.connect import Connection

from .fix_database import SQL, TEMPLATE, Databases, acting, fill, number, statement, value
from .fix_postgres import OPS, run_as_postgres

pytestmark = pytest.mark.integration
CHECK = SQL.parent / "checks" / "audit-trail.sql"  # what a drill asks of a restored database


@pytest.fixture(scope="module")
def target(databases: Databases) -> Target:
    """A database with a trail of some length, all of it in one chain."""
    made = databases.migrated()
    with made.connect() as connection:
        fill(connection)
    return made


@pytest.fixture
def trail(target: Target) -> Iterator[Connection]:
    """A superuser's transaction there; rolled back in the end, so that every test finds the same trail."""
    with target.connect() as connection, connection.transaction(force_rollback=True):
        yield connection


@pytest.fixture
def spoilt(databases: Databases) -> Iterator[tuple[Target, Connection]]:
    """A database of its own, for what others must not find, and a superuser's connection to it."""
    made = databases.migrated()
    with made.connect() as connection:
        fill(connection)
        yield made, connection


def flaws(connection: Connection, kept: Mapping[int, Head] | None = None) -> Sequence[Flaw]:
    """What is wrong with the trail as this transaction sees it."""
    return judged(connection, kept or {}).flaws


def change(connection: Connection) -> None:
    """One more record, of user 1."""
    connection.execute(statement("UPDATE users SET tier = (tier + 1) % 6 WHERE id = {1}"))


# -- what it says ------------------------------------------------------------------------------------------------


def test_a_record_says_who_changed_what_from_what_to_what(trail: Connection) -> None:
    who = {"current_admin_id": number(1), "client_ip": "192.0.2.7", "user_agent": "panel/1"}
    with acting(trail, "admin_role", number(2), **who):
        trail.execute(statement("UPDATE users SET status = 'suspended' WHERE id = {1}"))
        trail.execute("RESET ROLE")
        row = trail.execute(
            "SELECT table_name, record_id, action, old_values ->> 'status', new_values ->> 'status', changed_by,"
            " user_id, host(ip_address), user_agent, session_role, effective_role"
            " FROM audit_trail ORDER BY changed_at DESC LIMIT 1"
        )
        assert row.fetchone() == (
            *("users", str(number(1)), "UPDATE", "active", "suspended", number(1), number(2)),
            *("192.0.2.7", "panel/1", "postgres", "admin_role"),
        )


def test_it_works_while_neither_an_admin_nor_a_user_is_set(trail: Connection) -> None:
    change(trail)
    last = trail.execute(
        "SELECT action, changed_by, user_id, ip_address FROM audit_trail ORDER BY changed_at DESC LIMIT 1"
    )
    assert last.fetchone() == ("UPDATE", None, None, None)


def test_secrets_do_not_reach_it(trail: Connection) -> None:
    trail.execute("UPDATE admin_users SET password_hash = '$2b$another'")
    trail.execute("UPDATE users SET tier = 3")
    everything = value(trail, "SELECT string_agg(concat(old_values, new_values), ' ') FROM audit_trail")
    for secret in ("$2b$", "hash 1", "token of a session", "+20***1"):
        assert secret not in everything
    shown = "SELECT new_values ->> %s FROM audit_trail WHERE table_name = %s AND action = 'UPDATE' LIMIT 1"
    assert value(trail, shown, "password_hash", "admin_users") == "*** (changed)"
    assert value(trail, shown, "phone_hash", "users") == "***"


def test_every_row_of_a_statement_is_a_record(trail: Connection) -> None:
    before = value(trail, "SELECT count(*) FROM audit_trail")
    trail.execute(
        "INSERT INTO users (phone_hash, blockchain_address) SELECT 'p' || i, 'a' || i FROM generate_series(1, 500) i"
    )
    trail.execute("UPDATE users SET tier = 1 WHERE phone_hash LIKE 'p%'")
    trail.execute("DELETE FROM users WHERE phone_hash LIKE 'p%'")
    trail.execute("UPDATE users SET tier = 1 WHERE false")
    assert value(trail, "SELECT count(*) FROM audit_trail") == before + 1500


def test_what_goes_with_a_row_is_recorded_too(trail: Connection) -> None:
    trail.execute("DELETE FROM kyc_applications")
    rows = trail.execute("SELECT table_name, count(*) FROM audit_trail WHERE action = 'DELETE' GROUP BY 1 ORDER BY 1")
    assert rows.fetchall() == [("kyc_applications", 2), ("kyc_documents", 2)]


def test_a_changed_key_and_an_emptied_table_are_recorded(trail: Connection) -> None:
    trail.execute("UPDATE admin_permissions SET id = gen_random_uuid()")
    trail.execute("TRUNCATE kyc_documents")
    rows = trail.execute(
        "SELECT table_name, action, old_values IS NULL, new_values IS NULL FROM audit_trail"
        " WHERE table_name IN ('admin_permissions', 'kyc_documents') AND action <> 'INSERT' ORDER BY 1, 3"
    ).fetchall()
    assert rows == [
        ("admin_permissions", "UPDATE", False, True),
        ("admin_permissions", "UPDATE", True, False),
        ("kyc_documents", "TRUNCATE", True, True),
    ]


def test_what_was_rolled_back_leaves_no_record_and_no_hole(trail: Connection) -> None:
    with trail.transaction(force_rollback=True):
        change(trail)
    change(trail)
    assert not flaws(trail)


# -- nobody changes it -------------------------------------------------------------------------------------------

ROLES = (
    "app_user",
    "admin_role",
    "auditor",
    "analyst",
    "exporter",
    "migrator",
    "view_owner",
    "audit_owner",
    "postgres",
)
ATTEMPTS = (
    "UPDATE audit_trail SET record_id = 'x'",
    "DELETE FROM audit_trail",
    "TRUNCATE audit_trail",
    "WITH gone AS (DELETE FROM audit_trail RETURNING 1) SELECT count(*) FROM gone",
    "MERGE INTO audit_trail a USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
    """INSERT INTO audit_trail SELECT * FROM audit_trail
       ON CONFLICT (id) DO UPDATE SET record_id = 'x'""",
    "DELETE FROM audit.head",
    "TRUNCATE audit.head",
    "INSERT INTO audit.head (chain) VALUES (1000)",
)


@pytest.mark.parametrize("role", ROLES)
def test_every_attempt_to_change_it_is_refused(trail: Connection, role: str) -> None:
    for attempt in ATTEMPTS:
        with pytest.raises(psycopg.errors.InsufficientPrivilege), acting(trail, role, number(1)):
            trail.execute(attempt.encode())


def test_a_session_that_plays_a_replica_is_refused_and_recorded_all_the_same(trail: Connection) -> None:
    before = value(trail, "SELECT count(*) FROM audit_trail")
    trail.execute("SET LOCAL session_replication_role = replica")
    for attempt in ATTEMPTS[:4]:
        with pytest.raises(psycopg.errors.InsufficientPrivilege), trail.transaction():
            trail.execute(attempt.encode())
    change(trail)
    assert value(trail, "SELECT count(*) FROM audit_trail") == before + 1


@pytest.mark.parametrize("role", [role for role in ROLES if role not in ("audit_owner", "postgres")])
def test_only_its_owner_could_take_it_apart_and_nobody_is_its_owner(trail: Connection, role: str) -> None:
    for attempt in (
        "DROP TABLE public.audit_trail",
        "ALTER TABLE public.audit_trail DISABLE TRIGGER ALL",
        "ALTER TABLE public.audit_trail RENAME TO old",
        "DROP SCHEMA audit CASCADE",
        "DROP TRIGGER audit_trail_append_only ON public.audit_trail",
        "SELECT audit.append('users', 'INSERT', ARRAY['1'], NULL, NULL)",
        "SET session_replication_role = replica",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), acting(trail, role):
            trail.execute(attempt.encode())
    assert value(trail, "SELECT count(*) FROM pg_auth_members WHERE roleid = 'audit_owner'::regrole") == 0


# -- what a superuser did is found -------------------------------------------------------------------------------

OPEN = "ALTER TABLE audit_trail DISABLE TRIGGER ALL; ALTER TABLE audit.head DISABLE TRIGGER ALL;"
SHUT = """ALTER TABLE audit_trail ENABLE ALWAYS TRIGGER audit_trail_append_only;
          ALTER TABLE audit.head ENABLE ALWAYS TRIGGER head_stays;"""
IN_CHAIN = "chain = (SELECT max(chain) FROM audit_trail WHERE chain_position > 1)"
FORGED = """INSERT INTO audit_trail
    (table_name, record_id, action, session_role, effective_role, chain, chain_position, hash)
    SELECT 'users', '1', 'DELETE', 'x', 'x', max(chain), {place}, sha256('forged') FROM audit_trail WHERE {chain}"""
LAST = "(SELECT max(chain_position) FROM audit_trail WHERE {chain})"
# What is done, and the position of the record that is to be named; None: behind the last, or it itself.
TAMPERED: dict[str, tuple[list[str], int | None]] = {
    "altered": (["UPDATE audit_trail SET new_values = '{}' WHERE {chain} AND chain_position = 5"], 5),
    "removed": (["DELETE FROM audit_trail WHERE {chain} AND chain_position BETWEEN 5 AND 6"], 5),
    "removed and moved up": (
        [
            "DELETE FROM audit_trail WHERE {chain} AND chain_position = 5",
            "UPDATE audit_trail SET chain_position = -chain_position WHERE {chain} AND chain_position > 5",
            "UPDATE audit_trail SET chain_position = -chain_position - 1 WHERE chain_position < 0",
        ],
        5,
    ),
    "inserted": (
        [
            "UPDATE audit_trail SET chain_position = -chain_position WHERE {chain} AND chain_position >= 5",
            "UPDATE audit_trail SET chain_position = -chain_position + 1 WHERE chain_position < 0",
            FORGED.replace("{place}", "5"),
        ],
        5,
    ),
    "inserted at the end": ([FORGED.replace("{place}", "max(chain_position) + 1")], None),
    "reordered": (
        [
            "UPDATE audit_trail SET chain_position = -chain_position WHERE {chain} AND chain_position IN (5, 8)",
            "UPDATE audit_trail SET chain_position = 13 + chain_position WHERE chain_position < 0",
        ],
        5,
    ),
    "removed at the end": (["DELETE FROM audit_trail WHERE {chain} AND chain_position = " + LAST], None),
    "removed as a whole": (["DELETE FROM audit_trail WHERE {chain}"], 1),
}


@pytest.mark.parametrize("deed", TAMPERED)
def test_what_a_superuser_did_to_it_is_named(trail: Connection, deed: str) -> None:
    trail.execute(
        "ALTER TABLE audit_trail DROP CONSTRAINT audit_trail_chain_position_check"
    )  # lets numbers be moved about
    assert judged(trail, {}).records > 20
    statements, position = TAMPERED[deed]
    last = value(trail, "SELECT max(chain_position) FROM audit_trail")
    for each in (OPEN, *statements, SHUT):
        trail.execute(each.replace("{chain}", IN_CHAIN).encode())
    (flaw,) = flaws(trail)
    assert flaw.kind == deed.partition(" ")[0]
    assert flaw.position == (position or (last if deed.startswith("removed") else last + 1))


def test_a_restore_that_brought_back_another_trail_fails_its_check(trail: Connection) -> None:
    check = CHECK.read_bytes()
    assert trail.execute(check).fetchall() == []
    trail.execute(OPEN.encode())
    trail.execute("DELETE FROM audit_trail WHERE chain_position = 4")
    ((violation,),) = trail.execute(check).fetchall()
    assert violation.endswith("position 5: follows position 3")


def test_an_end_that_was_cut_off_with_its_head_is_found_by_an_anchor(
    spoilt: tuple[Target, Connection], tmp_path: Path
) -> None:
    target, trail = spoilt
    kept = tmp_path / "anchor.json"
    kept.write_text(json.dumps(anchor(target)))
    last = value(trail, "SELECT max(chain_position) FROM audit_trail")
    trail.execute(OPEN.encode())
    trail.execute("DELETE FROM audit_trail WHERE chain_position > 10")
    trail.execute(
        "UPDATE audit.head h SET chain_position = 10, hash = a.hash FROM audit_trail a"
        " WHERE a.chain = h.chain AND a.chain_position = 10"
    )
    trail.execute(SHUT.encode())
    assert not judge(target).flaws  # the database alone agrees with itself
    (flaw,) = judge(target, read_anchor(kept, target.database)).flaws
    assert (flaw.kind, flaw.position, flaw.words) == (
        "removed",
        11,
        f"{last - 10} records are gone, positions 11 to {last}",
    )


def test_a_chain_that_was_written_anew_is_found_by_an_anchor(trail: Connection) -> None:
    rows = trail.execute("SELECT chain, chain_position, hash FROM audit.head WHERE chain_position > 0").fetchall()
    kept = {chain: Head(chain, position, digest) for chain, position, digest in rows}
    trail.execute(OPEN.encode())
    trail.execute("UPDATE audit_trail SET record_id = 'nobody' WHERE chain_position = 3")
    trail.execute(
        """
        WITH anew AS (
            SELECT a.id, audit.chained('\\x', audit.payload(a)) OVER (ORDER BY chain_position) AS hash
            FROM audit_trail a
        ), written AS (UPDATE audit_trail a SET hash = n.hash FROM anew n WHERE a.id = n.id RETURNING a.*)
        UPDATE audit.head h SET hash = w.hash FROM written w
        WHERE w.chain = h.chain AND w.chain_position = h.chain_position
        """
    )
    trail.execute(SHUT.encode())
    assert not flaws(trail)
    assert [flaw.kind for flaw in flaws(trail, kept)] == ["altered"]
    change(trail)
    assert [flaw.kind for flaw in flaws(trail, kept)] == ["altered"]


def test_an_anchor_of_another_database_is_not_believed(target: Target, databases: Databases, tmp_path: Path) -> None:
    kept = tmp_path / "anchor.json"
    kept.write_text(json.dumps(anchor(databases.target(TEMPLATE))))
    with pytest.raises(UsageError, match="is no anchor of the audit trail of") as caught:
        read_anchor(kept, target.database)
    assert caught.value.detail == f"it is of {TEMPLATE}"


def test_a_guard_that_is_switched_off_is_named(spoilt: tuple[Target, Connection]) -> None:
    target, trail = spoilt
    assert open_guards(target) == []
    trail.execute("ALTER TABLE users DISABLE TRIGGER users_audit_update")
    trail.execute("DROP TRIGGER audit_trail_append_only ON audit_trail")
    trail.execute("DROP TRIGGER assets_audit_delete ON assets")
    assert open_guards(target) == [
        "audit_trail_append_only on public.audit_trail",
        "one of four on public.assets",
        "users_audit_update on public.users",
    ]


def test_the_command_says_yes_then_no_with_the_record_then_that_it_cannot_know(
    spoilt: tuple[Target, Connection],
) -> None:
    target, trail = spoilt
    verify: list[str | Path] = [OPS, "audit", "verify", "--server", target.uri, "--folder", str(target.folder)]
    good = run_as_postgres([*verify, "--json"])
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout)["good"] is True
    trail.execute(OPEN.encode())
    trail.execute(statement("UPDATE audit_trail SET old_values = NULL, new_values = '{}' WHERE chain_position = 2"))
    trail.execute(SHUT.encode())
    bad = run_as_postgres(verify)
    assert bad.returncode == 1
    assert "altered" in bad.stdout
    assert str(number(2)) in bad.stdout
    away = [*verify[:4], target.uri.replace("port=", "port=1"), *verify[5:]]
    assert run_as_postgres(away).returncode == 3


# -- many at once ------------------------------------------------------------------------------------------------


def test_an_open_transaction_keeps_nobody_from_adding_to_it(target: Target) -> None:
    with target.connect() as other, target.connect() as one, one.transaction():
        change(one)
        other.execute("SET lock_timeout = '1s'")
        for _ in range(5):
            other.execute(statement("UPDATE assets SET title = title || '.' WHERE id = {1}"))
    assert not judge(target).flaws


def test_more_transactions_than_chains_are_open_by_none(target: Target) -> None:
    with target.connect() as connection:
        assert value(connection, "SELECT count(*) FROM audit.head") > 100  # max_connections of the platform


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
def test_many_at_once_leave_whole_chains(target: Target, isolation: str) -> None:
    workers, rounds = 8, 25
    before, together = judge(target).records, threading.Barrier(workers)

    def work(worker: int) -> None:
        with target.connect() as connection:
            connection.execute(f"SET default_transaction_isolation = '{isolation}'".encode())
            together.wait(timeout=60)
            for one in range(rounds):
                with connection.transaction(force_rollback=one % 5 == 0):
                    for part in range(2):
                        connection.execute(
                            "INSERT INTO users (phone_hash, blockchain_address) VALUES (%s, %s)",
                            [f"{isolation} {worker}-{one}-{part}", f"{isolation[:4]}{worker}-{one}-{part}"],
                        )

    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(work, worker) for worker in range(workers)]:
            done.result(timeout=120)
    verdict = judge(target)
    assert not verdict.flaws
    assert verdict.records == before + workers * (rounds - rounds // 5) * 2
    assert verdict.chains > 1
