"""An import from beginning to end: keep, read and store, compare. It can be killed anywhere, and goes on from there."""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ops.database.target import Target, alone
from ops.importing import rejects, state
from ops.importing.keep import Kept, keep
from ops.importing.load import Batch, Loader, Ready, Reject, encoded, write_rejects
from ops.importing.reader import Broken, Item, Reader
from ops.importing.state import Compared, Progress
from ops.importing.walk import find, members, named
from ops.model.json_files import name_of, of_file
from ops.model.json_layout import Section
from ops.model.json_rows import Rejected, Rows
from ops.postgres.connect import Connection

# A batch is in memory three times at most: being read, waiting, being written.
RECORDS = 5_000
CHARACTERS = 4 << 20
TOGETHER = 250  # records whose rows are made at once: few enough to be in the processor's cache still
TAIL = 1 << 20  # bytes of what cannot be read that go to the rejects; all of it is in the copy
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
            with shown.stage("import"), target.connect() as second, _without_collector():
                second.execute("SET enable_seqscan = off")  # keys are looked up in tables that nothing is known of yet
                total, before = sum(one.bytes for one in found), 0
                for file in found:

                    def count(done: int, before: int = before) -> None:
                        shown.progress(before + done, total)

                    plain[file.name] = _File(second, kept, file, count).run()
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


@contextmanager
def _without_collector() -> Iterator[None]:
    """Nothing here makes cycles, and to look for them among the records of three batches takes a fifth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class _File:
    """One file, section by section, then what is in it beside them."""

    def __init__(self, connection: Connection, kept: Path, file: Kept, count: Callable[[int], None]) -> None:
        self._connection = connection
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
            _Section(self._connection, reader, at, self._file, self._count).run()

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
                    yield Reject(item.begin, item.name, reason, encoded(item.raw))
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


class _Section:
    """One section: read here, written by a thread beside, which waits for the server most of the time."""

    def __init__(
        self, connection: Connection, reader: Reader, at: Progress, file: Kept, count: Callable[[int], None]
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._at = at
        self._file = file
        self._count = count
        self._rows = Rows(at.section)

    def run(self) -> None:
        loader = Loader(self._connection, self._at)
        waiting = deque[Future[None]]()
        with ThreadPoolExecutor(1) as beside:
            for batch in self._batches():
                waiting.append(beside.submit(loader.write, batch))
                if len(waiting) > 1:
                    waiting.popleft().result()
                self._count(batch.position)
            for one in waiting:
                one.result()
        self._at.done = True
        state.remember(self._connection, self._at)

    def _batches(self) -> Iterator[Batch]:
        """The section from where it was left; what cannot be read is the last reject."""
        self._reader.seek(self._at.position)
        batch, items = Batch(self._at.section, position=self._at.position), list[Item]()
        try:
            for item in self._reader.items(self._at.closing, first=self._at.position == self._at.begins + 1):
                if len(items) == TOGETHER or batch.size >= CHARACTERS:
                    self._add(batch, items)
                    items = []
                    if batch.records >= RECORDS or batch.size >= CHARACTERS:
                        yield batch
                        batch = Batch(self._at.section)
                items.append(item)
                batch.size += len(item.raw)
                batch.position = item.end
            self._add(batch, items)
            batch.position = self._reader.offset
        except Broken as broken:
            self._add(batch, items)
            self._cut(batch, broken)
        yield batch

    def _add(self, batch: Batch, items: Sequence[Item]) -> None:
        records = [named(self._at.section, item) for item in items]
        made = self._rows.of(records, [item.raw for item in items], self._file.written)
        for item, record, rows in zip(items, records, made, strict=True):
            if isinstance(rows, Rejected):
                name = item.name or name_of(self._at.section, record)
                batch.rejects.append(Reject(item.begin, name, str(rows), encoded(item.raw)))
            else:
                batch.ready.append(Ready(item, rows))

    def _cut(self, batch: Batch, broken: Broken) -> None:
        tail = self._reader.rest(batch.position, TAIL)
        record = tail.lstrip(b", \t\r\n")
        if record:
            begins = batch.position + len(tail) - len(record)
            batch.rejects.append(Reject(begins, None, f"the file {broken.words}", record))
        batch.position = self._file.bytes
        batch.problem = broken.words


def _settle(connection: Connection) -> None:
    """Months for what lies in default partitions, and statistics for the planner."""
    for table, column in PARTITIONED.items():
        query = (
            f"SELECT DISTINCT date_trunc('month', {column} AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' FROM {table}_default"  # noqa: S608
        )
        for (month,) in connection.execute(query.encode()).fetchall():
            connection.execute("SELECT ops.ensure_partitions(0, %s)", [month])
    connection.execute("ANALYZE")
