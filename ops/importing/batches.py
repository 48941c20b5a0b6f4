"""Batches of a section's records, read and made ready for COPY. Nothing here asks the server: see ahead.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ops.importing.reader import Broken, Item, Reader
from ops.importing.walk import called, named
from ops.model.json_files import section_of
from ops.model.json_layout import Section
from ops.model.json_rows import Rejected, Row, Rows, checksum, copied, line

# A batch is in memory twice at most, once on either side, and once more while it is handed over.
RECORDS = 5_000
CHARACTERS = 4 << 20
TOGETHER = 250  # records whose rows are made at once: few enough to be in the processor's cache still
TAIL = 1 << 20  # bytes of what cannot be read that go to the rejects; all of it is in the copy


@dataclass(frozen=True)
class Task:
    """A section to read from the byte `position` on. `first`: nothing of it was read yet.

    `path`: the copy of its file, `size` its bytes; `file` and `name` are those of the section; `closing`: the bracket
    that ends it; `written`: when the file was last written.
    """

    path: Path
    file: str
    name: str | None
    closing: str
    position: int
    first: bool
    size: int
    written: str


class Reject(NamedTuple):
    """A record that is not taken: the byte at which it begins, its name, the reason, its text."""

    position: int
    name: str | None
    reason: str
    record: bytes


@dataclass
class Batch:
    """Records of one section up to the byte `position` of its file: those that are ready for COPY, and rejects.

    Column by column, which is handed over in half the time that a list of records takes. Every list has a value for
    each record that is ready: `begins` and `ends` are its bytes in the file, `names` those of entries of an object;
    `keys` has such a list for each of `Section.unique`, `references` for each of `Section.references`; `lines` (as COPY
    takes them), `checksums` and `money` (empty where there is none) for each table. `last`: nothing of
    the section comes after it. `problem`: why the file cannot be read beyond.
    """

    position: int
    begins: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    keys: list[list[str | None]] = field(default_factory=list)
    references: list[list[str | None]] = field(default_factory=list)
    lines: list[list[bytes]] = field(default_factory=list)
    checksums: list[list[int]] = field(default_factory=list)
    money: list[list[str | None]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    last: bool = False
    problem: str | None = None

    @classmethod
    def of(cls, section: Section, position: int) -> Batch:
        """An empty one."""
        return cls(
            position,
            keys=[[] for _ in section.unique],
            references=[[] for _ in section.references],
            lines=[[] for _ in section.tables],
            checksums=[[] for _ in section.tables],
            money=[[] for _ in section.tables],
        )

    @property
    def records(self) -> int:
        return len(self.begins) + len(self.rejects)

    def add(self, section: Section, items: Sequence[Item], made: Sequence[Sequence[Row]]) -> None:
        """Records that are ready, with the rows that were made of each."""
        self.begins += [item.begin for item in items]
        self.ends += [item.end for item in items]
        self.names += [item.name for item in items]
        for values, (at, _) in zip(self.keys, section.unique, strict=True):
            values += [rows[0][at] for rows in made]
        for values, (number, at, _) in zip(self.references, section.references, strict=True):
            values += [rows[number][at] for rows in made]
        for number, table in enumerate(section.tables):
            rows = [one[number] for one in made]
            lines = list(map(line, rows))
            self.lines[number] += copied(lines, rows)
            self.checksums[number] += map(checksum, lines)
            if table.money:
                at = table.names.index(table.money)
                self.money[number] += [row[at] for row in rows]


def batches(task: Task) -> Iterator[Batch]:
    """The section from where it was left; what cannot be read is the last reject."""
    with Reader(task.path) as reader:
        yield from _Section(task, reader).batches()


class _Section:
    def __init__(self, task: Task, reader: Reader) -> None:
        self._task = task
        self._reader = reader
        self._section = section_of(task.file, task.name)
        self._rows = Rows(self._section)

    def batches(self) -> Iterator[Batch]:
        self._reader.seek(self._task.position)
        batch, items, size = Batch.of(self._section, self._task.position), list[Item](), 0
        try:
            for item in self._reader.items(self._task.closing, first=self._task.first):
                if len(items) == TOGETHER or size >= CHARACTERS:
                    self._add(batch, items)
                    items = []
                    if batch.records >= RECORDS or size >= CHARACTERS:
                        yield batch
                        batch, size = Batch.of(self._section, batch.position), 0
                items.append(item)
                size += len(item.raw)
                batch.position = item.end
            self._add(batch, items)
            batch.position = self._reader.offset
        except Broken as broken:
            self._add(batch, items)
            self._cut(batch, broken)
        batch.last = True
        yield batch

    def _add(self, batch: Batch, items: Sequence[Item]) -> None:
        records = [named(self._section, item) for item in items]
        texts = [item.raw if item.name is None else item.name + item.raw for item in items]
        made = self._rows.of(records, texts, self._task.written)
        ready, rows = list[Item](), list[Sequence[Row]]()
        for item, one in zip(items, made, strict=True):
            if isinstance(one, Rejected):
                batch.rejects.append(Reject(item.begin, called(self._section, item), str(one), item.encoded))
            else:
                ready.append(item)
                rows.append(one)
        batch.add(self._section, ready, rows)

    def _cut(self, batch: Batch, broken: Broken) -> None:
        tail = self._reader.rest(batch.position, TAIL)
        record = tail.lstrip(b", \t\r\n")
        if record:
            begins = batch.position + len(tail) - len(record)
            batch.rejects.append(Reject(begins, None, f"the file {broken.words}", record))
        batch.position = self._task.size
        batch.problem = broken.words
