"""An import from beginning to end: keep, read and store, compare. It can be killed anywhere, and goes on from there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ops.database.target import Target, alone
from ops.importing import rejects, state
from ops.importing.ahead import Ahead
from ops.importing.batches import Reject, Task
from ops.importing.keep import Kept, keep
from ops.importing.load import Loader, write_rejects
from ops.importing.reader import Broken, Reader
from ops.importing.state import Compared, Progress
from ops.importing.walk import find, members
from ops.model.json_files import of_file
from ops.model.json_layout import Section
from ops.postgres.connect import Connection

PARTITIONED = {"system_logs": "timestamp", "system_metrics": "timestamp", "user_analytics": "timestamp"}


class Shown(Protocol):
    """Where progress goes."""

    def stage(self, title: str) -> AbstractContextManager[None]: ...
    def progress(self, done: int, total: int) -> None: ...


@dataclass(frozen=True)
class Outcome:
    """What came of an import. `sections` and `reasons` as `state.counts` and `state.reasons` give them."""

    kept: Path
    files: list[state.File]
    sections: list[dict[str, Any]]
    tables: list[Compared]
    reasons: list[tuple[str, str, str, int]]
    rejects: Path
    plain: dict[str, list[str]]
    seconds: float  # of reading and storing alone

    @property
    def equal(self) -> bool:
        """Whether the database holds what was read, and nothing else."""
        return all(one.equal for one in self.tables)


def run(target: Target, folder: Path, kept: Path, shown: Shown) -> Outcome:
    """Import the files of a folder into a database. Goes on with a run that was killed; once done, does nothing."""
    with target.connect() as connection:
        state.require(connection)
        with alone(connection, "import"):
            with shown.stage("copy the files and take their checksums"):
                found = keep(folder, kept, shown.progress)
            state.begin(connection, found, kept)
            plain = dict[str, list[str]]()
            began = time.monotonic()
            with shown.stage("import"), target.connect() as second, Ahead() as ahead:
                # A run that was killed may be committing its last batch still: what is remembered is known after that.
                second.execute("SELECT pg_advisory_lock(hashtext('ops import'))")
                second.execute("SET enable_seqscan = off")  # keys are looked up in tables that nothing is known of yet
                # A batch that a crash takes takes its progress along. What is committed last of all waits for the disk.
                second.execute("SET synchronous_commit = off")
                total, before = sum(one.bytes for one in found), 0
                for file in found:

                    def count(done: int, before: int = before) -> None:
                        shown.progress(before + done, total)

                    plain[file.name] = _File(second, ahead, kept, file, count).run()
                    before += file.bytes
            seconds = time.monotonic() - began
            with shown.stage("make months, and look at what is there"):
                _settle(connection)
            with shown.stage("compare counts, sums and checksums"):
                tables = state.compared(connection)
            written = rejects.write(connection, kept)
            return Outcome(
                kept,
                state.files(connection),
                state.counts(connection),
                tables,
                state.reasons(connection),
                written,
                plain,
                seconds,
            )


class _File:
    """One file, section by section, then what is in it beside them."""

    def __init__(
        self, connection: Connection, ahead: Ahead, kept: Path, file: Kept, count: Callable[[int], None]
    ) -> None:
        self._connection = connection
        self._ahead = ahead
        self._path = kept / file.name
        self._file = file
        self._count = count

    def run(self) -> list[str]:
        """All of it; the names of plain values, which are not imported."""
        remembered = {one.name: one for one in state.files(self._connection)}[self._file.name]
        if remembered.done:
            return []
        with Reader(self._path) as reader:
            for section in of_file(self._file.name):
                self._section(reader, section)
            plain = self._beside(reader)
        state.mark(self._connection, self._file.name, done=True)
        return plain

    def _section(self, reader: Reader, section: Section) -> None:
        at = state.progress(self._connection, section)
        if at is None:
            try:
                place = find(reader, section, self._known())
            except Broken as broken:
                state.mark(self._connection, self._file.name, problem=broken.words)
                return
            if place is None or not place.closing:
                return
            at = Progress(section, place.closing, place.begins, place.begins + 1)
        if not at.done:
            self._store(reader, at)

    def _store(self, reader: Reader, at: Progress) -> None:
        """What is left of a section."""
        loader, first = Loader(self._connection, at, reader), at.position == at.begins + 1
        task = Task(
            path=self._path,
            file=self._file.name,
            name=at.section.name,
            closing=at.closing,
            position=at.position,
            first=first,
            size=self._file.bytes,
            written=self._file.written,
        )
        for batch in self._ahead.batches(task):
            loader.write(batch)
            self._count(batch.position)

    def _beside(self, reader: Reader) -> list[str]:
        """What is in the file beside its sections goes to the rejects, but for plain values. In one transaction."""
        plain = list[str]()
        remembered = {one.name: one for one in state.files(self._connection)}[self._file.name]
        known = self._known()
        if remembered.problem is not None:
            return plain
        try:
            if of_file(self._file.name)[0].name is None and known:
                reader.seek(next(iter(known.values())))
                reader.finish()
                return plain
            for place in members(reader, known):
                if place.closing:
                    self._reject_all(reader, place.name, place.begins, place.closing)
                else:
                    reader.value()
                    plain.append(place.name)
        except Broken as broken:
            state.mark(self._connection, self._file.name, problem=broken.words)
        return plain

    def _reject_all(self, reader: Reader, name: str, begins: int, closing: str) -> None:
        title = name or "(no section)"
        again = any(section.name == name for section in of_file(self._file.name))
        reason = "the file has this section twice" if again else "no such section is known"
        counted, problem = 0, None

        def entries() -> Iterator[Reject]:
            nonlocal counted, problem
            try:
                for item in reader.items(closing):
                    counted += 1
                    yield Reject(item.begin, item.name, reason, item.encoded)
            except Broken as broken:
                problem = broken

        with self._connection.transaction():
            title = f"{title} (again)" if again else title
            self._connection.execute(
                "DELETE FROM ops.import_reject WHERE file = %s AND section = %s AND position >= %s",
                [self._file.name, title, begins],
            )
            write_rejects(self._connection, self._file.name, title, entries())
            section = Section(self._file.name, title, ())
            state.remember(self._connection, Progress(section, closing, begins, reader.offset, counted, counted, True))
        if problem:
            raise problem

    def _known(self) -> dict[int, int]:
        """Where sections begin that are in, and where they end."""
        found = (state.progress(self._connection, section) for section in of_file(self._file.name))
        return {one.begins: one.position for one in found if one and one.done}


def _settle(connection: Connection) -> None:
    """Months for what lies in default partitions, and statistics for the planner."""
    for table, column in PARTITIONED.items():
        query = (
            f"SELECT DISTINCT date_trunc('month', {column} AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' FROM {table}_default"  # noqa: S608
        )
        for (month,) in connection.execute(query.encode()).fetchall():
            connection.execute("SELECT ops.ensure_partitions(0, %s)", [month])
    connection.execute("ANALYZE")
