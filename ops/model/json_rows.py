"""Records of the old server's files as rows of the database, and a checksum that both sides can make. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import md5
from typing import Any, TypeAlias

from ops.model.json_layout import Default, Section, Table
from ops.model.json_values import Unfit, jsonb, key, unsafe

Row: TypeAlias = tuple[str | None, ...]
# Between the values of a row, and for NULL: characters that hardly any text holds. COPY can escape them where one does.
_BETWEEN, _NULL = "\x1f", "\x1e"
COPY_OPTIONS = "(DELIMITER E'\\x1f', NULL E'\\x1e')"
_special = re.compile(r"[\\\n\r]").search
_DIGITS = 15  # 60 bits of a checksum: a bigint, whatever its sign


class Rejected(ValueError):
    """A record that is not imported; the message says why."""


class Rows:
    """Makes the rows of a section's records: one for each of its tables, in their order."""

    def __init__(self, section: Section) -> None:
        self._section = section
        self._known = section.keys
        self._plans = [_plan(table) for table in section.tables]
        self._identity = [table.names.index(name) for table in section.tables[:1] for name in table.identity]
        self._spare = next(
            (
                (number, table.columns.index(column))
                for number, table in enumerate(section.tables)
                for column in table.columns
                if column.default is Default.SPARE
            ),
            None,
        )

    def of(self, record: Any, raw: str, written: str) -> list[Row]:
        """The rows of a record. `raw`: its text; `written`: when its file was last written. Rejected if it has none."""
        if not isinstance(record, dict):
            raise Rejected("the record is no object")
        if (not raw.isascii() or "\\u" in raw) and unsafe(record):
            raise Rejected("holds what is no text: a zero character, half a surrogate pair, or bytes that are no UTF-8")
        rows: list[list[str | None]] = []
        for plan in self._plans:
            rows.append(_row(plan, record, written, rows[0][0] if rows else None))
        if self._identity:
            rows[0][0] = key(self._section.tables[0].name, "|".join(str(rows[0][at]) for at in self._identity))
            for row in rows[1:]:
                row[0] = rows[0][0]
        if not self._known.issuperset(record):
            self._keep_unknown(record, rows)
        return [tuple(row) for row in rows]

    def _keep_unknown(self, record: Mapping[str, Any], rows: list[list[str | None]]) -> None:
        unknown = {name: value for name, value in record.items() if name not in self._known}
        if self._spare is None:
            raise Rejected(f"no column for {', '.join(sorted(unknown))}")
        number, at = self._spare
        table = self._section.tables[number]
        column = table.columns[at]
        held = record.get(column.key) if column.key else None
        try:
            shown = jsonb({**(held or {}), table.extra: unknown} if table.extra else unknown)
        except Unfit as error:
            raise Rejected(f"{', '.join(sorted(unknown))}: {error}") from None
        rows[number][at] = shown


Readers: TypeAlias = Sequence[tuple[str | None, Callable[[Any], str], str | None]]
Plan: TypeAlias = tuple[Readers, Sequence[tuple[int, str | None, Default]]]


def _plan(table: Table) -> Plan:
    """How each column is read, and those whose default has to be made."""
    readers = [
        (one.key, one.kind.read, None if isinstance(one.default, Default) else one.default) for one in table.columns
    ]
    made = [(at, one.key, one.default) for at, one in enumerate(table.columns) if isinstance(one.default, Default)]
    return readers, made


def _row(plan: Plan, record: Mapping[str | None, Any], written: str, owner: str | None) -> list[str | None]:
    # Called for every record of files with millions: nothing is in the loop that could be outside of it.
    readers, made = plan
    row: list[str | None] = []
    for name, read, default in readers:
        value = record.get(name)
        if value is None:
            row.append(default)
            continue
        try:
            row.append(read(value))
        except Unfit as error:
            raise Rejected(f"{name} {error}") from None
    for at, key_of, how in made:
        if row[at] is not None:
            continue
        if how is Default.REQUIRED:
            raise Rejected(f"{key_of} is missing")
        row[at] = {Default.WRITTEN: written, Default.OWNER: owner, Default.SPARE: "{}"}.get(how)
    return row


