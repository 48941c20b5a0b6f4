"""What the inventory declares inside a cluster: roles, databases, extensions, and the SQL that the platform needs.

Each module here compares and yields changes; a `Change` knows how to make itself real. Nothing is dropped that was
not named to be dropped (`dropped.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from ops.config import Postgres
from ops.postgres.connect import connect
from ops.postgres.declared import databases, dropped, extensions, migrations, roles
from ops.postgres.declared.extensions import AVAILABLE, Libraries
from ops.postgres.declared.model import Change, Database, Declared, Difference, Role, load

__all__ = [
    "AVAILABLE",
    "Change",
    "Database",
    "Declared",
    "Difference",
    "Libraries",
    "Role",
    "alone",
    "changes",
    "load",
    "undeclared",
]


def alone(_extension: str) -> Mapping[str, str | None]:
    """The libraries of the other members of a cluster that has no others."""
    return {}


def changes(
    declared: Declared, settings: Postgres, *, allow_drop: Collection[str] = (), libraries: Libraries = alone
) -> Iterator[Change]:
    """Every difference between `declared` and the server on this host, in the order in which to make them.

    A change is only complete when the next one is asked for: an extension can be looked for in a database once the
    database is there.
    """
    with connect(settings) as connection:
        # Statements with verifiers must show neither in the log nor in statistics.
        connection.execute("SET log_statement = 'none'")
        connection.execute("SET pg_stat_statements.track_utility = off")
        dropped.refuse_unknown(connection, settings, declared, allow_drop)
        yield from roles.changes(connection, declared)
        yield from databases.changes(connection, declared)
        yield from extensions.changes(connection, settings, "postgres", declared.platform_extensions, libraries)
        yield from migrations.changes(connection, declared.migrations, settings)
        for name, database in declared.databases.items():
            if not databases.exists(connection, name):
                continue  # only when nothing is being made: `--check` on a cluster that lacks it
            with connect(settings, dbname=name) as inside:
                yield from extensions.changes(inside, settings, name, database.extensions, libraries)
        yield from dropped.changes(connection, settings, declared, allow_drop)


def undeclared(declared: Declared, settings: Postgres) -> list[str]:
    """What was once declared, is no more, and is kept until it is named to be dropped."""
    with connect(settings) as connection:
        return [str(thing) for thing in dropped.leftovers(connection, settings, declared)]
