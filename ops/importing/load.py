"""Batches of records into the database: rows, rejects and how far we are in one transaction.

Rows go in by a plain COPY. Only when the server refuses a batch is it asked which of its keys it has; should it refuse
one all the same, the batch is halved until that row is found. References are asked for before, for a whole batch.
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
    rows: Sequence[Row]

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
        main = tables[0]
        self._keys = [(main.names.index(name), main.columns[main.names.index(name)]) for name in _unique(main)]
        self._references = [
            (number, place, column, column.kind.refers)
            for number, table in enumerate(tables)
            for place, column in enumerate(table.columns)
            if column.kind.refers and place and column.key
        ]
        self._types = {(table, column): _type(connection, table, column) for table, column in self._asked()}
        self._refuses = all(_refuses(connection, main.name, column.name) for _, column in self._keys)
        self._again = False  # the batch before had records whose keys were there: so may the next

    def write(self, batch: Batch) -> None:
        """One batch, all of it or nothing."""
        with self._connection.transaction():
            self._connection.execute("SELECT set_config('app.user_agent', %s, true)", [ACTOR])
            rejects = list(batch.rejects)
            totals = self._store(self._with_references(batch.ready, rejects), rejects)
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

    def _store(self, ready: Sequence[Ready], rejects: list[Reject]) -> list[Totals]:
        """The rows of those whose keys no row has; what they come to, table by table."""
        if self._refuses and not self._again:
            passed, repeated = self._first_of_each(ready, [set() for _ in self._keys])
            try:
                totals = self._copy(passed)
            except (psycopg.DataError, psycopg.IntegrityError):
                pass  # some of it: those that are at fault are looked for below
            else:
                rejects += repeated
                return totals
        main = self._at.section.tables[0].name
        there = [self._there(main, column.name, (one.rows[0][at] for one in ready)) for at, column in self._keys]
        self._again = any(there)
        passed, repeated = self._first_of_each(ready, there)
        rejects += repeated
        return self._halved(passed, rejects)

    def _first_of_each(self, ready: Sequence[Ready], there: list[set[str]]) -> tuple[list[Ready], list[Reject]]:
        """Those whose keys are not `there`, and of those with the same key the first; the others, rejected."""
        keys = [[one.rows[0][at] for one in ready] for at, _ in self._keys]
        doubted, out = set[int](), dict[int, Reject]()
        for values, seen in zip(keys, there, strict=True):
            suspect = seen | {value for value, count in Counter(values).items() if count > 1 and value is not None}
            doubted.update(number for number, value in enumerate(values) if value in suspect)
        for number in sorted(doubted):
            found = [values[number] for values in keys]
            again = next((n for n, (value, seen) in enumerate(zip(found, there, strict=True)) if value in seen), None)
            if again is None:
                for value, seen in zip(found, there, strict=True):
                    seen.update([value] if value is not None else [])
            else:
                words = _key_words(self._at.section.tables[0], self._keys[again][1])
                out[number] = ready[number].rejected(self._at.section, f"{words}: {DUPLICATE}")
        return [one for number, one in enumerate(ready) if number not in out], list(out.values())

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

    def _halved(self, ready: Sequence[Ready], rejects: list[Reject]) -> list[Totals]:
        """The rows of all that the server takes."""
        try:
            return self._copy(ready)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            if len(ready) == 1:
                words = f"the server refused it: {error.diag.message_primary}"
                rejects.append(ready[0].rejected(self._at.section, words))
                return [Totals() for _ in self._at.section.tables]
        middle = len(ready) // 2
        parts = self._halved(ready[:middle], rejects), self._halved(ready[middle:], rejects)
        return [one + other for one, other in zip(*parts, strict=True)]

    def _copy(self, ready: Sequence[Ready]) -> list[Totals]:
        """All of these rows, or none; what they come to."""
        totals = [Totals() for _ in self._at.section.tables]
        if ready:
            with self._connection.transaction():
                for number, table in enumerate(self._at.section.tables):
                    rows = [one.rows[number] for one in ready]
                    lines = list(map(line, rows))
                    copy_rows(self._connection, table, rows, lines)
                    totals[number].add(table, rows, lines)
        return totals

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
            copy.write(copied(lines[part], rows[part]))


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


def _refuses(connection: Connection, table: str, column: str) -> bool:
    """Whether the server refuses a second row with the same in this column, at once and whatever the other columns."""
    return connection.execute(
        "SELECT EXISTS (SELECT FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]"
        " WHERE indrelid = to_regclass('public.' || %s) AND attname = %s AND indisunique AND indimmediate"
        " AND indisvalid AND indnkeyatts = 1 AND indpred IS NULL)",
        [table, column],
    ).fetchone() == (True,)


def _type(connection: Connection, table: str, column: str) -> str:
    row = connection.execute(
        "SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = to_regclass('public.' || %s)"
        " AND attname = %s",
        [table, column],
    ).fetchone()
    assert row is not None
    return str(row[0])
