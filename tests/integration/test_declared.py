"""Roles, databases and extensions as declared, on a real server: made once, then found to be there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from ops.config import Postgres
from ops.model.scram import verifier
from ops.postgres.declared import Database, Declared, Role, changes

from .fix_postgres import Host

pytestmark = pytest.mark.integration
SQL = Path(__file__).parents[2] / "sql" / "ops"


def make_all(declared: Declared, host: Host) -> list[str]:
    """Make every change; what was made, in words."""
    settings = Postgres(user="postgres", socket_dir=host.base, port=host.port)
    made = []
    for change in changes(declared, settings):
        change.make()
        made.append(change.what)
    return made


@pytest.fixture
def server(hosts: Callable[[str], Host]) -> Host:
    host = hosts("pg")
    host.initdb()
    # Passwords are asked for on loopback, so that a verifier of ours is judged by PostgreSQL itself.
    host.write(host.data_dir / "pg_hba.conf", "local all postgres trust\nlocal all all scram-sha-256\n")
    host.configure(track_commit_timestamp="on", shared_preload_libraries="pg_stat_statements")
    host.start()
    return host


@pytest.fixture
def declared(tmp_path: Path) -> Declared:
    (tmp_path / "password").write_text("correct horse\n")
    return Declared(
        patroni={},
        roles={
            "pend_app": Role(
                login=True, createdb=False, member_of=[], connection_limit=80, password_file=tmp_path / "password"
            ),
            "pend_readonly": Role(login=False, createdb=False, member_of=["pg_read_all_data"], connection_limit=-1),
        },
        databases={"pend_production": Database(owner="pend_app", extensions=["pgcrypto", "btree_gin", "amcheck"])},
        platform_extensions=["amcheck", "pg_stat_statements"],
        migrations=SQL,
    )


def log_in(host: Host, password: str) -> str:
    with psycopg.connect(
        host=str(host.base), port=host.port, user="pend_app", dbname="pend_production", password=password
    ) as connection:
        row = connection.execute("SELECT current_user").fetchone()
        assert row is not None
        return str(row[0])


def test_a_second_run_finds_nothing_to_do(server: Host, declared: Declared) -> None:
    made = make_all(declared, server)
    assert "role pend_app" in made
    assert "database pend_production of pend_app" in made
    assert "extension pgcrypto in pend_production" in made
    assert any(what.startswith("migration 0001") for what in made)
    assert make_all(declared, server) == []
    assert server.value("SELECT count(*) FROM ops.heartbeat") == 0
    assert server.value("SELECT rolconnlimit FROM pg_roles WHERE rolname = 'pend_app'") == 80


def test_a_role_logs_in_with_its_password_and_with_no_other(server: Host, declared: Declared) -> None:
    make_all(declared, server)
    assert log_in(server, "correct horse") == "pend_app"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        log_in(server, "battery staple")


def test_what_drifted_is_put_right_and_nothing_else_is_touched(
    server: Host, declared: Declared, tmp_path: Path
) -> None:
    make_all(declared, server)
    server.sql("ALTER ROLE pend_app CREATEDB")
    server.sql("REVOKE pg_read_all_data FROM pend_readonly")
    server.sql("GRANT pg_write_all_data TO pend_readonly")
    server.sql("CREATE ROLE somebody_else")
    (tmp_path / "password").write_text("battery staple\n")
    assert make_all(declared, server) == [
        "role pend_app",
        "password of role pend_app",
        "role pend_readonly in pg_read_all_data",
        "role pend_readonly no longer in pg_write_all_data",
    ]
    assert log_in(server, "battery staple") == "pend_app"
    assert server.value("SELECT count(*) FROM pg_roles WHERE rolname = 'somebody_else'") == 1


def test_the_server_log_never_shows_a_password(server: Host, declared: Declared) -> None:
    server.sql("ALTER SYSTEM SET log_statement = 'all'")
    server.sql("SELECT pg_reload_conf()")
    make_all(declared, server)
    log = server.wait_for_log("CREATE EXTENSION")
    assert "correct horse" not in log
    assert "SCRAM-SHA-256$" not in log, "nor what one could guess it from"
    assert server.value("SELECT count(*) FROM pg_stat_statements WHERE query LIKE '%SCRAM-SHA-256$%'") == 0


def test_postgresql_accepts_a_verifier_of_ours(server: Host, declared: Declared) -> None:
    make_all(declared, server)
    stored = server.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'pend_app'")
    assert stored.startswith("SCRAM-SHA-256$4096:")
    server.sql(f"ALTER ROLE pend_app PASSWORD '{verifier('third', os.urandom(16))}'")
    assert log_in(server, "third") == "pend_app"
