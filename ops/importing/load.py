"""Batches of records into the database: rows, rejects and how far we are in one transaction.

What a key or a reference would be refused for is asked before, for a whole batch at once, so that the rows go in by a
plain COPY. Should the server refuse one all the same, the batch is halved until that row is found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import psycopg
from psycopg import sql

from ops.importing import state
from ops.importing.reader import Item
from ops.importing.state import Progress
from ops.model.json_files import name_of
from ops.model.json_layout import Column, Section, Table
from ops.model.json_rows import COPY_OPTIONS, Row, Totals, copied, line
from ops.postgres.connect import Connection

ACTOR = "ops import json"
DUPLICATE = "a record before it has the same"
_SEPARATOR = "\x1f"
SENT = 200  # rows at once: the server is at work on these while the next are put together


class Reject(NamedTuple):
    """A record that is not taken: the byte at which it begins, its name, the reason, its text."""

    position: int
    name: str | None
    reason: str
    record: bytes


class Ready(NamedTuple):
    """A record with its rows, one for each table of its section."""

    item: Item
    rows: list[Row]

    def name(self, section: Section) -> str | None:
        """What it calls itself."""
        return self.item.name or name_of(section, self.item.value)

    def rejected(self, section: Section, reason: str) -> Reject:
        return Reject(self.item.begin, self.name(section), reason, encoded(self.item.raw))


@dataclass
class Batch:
    """Records of one section up to a byte of its file. `problem`: why the file cannot be read beyond that."""

    section: Section
    ready: list[Ready] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    size: int = 0
    position: int = 0
    problem: str | None = None

    @property
    def records(self) -> int:
        return len(self.ready) + len(self.rejects)


def encoded(raw: str) -> bytes:
    """The bytes that the reader had a text from."""
    return raw.encode(errors="surrogateescape")


class Loader:
    """Writes the batches of one section, one after the other."""

    def __init__(self, connection: Connection, at: Progress) -> None:
        self._connection = connection
        self._at = at
        tables = at.section.tables
        self._keys = [(0, column) for column in tables[0].columns if column.name in _unique(tables[0])]
        self._references = [
            (number, place, column, column.kind.refers)
            for number, table in enumerate(tables)
            for place, column in enumerate(table.columns)
            if column.kind.refers and place and column.key
        ]
        self._types = {(table, column): _type(connection, table, column) for table, column in self._asked()}

    def write(self, batch: Batch) -> None:
        """One batch, all of it or nothing."""
        with self._connection.transaction():
            self._connection.execute("SELECT set_config('app.user_agent', %s, true)", [ACTOR])
            rejects = list(batch.rejects)
            taken = self._without_duplicates(self._with_references(batch.ready, rejects), rejects)
            totals = [Totals() for _ in batch.section.tables]
            self._store(taken, totals, rejects)
            for table, more in zip(batch.section.tables, totals, strict=True):
                state.add(self._connection, table, more)
            write_rejects(self._connection, batch.section.file, batch.section.name or "", rejects)
            self._at.records += batch.records
            self._at.rejected += len(rejects)
            self._at.position = batch.position
            if batch.problem:
                state.mark(self._connection, batch.section.file, problem=batch.problem)
            state.remember(self._connection, self._at)

    def _with_references(self, ready: Sequence[Ready], rejects: list[Reject]) -> list[Ready]:
        """Those whose references are all there."""
        for number, place, column, target in self._references:
            key = "id"
            there = self._there(target, key, {one.rows[number][place] for one in ready})
            passed = list[Ready]()
            for one in ready:
                value = one.rows[number][place]
                if value is None or value in there:
                    passed.append(one)
                else:
                    rejects.append(
                        one.rejected(self._at.section, f"{column.key}: {_words(one, column)} is not in {target}")
                    )
            ready = passed
        return list(ready)

    def _without_duplicates(self, ready: Sequence[Ready], rejects: list[Reject]) -> list[Ready]:
        """Those whose keys no row has; of two in here, the first."""
        table = self._at.section.tables[0]
        places = [(table.names.index(column.name), column) for _, column in self._keys]
        seen, suspects = list[set[str]](), list[set[str]]()
        for at, column in places:
            values = [value for one in ready if (value := one.rows[0][at]) is not None]
            seen.append(self._there(table.name, column.name, values))
            suspects.append(seen[-1] | {value for value, count in Counter(values).items() if count > 1})
        passed = list[Ready]()
        for one in ready:
            row = one.rows[0]
            doubted = [(n, str(row[at])) for n, (at, _) in enumerate(places) if row[at] in suspects[n]]
            again = next((n for n, value in doubted if value in seen[n]), None)
            if again is None:
                passed.append(one)
                for n, value in doubted:
                    seen[n].add(value)
            else:
                rejects.append(one.rejected(self._at.section, f"{_key_words(table, places[again][1])}: {DUPLICATE}"))
        return passed

    def _there(self, table: str, column: str, values: Iterable[str | None]) -> set[str]:
        """Which of these values a column has."""
        wanted = [value for value in values if value is not None]
        if not wanted:
            return set()
        query = sql.SQL(
            "SELECT {column}::text FROM public.{table} WHERE {column} = ANY (string_to_array(%s, %s)::{type}[])"
        )
        found = self._connection.execute(
            query.format(
                column=sql.Identifier(column),
                table=sql.Identifier(table),
                type=sql.SQL(self._types[table, column]),  # what the catalogue calls it
            ),
            [_SEPARATOR.join(wanted), _SEPARATOR],
        )
        return {value for (value,) in found}

    def _store(self, ready: Sequence[Ready], totals: list[Totals], rejects: list[Reject]) -> None:
        """The rows of each table; what they come to is added to `totals`."""
        if not ready:
            return
        parts = [[one.rows[number] for one in ready] for number in range(len(totals))]
        lines = [list(map(line, rows)) for rows in parts]
        try:
            with self._connection.transaction():
                for table, rows, shown in zip(self._at.section.tables, parts, lines, strict=True):
                    copy_rows(self._connection, table, rows, shown)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            if len(ready) == 1:
                rejects.append(
                    ready[0].rejected(self._at.section, f"the server refused it: {error.diag.message_primary}")
                )
                return
            middle = len(ready) // 2
            self._store(ready[:middle], totals, rejects)
            self._store(ready[middle:], totals, rejects)
        else:
            for table, more, rows, shown in zip(self._at.section.tables, totals, parts, lines, strict=True):
                more.add(table, rows, shown)

    def _asked(self) -> Iterable[tuple[str, str]]:
        """The columns that are asked for keys."""
        for _, column in self._keys:
            yield self._at.section.tables[0].name, column.name
        for _, _, _, target in self._references:
            yield target, "id"


def copy_rows(
    connection: Connection, table: Table, rows: Sequence[Row], lines: Sequence[str], into: str | None = None
) -> None:
    """COPY rows, of which these are the lines, into their table, or into another one with the same columns."""
    query = sql.SQL("COPY {table} ({columns}) FROM STDIN {options}").format(
        options=sql.SQL(COPY_OPTIONS),
        table=sql.Identifier(into) if into else sql.Identifier("public", table.name),
        columns=sql.SQL(", ").join(map(sql.Identifier, table.names)),
    )
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        for first in range(0, len(rows), SENT):
            part = slice(first, first + SENT)
            copy.write("".join([copied(*one) + "\n" for one in zip(lines[part], rows[part], strict=True)]))


def write_rejects(connection: Connection, file: str, section: str, rejects: Iterable[Reject]) -> None:
    """Keep records that were not taken."""
    query = "COPY ops.import_reject (file, section, position, name, reason, record) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        for one in rejects:
            name = one.name.encode(errors="replace").decode().replace("\0", "") if one.name else None
            copy.write_row((file, section, one.position, name, one.reason[:1000], one.record))


def _unique(table: Table) -> tuple[str, ...]:
    return (table.key.name, *table.unique)


def _key_words(table: Table, column: Column) -> str:
    """The key of the record that a column is for, or those that it follows from."""
    names = table.identity if column.key is None else (column.name,)
    return ", ".join(str(one.key or one.name) for one in table.columns if one.name in names)


def _words(one: Ready, column: Column) -> str:
    """A reference as the record has it."""
    value = one.item.name if isinstance(one.item.value, dict) and column.key not in one.item.value else None
    return str(value if value is not None else one.item.value.get(column.key))[:100]


def _type(connection: Connection, table: str, column: str) -> str:
    row = connection.execute(
        "SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = to_regclass('public.' || %s)"
        " AND attname = %s",
        [table, column],
    ).fetchone()
    assert row is not None
    return str(row[0])
