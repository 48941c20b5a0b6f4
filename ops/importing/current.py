"""What the database holds now of records that were imported, and what has come to it since."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeAlias

import psycopg
from psycopg import sql

from ops.importing import state
from ops.importing.keep import Kept
from ops.importing.load import copy_lines
from ops.importing.reader import Broken, Item, Reader
from ops.importing.state import Progress
from ops.importing.walk import named
from ops.model.json_layout import Section, Table
from ops.model.json_rows import Rejected, Row, Rows, copied, line
from ops.postgres.connect import Connection

BATCH = 5_000


class Ready(NamedTuple):
    """A record with its rows, one for each table of its section."""

    item: Item
    rows: Sequence[Row]


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """All that is read in here is from one moment; temporary tables are allowed, and gone afterwards."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with connection.transaction(force_rollback=True):
        # Batches are small, tables large: look rows up by their key, whatever the planner makes of temporary tables.
        connection.execute("SET LOCAL enable_hashjoin = off")
        connection.execute("SET LOCAL enable_mergejoin = off")
        yield


Beside: TypeAlias = Callable[[Item, str], object]


def imported(
    connection: Connection, reader: Reader, at: Progress, file: Kept, beside: Beside | None = None
) -> Iterator[list[Ready]]:
    """The records of a section that were imported, in batches and in their order, with the rows that were made of them.

    `beside` gets each record that was rejected, and why, before the batch of those around it.
    """
    rows, batch = Rows(at.section), list[Item]()

    def ready() -> list[Ready]:
        out = _rejected(connection, at.section, batch)
        for item in batch:
            if beside and item.begin in out:
                beside(item, out[item.begin])
        found = _ready(rows, [item for item in batch if item.begin not in out], at.section, file)
        batch.clear()
        return found

    reader.seek(at.begins + 1)
    try:
        for item in reader.items(at.closing):
            batch.append(item)
            if len(batch) == BATCH:
                yield ready()
    except Broken:
        pass  # what cannot be read was rejected
    yield ready()


def _ready(rows: Rows, items: Sequence[Item], section: Section, file: Kept) -> list[Ready]:
    made = rows.of([named(section, item) for item in items], [item.raw for item in items], file.written)
    found = list[Ready]()
    for item, one in zip(items, made, strict=True):
        if isinstance(one, Rejected):  # it was not, by the import: another version of ours has read it
            raise AssertionError(f"{file.name}, byte {item.begin}: {one}") from one
        found.append(Ready(item, one))
    return found


def _rejected(connection: Connection, section: Section, batch: Sequence[Item]) -> dict[int, str]:
    if not batch:
        return {}
    found = connection.execute(
        "SELECT position, reason FROM ops.import_reject WHERE file = %s AND section = %s"
        " AND position BETWEEN %s AND %s",
        [section.file, section.name or "", batch[0].begin, batch[-1].begin],
    )
    return dict(found.fetchall())


def differing(connection: Connection, section: Section, ready: Sequence[Ready]) -> dict[str, dict[int, Row | None]]:
    """The rows that are not what was imported: by key of the record, and number of the table; None: it is gone."""
    found: dict[str, dict[int, Row | None]] = {}
    for number, table in enumerate(section.tables):
        temporary = _temporary(connection, table)
        rows = [one.rows[number] for one in ready]
        copy_lines(connection, table, copied(list(map(line, rows)), rows), into=temporary)
        for key, gone, *row in connection.execute(_differing(table, temporary)):
            found.setdefault(key, {})[number] = None if gone else tuple(row)
    return found


def _temporary(connection: Connection, table: Table) -> str:
    name = f"import_{table.name}"
    connection.execute(
        sql.SQL("CREATE TEMPORARY TABLE IF NOT EXISTS {} (LIKE {}) ON COMMIT DROP").format(
            sql.Identifier(name), sql.Identifier("public", table.name)
        )
    )
    connection.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier("pg_temp", name)))
    return name


def _differing(table: Table, temporary: str) -> bytes:
    ours = ", ".join(f"s.{name}" for name in table.names)
    theirs = ", ".join(f"t.{name}" for name in table.names)
    key = table.key.name
    return (
        f"SELECT s.{key}::text, t.{key} IS NULL, {shown(table, 't')}"  # noqa: S608  our own names
        f" FROM pg_temp.{temporary} AS s LEFT JOIN public.{table.name} AS t ON t.{key} = s.{key}"
        f" WHERE t.{key} IS NULL OR ROW({ours}) IS DISTINCT FROM ROW({theirs})"
    ).encode()


def shown(table: Table, alias: str) -> str:
    """SQL for all columns of a table, as text that their kinds can read back."""
    return ", ".join(column.kind.shown.format(f"{alias}.{column.name}") for column in table.columns)


class Since:
    """What came to the tables since the import: rows whose keys the files do not have."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        connection.execute("CREATE TEMPORARY TABLE import_seen (source text, key text) ON COMMIT DROP")

    def seen(self, table: Table, ready: Sequence[Ready]) -> None:
        """These keys are of the files."""
        with self._connection.cursor() as cursor, cursor.copy("COPY import_seen FROM STDIN") as copy:
            for one in ready:
                copy.write_row((table.name, one.rows[0][0]))

    def rows(self, section: Section) -> Iterator[list[Row | None]]:
        """Records that a section would have to have more: their rows, one for each table, None where there is none."""
        main = section.tables[0]
        columns = ", ".join(shown(table, f"t{number}") for number, table in enumerate(section.tables))
        joins = " ".join(
            f"LEFT JOIN public.{table.name} AS t{number} ON t{number}.{table.key.name} = t0.{main.key.name}"
            for number, table in enumerate(section.tables[1:], 1)
        )
        query = (
            f"SELECT {columns} FROM public.{main.name} AS t0 {joins}"  # noqa: S608  our own names
            f" WHERE NOT EXISTS (SELECT FROM import_seen AS s WHERE s.source = '{main.name}'"
            f" AND s.key = t0.{main.key.name}::text) {_only(main)} ORDER BY t0.{main.key.name}"
        )
        # All of a table beside all of its keys, and all of what comes out: no plan that is quick with the first row.
        self._connection.execute("SET LOCAL enable_hashjoin = on")
        self._connection.execute("SET LOCAL cursor_tuple_fraction = 1")
        self._connection.execute("ANALYZE import_seen")
        with self._connection.cursor(f"since_{main.name}") as cursor:
            cursor.itersize = 1000
            cursor.execute(query.encode())
            for row in cursor:
                yield list(_split(section, row))
        self._connection.execute("SET LOCAL enable_hashjoin = off")


def _only(main: Table) -> str:
    """Rows that a section has a place for, where its table has others: those with what it fills in by itself."""
    fixed = [one for one in main.columns if one.key is None and isinstance(one.default, str)]
    return " ".join(f"AND t0.{one.name} = '{one.default}'" for one in fixed)


def _split(section: Section, row: Sequence[str | None]) -> Iterator[Row | None]:
    at = 0
    for table in section.tables:
        part = tuple(row[at : at + len(table.columns)])
        at += len(table.columns)
        yield None if part[0] is None else part


def progress_of(connection: Connection, section: Section) -> Progress | None:
    """Where a section is in its file; None: it has none, or it was never read."""
    found = state.progress(connection, section)
    return found if found and found.records else None
