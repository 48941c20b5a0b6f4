"""Roles, databases and extensions as declared, on a real server: made once, then found to be there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from ops.config import Postgres
from ops.errors import OpsError, UsageError
from ops.model.impact import Impact
from ops.model.scram import verifier
from ops.postgres.declared import Database, Declared, Libraries, Role, alone, changes, undeclared

from .fix_postgres import Host

pytestmark = pytest.mark.integration
SQL = Path(__file__).parents[2] / "sql" / "ops"


def settings_of(host: Host) -> Postgres:
    return Postgres(user="postgres", socket_dir=host.base, port=host.port)


def make_all(declared: Declared, host: Host, *allow_drop: str, libraries: Libraries = alone) -> list[str]:
    """Make every change; what was made, in words."""
    made = []
    for change in changes(declared, settings_of(host), allow_drop=allow_drop, libraries=libraries):
        change.make()
        made += [difference.what for difference in change.differences]
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
    assert "role pend_app: new" in made
    assert "database pend_production of pend_app: new" in made
    assert "extension pgcrypto in pend_production: new" in made
    assert "remember role pend_app as declared" in made
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
        "role pend_app: createdb on → off",
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


def test_attributes_that_cannot_be_declared_are_taken_from_a_role_of_ours(server: Host, declared: Declared) -> None:
    make_all(declared, server)
    server.sql("ALTER ROLE pend_app SUPERUSER CONNECTION LIMIT 3")
    assert make_all(declared, server) == ["role pend_app: superuser on → off, connection limit 3 → 80"]


def test_settings_of_roles_and_databases_are_what_is_declared_and_nothing_else(
    server: Host, declared: Declared
) -> None:
    make_all(declared, server)
    server.sql("ALTER ROLE pend_app SET work_mem = '1GB'")
    role = declared.roles["pend_app"].model_copy(update={"settings": {"statement_timeout": "30s"}})
    database = declared.databases["pend_production"].model_copy(
        update={"settings": {"search_path": "app, public"}, "connection_limit": 90}
    )
    wanted = declared.model_copy(
        update={"roles": declared.roles | {"pend_app": role}, "databases": {"pend_production": database}}
    )
    assert make_all(wanted, server) == [
        "role pend_app: statement_timeout (unset) → 30s",
        "role pend_app: work_mem 1GB → (unset)",
        "database pend_production: connection limit -1 → 90",
        "database pend_production: search_path (unset) → app, public",
    ]
    assert make_all(wanted, server) == []
    assert server.value("SHOW search_path", "pend_production") == "app, public", "two schemas, not one of that name"


def test_a_missing_password_file_is_pending_and_named_when_it_is_needed(
    server: Host, declared: Declared, tmp_path: Path
) -> None:
    (tmp_path / "password").unlink()
    found = [difference.what for change in changes(declared, settings_of(server)) for difference in change.differences]
    assert "password of role pend_app" in found
    with pytest.raises(UsageError, match=r"there is no .*password"):
        make_all(declared, server)


def test_an_extension_is_updated_once_every_member_has_its_library(server: Host, declared: Declared) -> None:
    make_all(declared, server)
    server.sql("DROP EXTENSION btree_gin", "pend_production")
    server.sql("CREATE EXTENSION btree_gin VERSION '1.2'", "pend_production")
    with pytest.raises(OpsError, match=r"not every member has the library of btree_gin 1\.3") as refused:
        make_all(declared, server, libraries=lambda _: {"pg2": "1.3", "pg3": "1.2"})
    assert refused.value.detail == "pg3 has 1.2"
    made = make_all(declared, server, libraries=lambda _: {"pg2": "1.3", "pg3": "1.3"})
    assert made == ["extension btree_gin in pend_production: 1.2 → 1.3"]
    assert make_all(declared, server) == []


def without(declared: Declared, *, roles: tuple[str, ...] = (), databases: tuple[str, ...] = ()) -> Declared:
    """The declaration without some of its roles and databases."""
    return declared.model_copy(
        update={
            "roles": {name: role for name, role in declared.roles.items() if name not in roles},
            "databases": {name: one for name, one in declared.databases.items() if name not in databases},
        }
    )


def test_what_is_no_longer_declared_is_kept_and_listed_until_it_is_named(server: Host, declared: Declared) -> None:
    make_all(declared, server)
    server.sql("CREATE ROLE somebody_else")
    server.sql("CREATE TABLE precious AS SELECT 1 AS id", "pend_production")
    less = without(declared, roles=("pend_readonly",), databases=("pend_production",))
    assert make_all(less, server) == []
    kept = undeclared(less, settings_of(server))
    assert {"database pend_production", "role pend_readonly", "extension pgcrypto in pend_production"} <= set(kept)
    found = [
        difference
        for change in changes(less, settings_of(server), allow_drop=["pend_readonly", "pend_production"])
        for difference in change.differences
    ]
    assert {difference.impacts for difference in found} == {(Impact.DESTRUCTIVE,)}
    made = make_all(less, server, "pend_readonly", "pend_production")
    assert made[0].startswith("drop database pend_production: 1 table, ")
    assert made[1:] == ["drop role pend_readonly"]
    assert undeclared(less, settings_of(server)) == []
    assert server.value("SELECT count(*) FROM pg_roles WHERE rolname = 'somebody_else'") == 1


def test_an_extension_is_dropped_only_by_name_and_only_where_it_was_declared(server: Host, declared: Declared) -> None:
    make_all(declared, server)
    server.sql("CREATE EXTENSION hstore", "pend_production")
    database = declared.databases["pend_production"].model_copy(update={"extensions": ["pgcrypto", "amcheck"]})
    less = declared.model_copy(update={"databases": {"pend_production": database}})
    assert undeclared(less, settings_of(server)) == ["extension btree_gin in pend_production"]
    assert make_all(less, server, "btree_gin") == ["drop extension btree_gin in pend_production"]
    with pytest.raises(UsageError, match="nothing of that name was ever declared"):
        make_all(less, server, "hstore")


@pytest.mark.parametrize(
    ("name", "words"),
    [("pend_app", "it is still declared"), ("somebody_else", "nothing of that name was ever declared")],
)
def test_what_is_declared_or_of_others_cannot_be_dropped(
    server: Host, declared: Declared, name: str, words: str
) -> None:
    make_all(declared, server)
    server.sql("CREATE ROLE somebody_else")
    with pytest.raises(UsageError, match=words):
        make_all(declared, server, name)


def test_a_role_that_owns_something_is_kept_and_what_it_owns_is_listed(server: Host, declared: Declared) -> None:
    make_all(declared, server)
    server.sql("CREATE TABLE report AS SELECT 1 AS id", "pend_production")
    server.sql("ALTER TABLE report OWNER TO pend_readonly", "pend_production")
    with pytest.raises(OpsError, match="pend_readonly is still needed") as refused:
        make_all(without(declared, roles=("pend_readonly",)), server, "pend_readonly")
    assert refused.value.detail == "owns table report (pend_production)"
    assert refused.value.hint is not None
    assert "REASSIGN OWNED BY pend_readonly" in refused.value.hint
