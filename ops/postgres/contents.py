"""What a server holds, as far as it can be said in seconds: databases, tables, their sizes, and about how many rows."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import psycopg
from psycopg import sql

from ops.model.contents import COUNTED, Table
from ops.postgres.connect import Connection

_DATABASES = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname"
# What a transaction that is under way has locked, a DROP above all, stays locked in a server that waits at its target:
# its size is that of its file, and nobody counts it. reltuples is from the last VACUUM or ANALYZE: as many rows to a
# page as then, on as many pages as there are now.
_TABLES = """
    WITH locked AS (
        SELECT relation FROM pg_locks JOIN pg_database d ON d.oid = database AND d.datname = current_database()
        WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock' AND granted
    ), found AS (
        SELECT n.nspname, c.relname, c.reltuples, c.relpages, c.oid IN (SELECT relation FROM locked) AS locked, c.oid
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'm') AND c.relpersistence = 'p'
          AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%'
    ), measured AS (
        SELECT *, CASE WHEN locked THEN (pg_stat_file(pg_relation_filepath(oid), true)).size
                       ELSE pg_relation_size(oid) END AS heap
        FROM found
    )
    SELECT nspname, relname, heap, CASE WHEN locked THEN heap ELSE pg_table_size(oid) END, locked,
           CASE WHEN reltuples >= 0 AND relpages > 0
                THEN (reltuples / relpages * (heap / current_setting('block_size')::int))::bigint END
    FROM measured
"""


def contents(connect: Callable[[str], Connection]) -> dict[str, dict[str, Table]]:
    """Database → table → what it holds. `connect` opens a connection to a database by name."""
    with closing(connect("postgres")) as connection:
        names = [name for (name,) in connection.execute(_DATABASES).fetchall()]
    found = {}
    for name in names:
        with closing(connect(name)) as connection:
            # Nobody is to wait for us, and we for nobody.
            connection.execute("SET lock_timeout = '1s'; SET statement_timeout = '10s'")
            found[name] = dict(_tables(connection))
    return found


def _tables(connection: Connection) -> list[tuple[str, Table]]:
    found = []
    for schema, name, heap, size, locked, estimate in connection.execute(_TABLES).fetchall():
        if heap is None or size is None:
            continue  # dropped since the query began
        counted = _count(connection, schema, name) if heap <= COUNTED and not locked else None
        rows = estimate if counted is None else counted
        found.append((f"{schema}.{name}", Table(rows, counted is not None, size)))
    return found


def _count(connection: Connection, schema: str, name: str) -> int | None:
    """All rows of a small table; None where it is locked, or gone."""
    query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, name))
    try:
        row = connection.execute(query).fetchone()
    except (psycopg.errors.OperationalError, psycopg.errors.ProgrammingError):
        return None
    return int(row[0]) if row else None
