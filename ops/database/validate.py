"""Whether a database is what its migrations make: they are applied to a scratch database beside it, and both
catalogues are compared. The same server makes it from the same files, so that there is no third account to keep true.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql

from ops.database import catalogue
from ops.database.migrations import Patience, migrate, status
from ops.database.target import Target, alone
from ops.errors import OpsError
from ops.model.catalogue import Discrepancy, compare
from ops.model.migrations import Standing
from ops.postgres.connect import Connection

_SCRATCH = "ops_validate_"


def validate(target: Target) -> list[Discrepancy]:
    """Every difference between the database and what its applied migrations make of an empty one.

    Pending migrations are no difference; OpsError where none was applied yet. Needs a server that can be written to.
    """
    found = status(target)
    applied = [one.name for one in found if one.state in ("applied", "changed")]
    if not applied:
        raise OpsError("no migration was applied to this database yet", hint="ops db migrate")
    with target.connect() as live:
        actual, extensions = catalogue.read(live), catalogue.extensions(live)
        closed = [_closed(name, why) for name, why in catalogue.open_owners(live)]
    with _scratch(target) as beside:
        migrate(beside, Patience(), lambda _: None, upto=applied[-1])
        with beside.connect() as connection:
            declared, wanted = catalogue.read(connection), catalogue.extensions(connection)
    lacking = [Discrepancy("extension", name, "missing", "installed", "") for name in sorted(wanted - extensions)]
    return [*_files(found), *closed, *lacking, *compare(declared, actual)]


def _files(found: list[Standing]) -> list[Discrepancy]:
    """Files that are not what was applied. The comparison is with the files as they are now."""
    words = {"changed": "as it was applied", "missing": "in the folder"}
    return [
        Discrepancy("migration", one.name, "different" if one.state == "changed" else "missing", words[one.state], "")
        for one in found
        if one.state in words
    ]


def _closed(name: str, why: str) -> Discrepancy:
    return Discrepancy("role", name, "different", "nobody can act as it", why)


@contextmanager
def _scratch(target: Target) -> Iterator[Target]:
    """An empty database of the same server, gone afterwards; and those that killed runs have left behind."""
    name = f"{_SCRATCH}{os.getpid()}"
    with target.connect() as connection, alone(connection, "validate"):
        for left in _left(connection):
            _drop(connection, left)
        # Like the database itself, where extensions and collations are concerned; template0 holds nobody's additions.
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        try:
            yield target.other(name)
        finally:
            _drop(connection, name)


def _left(connection: Connection) -> list[str]:
    rows = connection.execute(
        "SELECT datname FROM pg_database AS d WHERE datname LIKE %s"
        " AND NOT EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.datname = d.datname)",
        [_SCRATCH.replace("_", r"\_") + "%"],
    ).fetchall()
    return [name for (name,) in rows]


def _drop(connection: Connection, name: str) -> None:
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
