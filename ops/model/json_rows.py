"""Records of the old server's files as rows of the database, and a checksum that both sides can make. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import md5
from typing import Any, TypeAlias

from ops.model.json_layout import Column, Default, Section, Table
from ops.model.json_values import Unfit, jsonb, key, unsafe

Row: TypeAlias = tuple[str | None, ...]
# Between the values of a row, and for NULL: characters that hardly any text holds. COPY can escape them where one does.
_BETWEEN, _NULL = "\x1f", "\x1e"
COPY_OPTIONS = "(DELIMITER E'\\x1f', NULL E'\\x1e')"
_DIGITS = 15  # 60 bits of a checksum: a bigint, whatever its sign


class Rejected(ValueError):
    """A record that is not imported; the message says why."""


Rejections: TypeAlias = dict[int, Rejected]  # by the number of the record; the first thing that is wrong with it


class Rows:
    """Makes the rows of a section's records: one for each of its tables, in their order.

    Column by column for many records at once, because there are millions of them.
    """

    def __init__(self, section: Section) -> None:
        self._section = section
        self._known = section.keys
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

    def of(self, records: Sequence[Any], texts: Sequence[str], written: str) -> list[tuple[Row, ...] | Rejected]:
        """The rows of each record, or why it has none.

        `texts`: those of the records; `written`: when their file was last written.
        """
        rejected = _unsound(records, texts)
        sound = [{} if number in rejected else record for number, record in enumerate(records)]
        tables = list[list[list[str | None]]]()
        for table in self._section.tables:
            owners = tables[0][0] if tables else [None] * len(records)
            tables.append([_column(one, sound, rejected) for one in table.columns])
            for at, column in enumerate(table.columns):
                if isinstance(column.default, Default):
                    _fill(tables[-1][at], column, written, owners, rejected)
            if len(tables) == 1 and self._identity:
                names = zip(*(tables[0][at] for at in self._identity), strict=True)
                tables[0][0] = [key(table.name, "|".join(map(str, name))) for name in names]
        for number, record in enumerate(sound):
            if not self._known.issuperset(record) and number not in rejected:
                self._keep_unknown(number, record, tables, rejected)
        rows = zip(*(zip(*columns, strict=True) for columns in tables), strict=True)
        return [rejected.get(number) or one for number, one in enumerate(rows)]

    def _keep_unknown(
        self, number: int, record: Mapping[str, Any], tables: list[list[list[str | None]]], rejected: Rejections
    ) -> None:
        unknown = {name: value for name, value in record.items() if name not in self._known}
        if self._spare is None:
            rejected[number] = Rejected(f"no column for {', '.join(sorted(unknown))}")
            return
        which, at = self._spare
        table = self._section.tables[which]
        column = table.columns[at]
        held = record.get(column.key) if column.key else None
        try:
            tables[which][at][number] = jsonb({**(held or {}), table.extra: unknown} if table.extra else unknown)
        except Unfit as error:
            rejected[number] = Rejected(f"{', '.join(sorted(unknown))}: {error}")


def _unsound(records: Sequence[Any], texts: Sequence[str]) -> Rejections:
    """Those that have no columns at all, or hold what no column could."""
    found = Rejections()
    for number, (record, text) in enumerate(zip(records, texts, strict=True)):
        if not isinstance(record, dict):
            found[number] = Rejected("the record is no object")
        elif (not text.isascii() or "\\u" in text) and unsafe(record):
            found[number] = Rejected(
                "holds what is no text: a zero character, half a surrogate pair, or bytes that are no UTF-8"
            )
    return found


def _column(column: Column, records: Sequence[Mapping[str | None, Any]], rejected: Rejections) -> list[str | None]:
    """What the records have for a column; None where that has yet to be made."""
    name, read = column.key, column.kind.read
    default = None if isinstance(column.default, Default) else column.default
    values = [record.get(name) for record in records] if name else []
    if values.count(None) == len(values):
        return [default] * len(records)
    found = list[str | None]()
    for value in values:
        try:
            found.append(default if value is None else read(value))
        except Unfit as error:
            rejected.setdefault(len(found), Rejected(f"{name} {error}"))
            found.append(None)
    return found


def _fill(
    found: list[str | None], column: Column, written: str, owners: Sequence[str | None], rejected: Rejections
) -> None:
    """Put in what a column has where the records have nothing."""
    if column.default is Default.IDENTITY or None not in found:
        return
    for number, value in enumerate(found):
        if value is None:
            if column.default is Default.REQUIRED:
                rejected.setdefault(number, Rejected(f"{column.key} is missing"))
            elif column.default is Default.OWNER:
                found[number] = owners[number]
            else:
                found[number] = written if column.default is Default.WRITTEN else "{}"


def line(row: Row) -> bytes:
    """A row in one text: what its checksum is of, and what goes into COPY."""
    return _BETWEEN.join([_NULL if value is None else value for value in row]).encode()


def checksum(shown: bytes) -> int:
    """A number that follows from the line of a row; those of many add up to one that follows from all, in any order."""
    return int.from_bytes(md5(shown, usedforsecurity=False).digest()[:8]) >> (64 - 4 * _DIGITS)


def copied(lines: Sequence[bytes], rows: Sequence[Row]) -> Sequence[bytes]:
    """Rows, of which these are the lines, as lines that COPY takes with COPY_OPTIONS; without their ends."""
    text = b"\n".join(lines)
    plain = (
        b"\\" not in text
        and b"\r" not in text
        and text.count(b"\n") == max(len(lines) - 1, 0)
        and text.count(_BETWEEN.encode()) == sum(map(len, rows)) - len(rows)
        and text.count(_NULL.encode()) == sum([row.count(None) for row in rows])
    )
    if plain:
        return lines
    return [_BETWEEN.join([_NULL if one is None else _escaped(one) for one in row]).encode() for row in rows]


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
