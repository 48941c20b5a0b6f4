"""What was once declared and is no more: remembered in ops.declared, kept, and dropped only when named.

What is not in that table was made by somebody else, and is never touched.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial

from psycopg import sql

from ops.config import Postgres
from ops.errors import OpsError, UsageError
from ops.model.impact import Impact
from ops.postgres.connect import Connection, connect, row
from ops.postgres.declared.model import Change, Declared, Difference, execute

MAINTENANCE = "postgres"
_MOST = 20  # lines of a list that a person reads


@dataclass(frozen=True, order=True)
class Thing:
    """A role, a database, or an extension in a database."""

    kind: str
    name: str
    database: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f" in {self.database}" if self.database else "")


def changes(
    connection: Connection, settings: Postgres, declared: Declared, allow_drop: Collection[str]
) -> Iterator[Change]:
    """Drops that were asked for by name, then the record of what is declared."""
    for thing in _to_drop(connection, settings, declared, allow_drop):
        loss = _loss(settings, thing)
        make = partial(_drop, connection, settings, thing)
        yield Change((Difference(f"drop {thing}{loss}", (Impact.DESTRUCTIVE,)),), make)
    recorded, wanted = _recorded(connection), _wanted(declared)
    present = _present(connection, settings, recorded | wanted)
    for thing in sorted(wanted & present - recorded):
        yield Change((Difference(f"remember {thing} as declared"),), partial(_remember, connection, thing))
    for thing in sorted(recorded - wanted - present):
        yield Change((Difference(f"forget {thing}, which is gone"),), partial(_forget, connection, thing))


def refuse_unknown(connection: Connection, settings: Postgres, declared: Declared, allow_drop: Collection[str]) -> None:
    """UsageError for a name that nothing is to be dropped by, before anything is changed."""
    if not allow_drop:
        return
    ours = {thing.name for thing in leftovers(connection, settings, declared)}
    for name in allow_drop:
        if name in {thing.name for thing in _wanted(declared)}:
            raise UsageError(
                f"--allow-drop {name}: it is still declared",
                hint="Take it out of the inventory and deploy; then name it here.",
            )
        if name not in ours:
            raise UsageError(
                f"--allow-drop {name}: nothing of that name was ever declared here, or it is gone already",
                detail=f"no longer declared and kept: {', '.join(sorted(ours)) or 'nothing'}",
                hint="What others made is never dropped by ops; do that by hand if you must.",
            )


def leftovers(connection: Connection, settings: Postgres, declared: Declared) -> list[Thing]:
    """What was once declared, is no more, and still exists."""
    gone = _recorded(connection) - _wanted(declared)
    return sorted(gone & _present(connection, settings, gone))


def _to_drop(
    connection: Connection, settings: Postgres, declared: Declared, allow_drop: Collection[str]
) -> list[Thing]:
    """Extensions first and roles last: a role can go when what it owns has gone."""
    order = ("extension", "database", "role")
    chosen = [thing for thing in leftovers(connection, settings, declared) if thing.name in allow_drop]
    return sorted(chosen, key=lambda thing: order.index(thing.kind))


def _wanted(declared: Declared) -> set[Thing]:
    found = {Thing("role", name) for name in declared.roles}
    found |= {Thing("extension", name, MAINTENANCE) for name in declared.platform_extensions}
    for name, database in declared.databases.items():
        found.add(Thing("database", name))
        found |= {Thing("extension", extension, name) for extension in database.extensions}
    return found


def _recorded(connection: Connection) -> set[Thing]:
    if not row(connection, "SELECT to_regclass('ops.declared') IS NOT NULL")[0]:
        return set()  # `--check` before the first apply
    rows = connection.execute("SELECT kind, name, database FROM ops.declared").fetchall()
    return {Thing(*columns) for columns in rows}


def _present(connection: Connection, settings: Postgres, things: Collection[Thing]) -> set[Thing]:
    """Every role and database that there is, and the extensions in the databases of `things`."""
    query = "SELECT 'role', rolname FROM pg_roles UNION ALL SELECT 'database', datname FROM pg_database"
    found = {Thing(*columns) for columns in connection.execute(query).fetchall()}
    for database in {thing.database for thing in things if Thing("database", thing.database) in found}:
        with connect(settings, dbname=database) as inside:
            rows = inside.execute("SELECT extname FROM pg_extension").fetchall()
        found |= {Thing("extension", name, database) for (name,) in rows}
    return found


def _loss(settings: Postgres, thing: Thing) -> str:
    """What is lost with a database, in words."""
    if thing.kind != "database":
        return ""
    with connect(settings, dbname=thing.name) as inside:
        tables, size = row(
            inside,
            "SELECT (SELECT count(*) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE relkind IN ('r', 'p', 'm') AND nspname !~ '^pg_' AND nspname <> 'information_schema'),"
            " pg_size_pretty(pg_database_size(current_database()))",
        )
    return f": {tables} table{'' if tables == 1 else 's'}, {size} are lost"


def _drop(connection: Connection, settings: Postgres, thing: Thing) -> None:
    identifier = sql.Identifier(thing.name)
    if thing.kind == "extension":
        with connect(settings, dbname=thing.database) as inside:
            execute(inside, sql.SQL("DROP EXTENSION IF EXISTS {}").format(identifier))
    else:
        if thing.kind == "role":
            _refuse_if_needed(connection, settings, thing.name)
        # Without FORCE: a database that somebody is connected to is in use, whatever the inventory says.
        execute(connection, sql.SQL("DROP {} {}").format(sql.SQL(thing.kind.upper()), identifier))
    _forget(connection, thing)


def _refuse_if_needed(connection: Connection, settings: Postgres, role: str) -> None:
    """OpsError with the list of what a role owns or has rights on: PostgreSQL itself names only this database's."""
    rows = connection.execute(
        "SELECT DISTINCT coalesce(datname, current_database()) FROM pg_shdepend LEFT JOIN pg_database d ON d.oid = dbid"
        " WHERE refclassid = 'pg_authid'::regclass AND refobjid = (SELECT oid FROM pg_roles WHERE rolname = %s)",
        [role],
    ).fetchall()
    lines: list[str] = []
    for (database,) in sorted(rows):
        with connect(settings, dbname=database) as inside:
            held = inside.execute(
                "SELECT CASE deptype WHEN 'o' THEN 'owns ' ELSE 'has rights on ' END"
                " || pg_describe_object(classid, objid, objsubid)"
                " FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass"
                " AND refobjid = (SELECT oid FROM pg_roles WHERE rolname = %s)"
                " AND dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) ORDER BY 1",
                [role],
            ).fetchall()
        lines += [f"{words} ({database})" for (words,) in held]
    if lines:
        more = [f"and {len(lines) - _MOST} more"] if len(lines) > _MOST else []
        raise OpsError(
            f"the role {role} is still needed",
            detail="\n".join([*lines[:_MOST], *more]),
            hint=f"In each of these databases: REASSIGN OWNED BY {role} TO <another>; DROP OWNED BY {role};",
        )


def _remember(connection: Connection, thing: Thing) -> None:
    statement = sql.SQL("INSERT INTO ops.declared (kind, name, database) VALUES ({}, {}, {}) ON CONFLICT DO NOTHING")
    execute(connection, statement.format(*map(sql.Literal, (thing.kind, thing.name, thing.database))))


def _forget(connection: Connection, thing: Thing) -> None:
    """A database takes its extensions with it."""
    statement = sql.SQL("DELETE FROM ops.declared WHERE (kind, name, database) = ({}, {}, {})")
    execute(connection, statement.format(*map(sql.Literal, (thing.kind, thing.name, thing.database))))
    if thing.kind == "database":
        execute(connection, sql.SQL("DELETE FROM ops.declared WHERE database = {}").format(sql.Literal(thing.name)))