def line(row: Row) -> str:
    """A row in one text: what its checksum is of, and what goes into COPY."""
    return _BETWEEN.join([_NULL if value is None else value for value in row])


def checksum(shown: str) -> int:
    """A number that follows from the line of a row; those of many add up to one that follows from all, in any order."""
    return int.from_bytes(md5(shown.encode(), usedforsecurity=False).digest()[:8]) >> (64 - 4 * _DIGITS)


def copied(shown: str, row: Row) -> str:
    """The line of a row as COPY takes it, with COPY_OPTIONS and but for the newline behind it."""
    if not _special(shown) and shown.count(_BETWEEN) == len(row) - 1 and shown.count(_NULL) == row.count(None):
        return shown
    return _BETWEEN.join(_NULL if value is None else _escaped(value) for value in row)


def _escaped(value: str) -> str:
    for char, written in (("\\", r"\\"), ("\n", r"\n"), ("\r", r"\r"), (_BETWEEN, r"\x1f"), (_NULL, r"\x1e")):
        value = value.replace(char, written)
    return value


def checksum_sql(table: Table) -> str:
    """SQL for the checksum of a row of this table."""
    columns = ", ".join(f"coalesce({one.kind.shown.format(one.name)}, E'\\x1e')" for one in table.columns)
    return f"('x' || left(md5(concat_ws(E'\\x1f', {columns})), {_DIGITS}))::bit({_DIGITS * 4})::bigint"


@dataclass
class Totals:
    """What rows of a table come to: how many, the sum of their money, the sum of their checksums."""

    rows: int = 0
    money: Decimal = field(default_factory=Decimal)
    checksum: Decimal = field(default_factory=Decimal)

    def add(self, table: Table, rows: Sequence[Row], lines: Iterable[str]) -> None:
        """Count rows in, by their lines."""
        self.rows += len(rows)
        self.checksum += sum(map(checksum, lines))
        if table.money:
            at = table.names.index(table.money)
            self.money += sum(Decimal(row[at] or 0) for row in rows)

    def __add__(self, other: Totals) -> Totals:
        return Totals(self.rows + other.rows, self.money + other.money, self.checksum + other.checksum)


Names: TypeAlias = Mapping[tuple[int, int], str]


def record_of(section: Section, rows: Sequence[Row | None], names: Names) -> dict[str, Any]:
    """The record that rows make, one for each table of the section; None: that table has none.

    `names`: what the files call a key, by table and column, where they call it something else.
    """
    made: dict[str, Any] = {}
    empty = [tuple(None for _ in table.columns) for table in section.tables]
    updated(section, made, empty, rows, names)
    return {name: value for name, value in made.items() if value is not None}


def updated(
    section: Section, record: dict[str, Any], before: Sequence[Row], now: Sequence[Row | None], names: Names
) -> None:
    """Bring a record, which made the rows `before`, to what the rows `now` would come from."""
    for number, table in enumerate(section.tables):
        row = now[number] or tuple(None for _ in table.columns)
        for at, (column, old, new) in enumerate(zip(table.columns, before[number], row, strict=True)):
            if old == new:
                continue
            if column.default is Default.SPARE:
                for name in spread(table, column.key, old):
                    record.pop(name, None)
                record.update(spread(table, column.key, new))
            elif column.key:
                record[column.key] = None if new is None else names.get((number, at)) or column.kind.back(new)


def spread(table: Table, name: str | None, value: str | None) -> dict[str, Any]:
    """A spare column as keys of a record: itself, and what it held for keys that have no column."""
    held = dict(table.columns[_spare_at(table)].kind.back(value or "{}"))
    if table.extra is None:
        return held
    unknown = held.pop(table.extra, None)
    return {**({name: held} if name else {}), **(unknown if isinstance(unknown, dict) else {})}


def _spare_at(table: Table) -> int:
    return next(at for at, column in enumerate(table.columns) if column.default is Default.SPARE)


def compact(value: Any) -> str:
    """JSON text of a value whose numbers may be Decimal: as exact as they are."""
    if isinstance(value, dict):
        return f"{{{','.join(f'{jsonb(name)}:{compact(one)}' for name, one in value.items())}}}"
    if isinstance(value, list):
        return f"[{','.join(map(compact, value))}]"
    return jsonb(value)
