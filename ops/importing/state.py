"""How far an import has come, as the database remembers it: tables import_* of the schema ops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import sql

from ops.errors import OpsError
from ops.importing.keep import Kept
from ops.model.json_files import TABLES
from ops.model.json_layout import Section, Table
from ops.model.json_rows import Totals, checksum_sql
from ops.postgres.connect import Connection


@dataclass
class Progress:
    """A section of a file: the bracket that ends it, where it begins, up to where it is in, and records so far."""

    section: Section
    closing: str
    begins: int
    position: int
    records: int = 0
    rejected: int = 0
    done: bool = False


@dataclass(frozen=True)
class File:
    """A file of the import, as the database remembers it."""

    name: str
    bytes: int
    sha256: str
    written: str
    kept: Path
    problem: str | None
    done: bool


@dataclass(frozen=True)
class Compared:
    """A table: what it should come to (what was there before, and what was read), and what it comes to."""

    table: str
    expected: Totals
    found: Totals

    @property
    def equal(self) -> bool:
        return self.expected == self.found


def require(connection: Connection) -> None:
    """OpsError where the database has no tables of imports, or we may not write past its policies."""
    if connection.execute("SELECT to_regclass('ops.import_file') IS NULL").fetchone() == (True,):
        raise OpsError("the database has not been made for imports", hint="Apply its migrations: ops db migrate.")
    if connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() != (True,):
        raise OpsError(
            "an import takes a superuser",
            detail="Policies hold for everybody else, the owner of the tables too.",
            hint="Run it as root on the member that leads.",
        )


def files(connection: Connection) -> list[File]:
    """The files of the import that this database has had or is having; empty: none."""
    rows = connection.execute(
        "SELECT name, bytes, sha256, to_char(written_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00',"
        " kept, problem, done_at IS NOT NULL FROM ops.import_file ORDER BY name"
    )
    return [File(name, size, sha, at, Path(kept), problem, done) for name, size, sha, at, kept, problem, done in rows]


def begin(connection: Connection, found: Sequence[Kept], kept: Path) -> None:
    """Remember the files, and what the tables came to before; once begun, OpsError unless they are the same files."""
    known = {one.name: one.sha256 for one in files(connection)}
    if known:
        if known != {one.name: one.sha256 for one in found}:
            raise OpsError(
                "this database was imported from other files",
                detail=f"It remembers {', '.join(sorted(known))}; not all of these are what they were then.",
                hint="An import is for a database that has had none: make a new one, or give the same files.",
            )
        connection.execute("UPDATE ops.import_file SET kept = %s", [str(kept.absolute())])
        return
    with connection.transaction():
        for one in found:
            connection.execute(
                "INSERT INTO ops.import_file (name, bytes, sha256, written_at, kept) VALUES (%s, %s, %s, %s, %s)",
                [one.name, one.bytes, one.sha256, one.written, str(kept.absolute())],
            )
        for table in TABLES.values():
            before = totals(connection, table)
            connection.execute(
                "INSERT INTO ops.import_table (table_name, rows_before, money_before, checksum_before)"
                " VALUES (%s, %s, %s, %s)",
                [table.name, before.rows, before.money, before.checksum],
            )


def totals(connection: Connection, table: Table) -> Totals:
    """What the rows of a table come to now."""
    query = sql.SQL("SELECT count(*), coalesce(sum({money}), 0), coalesce(sum({checksum}), 0) FROM public.{table}")
    row = connection.execute(
        query.format(
            money=sql.Identifier(table.money) if table.money else sql.SQL("0::numeric"),
            checksum=sql.SQL(checksum_sql(table)),  # our own columns
            table=sql.Identifier(table.name),
        )
    ).fetchone()
    assert row is not None
    return Totals(*row)


def compared(connection: Connection) -> list[Compared]:
    """Every table: what it should come to, and what it does."""
    rows = connection.execute(
        "SELECT table_name, rows_before + rows_read, money_before + money_read, checksum_before + checksum_read"
        " FROM ops.import_table"
    )
    expected = {name: Totals(*counted) for name, *counted in rows}
    return [Compared(name, expected[name], totals(connection, TABLES[name])) for name in TABLES if name in expected]


def progress(connection: Connection, section: Section) -> Progress | None:
    """How far a section is in; None: not begun."""
    row = connection.execute(
        "SELECT closing, begins, position, records, rejected, done FROM ops.import_section"
        " WHERE file = %s AND section = %s",
        [section.file, section.name or ""],
    ).fetchone()
    return Progress(section, *row) if row else None


def remember(connection: Connection, at: Progress) -> None:
    """Keep how far a section is in: in the transaction of the rows that got it there."""
    connection.execute(
        "INSERT INTO ops.import_section (file, section, closing, begins, position, records, rejected, done)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (file, section) DO UPDATE SET"
        " position = excluded.position, records = excluded.records, rejected = excluded.rejected, done = excluded.done",
        [at.section.file, at.section.name or "", at.closing, at.begins, at.position, at.records, at.rejected, at.done],
    )


def add(connection: Connection, table: Table, more: Totals) -> None:
    """Count rows of a table in that were read and stored."""
    connection.execute(
        "UPDATE ops.import_table SET rows_read = rows_read + %s, money_read = money_read + %s,"
        " checksum_read = checksum_read + %s WHERE table_name = %s",
        [more.rows, more.money, more.checksum, table.name],
    )


def mark(connection: Connection, file: str, *, problem: str | None = None, done: bool = False) -> None:
    """Keep what is wrong with a file, or that all of it is in."""
    connection.execute(
        "UPDATE ops.import_file SET problem = coalesce(%s, problem),"
        " done_at = CASE WHEN %s THEN now() ELSE done_at END WHERE name = %s",
        [problem, done, file],
    )


def counts(connection: Connection) -> list[dict[str, Any]]:
    """Each section: its file, records, how many were rejected, whether it is done. In the order of the files."""
    rows = connection.execute(
        "SELECT file, section, records, rejected, done FROM ops.import_section ORDER BY file, begins, section"
    )
    return [dict(zip(("file", "section", "records", "rejected", "done"), row, strict=True)) for row in rows]


def reasons(connection: Connection) -> list[tuple[str, str, str, int]]:
    """Why records were rejected: file, section, reason, how many; the most frequent first."""
    return connection.execute(
        "SELECT file, section, reason, count(*) FROM ops.import_reject"
        " GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT 200"
    ).fetchall()
