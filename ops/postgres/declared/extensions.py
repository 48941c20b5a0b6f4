"""Extensions: created where they are missing, updated once every member has the new library."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from psycopg import sql

from ops.config import Postgres
from ops.errors import OpsError
from ops.postgres.connect import Connection, connect
from ops.postgres.declared.model import Change, Difference, change, execute

# The version of an extension that each other member would install, by member; None where it has none.
Libraries = Callable[[str], Mapping[str, str | None]]

AVAILABLE = "SELECT default_version FROM pg_available_extensions WHERE name = %s"


def changes(
    connection: Connection, settings: Postgres, database: str, wanted: list[str], libraries: Libraries
) -> Iterator[Change]:
    """What the extensions of one database lack of what is declared."""
    rows = connection.execute(
        "SELECT extname, extversion, coalesce(default_version, extversion)"
        " FROM pg_extension LEFT JOIN pg_available_extensions ON name = extname"
    ).fetchall()
    present = {name: (installed, available) for name, installed, available in rows}
    for name in wanted:
        if name not in present:
            statement = sql.SQL("CREATE EXTENSION {}").format(sql.Identifier(name))
            yield change(connection, f"extension {name} in {database}: new", statement)
            continue
        installed, available = present[name]
        if installed != available:
            words = f"extension {name} in {database}: {installed} → {available}"
            yield Change((Difference(words),), _update(settings, database, name, available, libraries))


def _update(settings: Postgres, database: str, name: str, version: str, libraries: Libraries) -> Callable[[], None]:
    def make() -> None:
        behind = {member: has for member, has in libraries(name).items() if has != version}
        if behind:
            raise OpsError(
                f"not every member has the library of {name} {version}",
                detail="\n".join(f"{member} has {has or 'none'}" for member, has in behind.items()),
                hint="Nothing was changed. Install the same packages on every member (deploy without --limit) first.",
            )
        # A session of its own: TimescaleDB wants its update to be the first thing that a session does.
        with connect(settings, dbname=database) as fresh:
            execute(fresh, sql.SQL("ALTER EXTENSION {} UPDATE").format(sql.Identifier(name)))

    return make
