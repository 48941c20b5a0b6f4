"""Batches of records into the database: rows, rejects and how far we are in one transaction.

Rows go in by a plain COPY. Only when the server refuses a batch is it asked which of its keys it has; should it refuse
one all the same, the batch is halved until that row is found. References are asked for before, for a whole batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TypeAlias, TypeVar

import psycopg
from psycopg import sql

from ops.importing import state
from ops.importing.batches import Batch, Reject
from ops.importing.reader import Item, Reader
from ops.importing.state import Progress
from ops.importing.walk import called
from ops.model.json_layout import Column, Table
from ops.model.json_rows import COPY_OPTIONS, Totals
from ops.postgres.connect import Connection

ACTOR = "ops import json"
DUPLICATE = "a record before it has the same"
_SEPARATOR = "\x1f"
SENT = 200  # rows at once: the server is at work on these while the next are put together

Numbers: TypeAlias = Sequence[int]  # of records in their batch
Value = TypeVar("Value")


class Loader:
    """Writes the batches of one section, one after the other.

    `reader`: of its file, where records that are not taken are read once more.
    """

    def __init__(self, connection: Connection, at: Progress, reader: Reader) -> None:
        self._connection = connection
        self._at = at
        self._section = at.section
        self._reader = reader
        self._types = {(table, column): _type(connection, table, column) for table, column in self._asked()}
        main = at.section.tables[0].name
        self._refuses = all(_refuses(connection, main, column.name) for _, column in at.section.unique)
        self._again = False  # the batch before had records whose keys were there: so may the next

    def write(self, batch: Batch) -> None:
        """One batch, all of it or nothing."""
        with self._connection.transaction():
            self._connection.execute("SELECT set_config('app.user_agent', %s, true)", [ACTOR])
            rejects = list(batch.rejects)
            totals = self._store(batch, self._with_references(batch, rejects), rejects)
            for table, more in zip(self._section.tables, totals, strict=True):
                state.add(self._connection, table, more)
            write_rejects(self._connection, self._section.file, self._section.name or "", rejects)
            self._at.records += batch.records
            self._at.rejected += len(rejects)
            self._at.position = batch.position
            self._at.done = batch.last
            if batch.problem:
                state.mark(self._connection, self._section.file, problem=batch.problem)
            state.remember(self._connection, self._at)

    def _with_references(self, batch: Batch, rejects: list[Reject]) -> Numbers:
        """Those whose references are all there."""
        passed: Numbers = range(len(batch.begins))
        for (_, _, column), values in zip(self._section.references, batch.references, strict=True):
            target = str(column.kind.refers)
            there = {None, *self._there(target, "id", {values[number] for number in passed})}
            for number in passed:
                if values[number] not in there:
                    item = self._item(batch, number)
                    reason = f"{column.key}: {_words(item, column)} is not in {target}"
                    rejects.append(self._rejected(item, reason))
            passed = [number for number in passed if values[number] in there]
        return passed

    def _item(self, batch: Batch, number: int) -> Item:
        return self._reader.again(batch.names[number], batch.begins[number], batch.ends[number])

    def _rejected(self, item: Item, reason: str) -> Reject:
        return Reject(item.begin, called(self._section, item), reason, item.encoded)

    def _store(self, batch: Batch, numbers: Numbers, rejects: list[Reject]) -> list[Totals]:
        """The rows of those whose keys no row has; what they come to, table by table."""
        if self._refuses and not self._again:
            passed, repeated = self._first_of_each(batch, numbers, [set() for _ in batch.keys])
            try:
                totals = self._copy(batch, passed)
            except (psycopg.DataError, psycopg.IntegrityError):
                pass  # some of it: those that are at fault are looked for below
            else:
                rejects += repeated
                return totals
        main = self._section.tables[0].name
        there = [
            self._there(main, column.name, _picked(values, numbers))
            for (_, column), values in zip(self._section.unique, batch.keys, strict=True)
        ]
        self._again = any(there)
        passed, repeated = self._first_of_each(batch, numbers, there)
        rejects += repeated
        return self._halved(batch, passed, rejects)

    def _first_of_each(
        self, batch: Batch, numbers: Numbers, there: Sequence[set[str]]
    ) -> tuple[list[int], list[Reject]]:
        """Those whose keys are not `there`, and of those with the same key the first; the others, rejected."""
        doubted, out = set[int](), dict[int, Reject]()
        for values, seen in zip(batch.keys, there, strict=True):
            counts = Counter(_picked(values, numbers))
            suspect = seen | {value for value, count in counts.items() if count > 1 and value is not None}
            doubted.update(number for number in numbers if values[number] in suspect)
        for number in sorted(doubted):
            found = [values[number] for values in batch.keys]
            again = next((n for n, (value, seen) in enumerate(zip(found, there, strict=True)) if value in seen), None)
            if again is None:
                for value, seen in zip(found, there, strict=True):
                    seen.update([value] if value is not None else [])
            else:
                words = _key_words(self._section.tables[0], self._section.unique[again][1])
                out[number] = self._rejected(self._item(batch, number), f"{words}: {DUPLICATE}")
        return [number for number in numbers if number not in out], list(out.values())

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

    def _halved(self, batch: Batch, numbers: Numbers, rejects: list[Reject]) -> list[Totals]:
        """The rows of all that the server takes."""
        try:
            return self._copy(batch, numbers)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            if len(numbers) == 1:
                words = f"the server refused it: {error.diag.message_primary}"
                rejects.append(self._rejected(self._item(batch, numbers[0]), words))
                return [Totals() for _ in self._section.tables]
        middle = len(numbers) // 2
        parts = self._halved(batch, numbers[:middle], rejects), self._halved(batch, numbers[middle:], rejects)
        return [one + other for one, other in zip(*parts, strict=True)]

    def _copy(self, batch: Batch, numbers: Numbers) -> list[Totals]:
        """The rows of all of these, or none; what they come to."""
        if numbers:
            with self._connection.transaction():
                for table, lines in zip(self._section.tables, batch.lines, strict=True):
                    copy_lines(self._connection, table, _picked(lines, numbers))
        return [
            Totals(
                len(numbers),
                sum((Decimal(money[number] or 0) for number in numbers if money), Decimal()),
                Decimal(sum(_picked(checksums, numbers))),
            )
            for checksums, money in zip(batch.checksums, batch.money, strict=True)
        ]

    def _asked(self) -> Iterable[tuple[str, str]]:
        """The columns that are asked for keys."""
        for _, column in self._section.unique:
            yield self._section.tables[0].name, column.name
        for _, _, column in self._section.references:
            yield str(column.kind.refers), "id"


def copy_lines(connection: Connection, table: Table, lines: Sequence[bytes], into: str | None = None) -> None:
    """COPY rows, of which these are the lines, into their table, or into another one with the same columns."""
    query = sql.SQL("COPY {table} ({columns}) FROM STDIN {options}").format(
        options=sql.SQL(COPY_OPTIONS),
        table=sql.Identifier(into) if into else sql.Identifier("public", table.name),
        columns=sql.SQL(", ").join(map(sql.Identifier, table.names)),
    )
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        for first in range(0, len(lines), SENT):
            copy.write(b"\n".join([*lines[first : first + SENT], b""]))


def write_rejects(connection: Connection, file: str, section: str, rejects: Iterable[Reject]) -> None:
    """Keep records that were not taken."""
    query = "COPY ops.import_reject (file, section, position, name, reason, record) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        for one in rejects:
            name = one.name.encode(errors="replace").decode().replace("\0", "") if one.name else None
            copy.write_row((file, section, one.position, name, one.reason[:1000], one.record))


def _picked(values: Sequence[Value], numbers: Numbers) -> Sequence[Value]:
    return values if len(numbers) == len(values) else [values[number] for number in numbers]


def _key_words(table: Table, column: Column) -> str:
    """The key of the record that a column is for, or those that it follows from."""
    names = table.identity if column.key is None else (column.name,)
    return ", ".join(str(one.key or one.name) for one in table.columns if one.name in names)


def _words(item: Item, column: Column) -> str:
    """A reference as the record has it."""
    return str(item.value.get(column.key, item.name))[:100]


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
