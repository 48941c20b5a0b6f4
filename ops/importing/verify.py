"""Whether the database still holds what was imported: every row of the kept files beside its row there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ops.database.target import Target
from ops.errors import OpsError
from ops.importing import state
from ops.importing.current import Ready, differing, imported, progress_of, snapshot
from ops.importing.keep import Kept, intact, manifest
from ops.importing.reader import Reader
from ops.importing.run import Shown
from ops.model.json_files import TABLES, of_file
from ops.model.json_layout import Section
from ops.model.json_rows import Row
from ops.postgres.connect import Connection


@dataclass
class Table:
    """A table: rows that the files gave, those that are gone or changed, and those that came since."""

    table: str
    rows: int = 0
    missing: int = 0
    changed: int = 0
    added: int = 0


@dataclass(frozen=True)
class Difference:
    """A row that is not as it was imported. `column`: the first that differs; None: the row is gone."""

    table: str
    key: str
    column: str | None
    words: str


@dataclass
class Verified:
    """What a comparison has found; `differences` are the first ones, `problems` are of the copies themselves.

    `masked`: columns whose values are not shown, those that the audit trail does not show.
    """

    tables: list[Table]
    differences: list[Difference] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    masked: set[tuple[str, str]] = field(default_factory=set, repr=False)

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not self.problems and not any(one.missing or one.changed or one.added for one in self.tables)


def kept_files(connection: Connection, kept: Path | None) -> tuple[Path, list[Kept]]:
    """Where the copies of the import are, and what they are. OpsError unless they are those of this database."""
    state.require(connection)
    remembered = state.files(connection)
    if not remembered:
        raise OpsError("nothing was imported into this database", hint="ops import json DIR does.")
    if not all(one.done for one in remembered):
        raise OpsError("the import has not come to its end", hint="Run ops import json again: it goes on.")
    folder = kept or remembered[0].kept
    found = manifest(folder)
    if {one.name: one.sha256 for one in found} != {one.name: one.sha256 for one in remembered}:
        raise OpsError(f"{folder} holds the copies of another import", hint="Name the right folder with --keep.")
    return folder, found


def verify(target: Target, kept: Path | None, first: int, shown: Shown) -> Verified:
    """Compare all that was imported with the database, as of one moment; name the `first` differences."""
    found = {name: Table(name) for name in TABLES}
    verified = Verified(list(found.values()))
    with target.connect() as connection, snapshot(connection):
        folder, files = kept_files(connection, kept)
        masked = connection.execute("SELECT table_name, column_name FROM audit.masked_columns").fetchall()
        verified.masked = {(table, column) for table, column in masked}
        total, before = sum(file.bytes for file in files), 0
        with shown.stage("compare the copies with the database"):
            for file in files:
                if not intact(folder, file):
                    verified.problems.append(f"{folder / file.name} has another SHA-256 than it had")
                    continue
                with Reader(folder / file.name) as reader:
                    for section in of_file(file.name):
                        at = progress_of(connection, section)
                        for ready in imported(connection, reader, at, file) if at else ():
                            _compare(connection, section, ready, verified, first)
                            shown.progress(before + reader.offset, total)
                before += file.bytes
        for name, table in found.items():
            table.added = _rows(connection, name) - (table.rows - table.missing)
    return verified


def _compare(connection: Connection, section: Section, ready: Sequence[Ready], verified: Verified, first: int) -> None:
    found = {one.table: one for one in verified.tables}
    changed = differing(connection, section, ready)
    for table in section.tables:
        found[table.name].rows += len(ready)
    for one in ready if changed else ():
        for number, row in changed.get(str(one.rows[0][0]), {}).items():
            counted = found[section.tables[number].name]
            if row is None:
                counted.missing += 1
            else:
                counted.changed += 1
            if len(verified.differences) < first:
                masked = verified.masked
                verified.differences.append(_difference(section.tables[number].name, one.rows[number], row, masked))


def _difference(table: str, before: Row, now: Row | None, masked: set[tuple[str, str]]) -> Difference:
    if now is None:
        return Difference(table, str(before[0]), None, "the row is gone")
    names = TABLES[table].names
    at = next((at for at, (old, new) in enumerate(zip(before, now, strict=True)) if old != new), 0)
    words = "changed" if (table, names[at]) in masked else f"{_short(before[at])} → {_short(now[at])}"
    return Difference(table, str(before[0]), names[at], words)


def _short(value: str | None) -> str:
    if value is None:
        return "NULL"
    return value if len(value) <= 40 else f"{value[:39]}…"


def _rows(connection: Connection, table: str) -> int:
    """Rows that were not there before the import."""
    query = f"SELECT (SELECT count(*) FROM public.{table}) - rows_before FROM ops.import_table WHERE table_name = %s"  # noqa: S608
    row = connection.execute(query.encode(), [table]).fetchone()
    assert row is not None
    return int(row[0])
