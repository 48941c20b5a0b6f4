"""Connections to the server on this host, over its Unix socket: peer authentication, no password anywhere.

psycopg takes an eighth of a second to import: the WAL commands, which run once per segment, must not pay for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString, TypeAlias

from ops.config import Postgres
from ops.errors import Unreachable

if TYPE_CHECKING:
    import psycopg

Connection: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"


def connect(postgres: Postgres, *, dbname: str = "postgres", purpose: str = "ops", timeout: int = 10) -> Connection:
    """A connection in autocommit mode, under the application_name `purpose`.

    Unreachable where the server does not let us in within `timeout` seconds.
    """
    import psycopg  # noqa: PLC0415

    try:
        return psycopg.connect(
            host=str(postgres.socket_dir),
            port=postgres.port,
            user=postgres.user,
            dbname=dbname,
            application_name=purpose,
            connect_timeout=timeout,
            autocommit=True,
        )
    except psycopg.OperationalError as error:
        raise Unreachable(
            f"the PostgreSQL server at {postgres.socket_dir}, port {postgres.port}, does not let us in",
            detail=str(error).strip(),
            hint="See that it runs, and that postgres.socket_dir, port and user in the configuration are its own.",
        ) from error


def row(connection: Connection, query: LiteralString, *arguments: object) -> tuple[Any, ...]:
    """The only row of `query`."""
    found = connection.execute(query, arguments or None).fetchone()
    assert found is not None, query
    return found
