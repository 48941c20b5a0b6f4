"""A database beside the others of a server, for as long as it is needed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql

from ops.database.target import Target
from ops.postgres.connect import Connection


@contextmanager
def scratch(target: Target, connection: Connection, prefix: str) -> Iterator[Target]:
    """An empty database of the same server, gone afterwards; and those that killed runs have left behind.

    `connection` is one to `target`, on which the caller keeps others of its kind out.
    """
    name = f"{prefix}{os.getpid()}"
    for left in _left(connection, prefix):
        _drop(connection, left)
    # Like the database itself, where extensions and collations are concerned; template0 holds nobody's additions.
    connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    try:
        yield target.other(name)
    finally:
        _drop(connection, name)


def _left(connection: Connection, prefix: str) -> list[str]:
    rows = connection.execute(
        "SELECT datname FROM pg_database AS d WHERE datname LIKE %s"
        " AND NOT EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.datname = d.datname)",
        [prefix.replace("_", r"\_") + "%"],
    ).fetchall()
    return [name for (name,) in rows]


def _drop(connection: Connection, name: str) -> None:
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
