"""What the inventory declares inside a cluster: roles, databases, extensions, and the SQL that the platform needs.

Each function here compares and yields changes; a `Change` knows how to make itself real. Nothing is ever dropped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import psycopg
from psycopg import sql
from yoyo import get_backend, read_migrations

from ops.config import Model, Postgres, validate
from ops.errors import OpsError, UsageError
from ops.model import scram
from ops.postgres.connect import Connection, connect, row

PATH = Path("/etc/ops/cluster.json")


class Role(Model):
    """A role; `password_file` holds its password where it may log in."""

    login: bool
    createdb: bool
    member_of: list[str]
    connection_limit: int
    password_file: Path | None = None


class Database(Model):
    owner: str
    extensions: list[str]


class Declared(Model):
    """`/etc/ops/cluster.json`, which the deploy writes on every member."""

    patroni: dict[str, Any]
    roles: dict[str, Role]
    databases: dict[str, Database]
    platform_extensions: list[str]
    migrations: Path


@dataclass(frozen=True)
class Change:
    """One difference, in words, and what makes it go away."""

    what: str
    make: Callable[[], None]


def load(path: Path = PATH) -> Declared:
    """The declaration on this host; UsageError where there is none."""
    try:
        text = path.read_text()
    except OSError as error:
        raise UsageError(f"may not read {path}", detail=error.strerror, hint="The deploy writes it.") from error
    return Declared.model_validate_json(text) if text else validate(Declared, {}, str(path))


def changes(declared: Declared, settings: Postgres) -> Iterator[Change]:
    """Every difference between `declared` and the server on this host, in the order in which to make them.

    A change is only complete when the next one is asked for: an extension can be looked for in a database once the
    database is there.
    """
    with connect(settings) as connection:
        # Statements with verifiers must show neither in the log nor in statistics.
        connection.execute("SET log_statement = 'none'")
        connection.execute("SET pg_stat_statements.track_utility = off")
        yield from _roles(connection, declared)
        yield from _databases(connection, declared)
        yield from _extensions(connection, "postgres", declared.platform_extensions)
        yield from _migrations(connection, declared.migrations, settings)
    for name, database in declared.databases.items():
        if not _exists(settings, name):
            continue  # only when nothing is being made: `--check` on a cluster that lacks it
        with connect(settings, dbname=name) as connection:
            yield from _extensions(connection, name, database.extensions)


def _exists(settings: Postgres, database: str) -> bool:
    with connect(settings) as connection:
        return connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone() is not None


def _roles(connection: Connection, declared: Declared) -> Iterator[Change]:
    rows = connection.execute(
        "SELECT rolname, rolcanlogin, rolcreatedb, rolconnlimit, rolpassword FROM pg_authid"
    ).fetchall()
    present = {row[0]: row[1:] for row in rows}
    for name, role in declared.roles.items():
        wanted = (role.login, role.createdb, role.connection_limit)
        if name not in present or present[name][:3] != wanted:
            yield Change(f"role {name}", _statement(connection, _role_statement(name, role, new=name not in present)))
        stored = present[name][3] if name in present else None
        if role.password_file and not scram.matches(password := role.password_file.read_text().strip(), stored):
            yield Change(f"password of role {name}", _statement(connection, _password_statement(name, password)))
    yield from _memberships(connection, declared)


def _role_statement(name: str, role: Role, *, new: bool) -> sql.Composed:
    return sql.SQL("{} ROLE {} {} {} CONNECTION LIMIT {}").format(
        sql.SQL("CREATE" if new else "ALTER"),
        sql.Identifier(name),
        sql.SQL("LOGIN" if role.login else "NOLOGIN"),
        sql.SQL("CREATEDB" if role.createdb else "NOCREATEDB"),
        sql.Literal(role.connection_limit),
    )


def _password_statement(name: str, password: str) -> sql.Composed:
    # The server is given the verifier: the password itself appears in no statement, so in no log.
    verifier = scram.verifier(password, os.urandom(16))
    return sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(name), sql.Literal(verifier))


def _memberships(connection: Connection, declared: Declared) -> Iterator[Change]:
    """What a declared role is a member of is what is declared: a right that was taken out of the inventory goes."""
    rows = connection.execute(
        "SELECT m.rolname, g.rolname FROM pg_auth_members"
        " JOIN pg_roles g ON g.oid = roleid JOIN pg_roles m ON m.oid = member"
    ).fetchall()
    for name, role in declared.roles.items():
        present, wanted = {group for member, group in rows if member == name}, set(role.member_of)
        for group in sorted(wanted - present):
            statement = sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(name))
            yield Change(f"role {name} in {group}", _statement(connection, statement))
        for group in sorted(present - wanted):
            statement = sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(group), sql.Identifier(name))
            yield Change(f"role {name} no longer in {group}", _statement(connection, statement))


def _databases(connection: Connection, declared: Declared) -> Iterator[Change]:
    rows = connection.execute("SELECT datname, pg_get_userbyid(datdba) FROM pg_database").fetchall()
    owners: dict[str, str] = dict(rows)
    for name, database in declared.databases.items():
        if name not in owners:
            statement = sql.SQL("CREATE DATABASE {} OWNER {}")
        elif owners[name] != database.owner:
            statement = sql.SQL("ALTER DATABASE {} OWNER TO {}")
        else:
            continue
        composed = statement.format(sql.Identifier(name), sql.Identifier(database.owner))
        yield Change(f"database {name} of {database.owner}", _statement(connection, composed))


def _extensions(connection: Connection, database: str, wanted: list[str]) -> Iterator[Change]:
    present = {name for (name,) in connection.execute("SELECT extname FROM pg_extension")}
    for name in wanted:
        if name not in present:
            statement = sql.SQL("CREATE EXTENSION {}").format(sql.Identifier(name))
            yield Change(f"extension {name} in {database}", _statement(connection, statement))


def _migrations(connection: Connection, folder: Path, settings: Postgres) -> Iterator[Change]:
    """The platform's own SQL in the maintenance database, in order, each file once."""
    applied: set[str] = set()
    if row(connection, "SELECT to_regclass('public._yoyo_migration') IS NOT NULL")[0]:
        applied = {name for (name,) in connection.execute("SELECT migration_id FROM public._yoyo_migration")}
    for name in sorted(file.stem for file in folder.glob("*.sql") if not file.name.endswith(".rollback.sql")):
        if name not in applied:
            yield Change(f"migration {name}", partial(_migrate, folder, settings, name))


def _migrate(folder: Path, settings: Postgres, name: str) -> None:
    """Apply one file with yoyo, under its lock. Only looking is our own query: yoyo's look is DDL, in every log."""
    uri = f"postgresql+psycopg://{settings.user}@/postgres?host={settings.socket_dir}&port={settings.port}"
    backend = get_backend(uri)
    with closing(backend.connection), backend.lock():
        backend.apply_migrations(backend.to_apply(read_migrations(str(folder)).filter(lambda m: m.id == name)))


def _statement(connection: Connection, statement: sql.Composed) -> Callable[[], None]:
    def make() -> None:
        try:
            connection.execute(cast(sql.SQL, statement))
        except psycopg.Error as error:
            # The statement itself may hold a verifier, so only the server's message is shown.
            raise OpsError("the server refused a declared change", detail=str(error).strip()) from None

    return make
