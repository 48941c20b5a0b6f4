"""Databases: their owners, their limits, and the settings that they carry."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from ops.postgres.connect import Connection
from ops.postgres.declared import options
from ops.postgres.declared.model import Change, Declared, change


def changes(connection: Connection, declared: Declared) -> Iterator[Change]:
    """Every difference between the declared databases and those of the server, what is in them left aside."""
    rows = connection.execute("SELECT datname, pg_get_userbyid(datdba), datconnlimit FROM pg_database").fetchall()
    present = {name: (owner, limit) for name, owner, limit in rows}
    carried = options.stored(connection, "DATABASE")
    for name, database in declared.databases.items():
        identifier, owner, limit = (
            sql.Identifier(name), sql.Identifier(database.owner), sql.Literal(database.connection_limit)
        )  # fmt: skip
        if name not in present:
            create = sql.SQL("CREATE DATABASE {} OWNER {} CONNECTION LIMIT {}").format(identifier, owner, limit)
            yield change(connection, f"database {name} of {database.owner}: new", create)
        else:
            old_owner, old_limit = present[name]
            if old_owner != database.owner:
                statement = sql.SQL("ALTER DATABASE {} OWNER TO {}").format(identifier, owner)
                yield change(connection, f"database {name}: owner {old_owner} → {database.owner}", statement)
            if old_limit != database.connection_limit:
                statement = sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(identifier, limit)
                words = f"database {name}: connection limit {old_limit} → {database.connection_limit}"
                yield change(connection, words, statement)
        yield from options.changes(connection, "DATABASE", name, database.settings, carried.get(name, {}))


def exists(connection: Connection, name: str) -> bool:
    """Whether there is a database of that name."""
    return connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is not None
