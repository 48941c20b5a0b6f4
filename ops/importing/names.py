"""What the files call a row that another one refers to: a wallet by its address, all else by the `id` of its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ops.importing.current import imported, progress_of
from ops.importing.keep import Kept
from ops.importing.reader import Reader
from ops.importing.walk import called
from ops.model.json_files import SECTIONS
from ops.model.json_layout import Section
from ops.model.json_rows import Row
from ops.postgres.connect import Connection

_REFERRED = frozenset(
    column.kind.refers
    for section in SECTIONS
    for table in section.tables
    for column in table.columns[1:]
    if column.kind.refers and column.key
) - {"users"}


class Names:
    """Looks names up; those of records are gathered from the copies when the first is asked for."""

    def __init__(self, connection: Connection, copies: Path, files: Mapping[str, Kept]) -> None:
        self._connection = connection
        self._copies = copies
        self._files = files
        self._gathered = False

    def of(self, section: Section, rows: Sequence[Row | None]) -> dict[tuple[int, int], str]:
        """The names of what rows of a section refer to, by number of the table and of the column."""
        found: dict[tuple[int, int], str] = {}
        for number, (table, row) in enumerate(zip(section.tables, rows, strict=True)):
            for at, (column, value) in enumerate(zip(table.columns, row or (), strict=False)):
                if at and column.key and column.kind.refers and value:
                    name = self._look_up(column.kind.refers, value)
                    if name:
                        found[number, at] = name
        return found

    def _look_up(self, table: str, key: str) -> str | None:
        if table == "users":
            query = "SELECT blockchain_address FROM public.users WHERE id = %s::uuid"
            row = self._connection.execute(query, [key]).fetchone()
        else:
            self._gather()
            query = "SELECT name FROM import_name WHERE source = %s AND key = %s"
            row = self._connection.execute(query, [table, key]).fetchone()
        return str(row[0]) if row else None

    def _gather(self) -> None:
        if self._gathered:
            return
        self._gathered = True
        self._connection.execute(
            "CREATE TEMPORARY TABLE import_name (source text, key text, name text, PRIMARY KEY (source, key))"
            " ON COMMIT DROP"
        )
        for section in SECTIONS:
            main, file, at = (
                section.tables[0].name,
                self._files.get(section.file),
                progress_of(self._connection, section),
            )
            if main not in _REFERRED or file is None or at is None:
                continue
            with Reader(self._copies / file.name) as reader:
                for ready in imported(self._connection, reader, at, file):
                    with self._connection.cursor() as cursor, cursor.copy("COPY import_name FROM STDIN") as copy:
                        for one in ready:
                            copy.write_row((main, one.rows[0][0], called(section, one.item)))
