"""Gives the files back: byte for byte where nothing has changed since, else with what was written to the database."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from ops.database.target import Target
from ops.errors import UsageError
from ops.importing import state
from ops.importing.current import Ready, Since, differing, imported, progress_of, snapshot
from ops.importing.keep import Kept, intact
from ops.importing.load import DUPLICATE
from ops.importing.names import Names
from ops.importing.reader import Broken, Item, Reader
from ops.importing.run import Shown
from ops.importing.state import Progress
from ops.importing.verify import kept_files
from ops.importing.walk import Place, members
from ops.model.json_files import FILES, of_file
from ops.model.json_layout import Section
from ops.model.json_rows import Row, compact, record_of, updated
from ops.postgres.connect import Connection
from ops.store.durable import sync_directory

# What the application may write and no file has a place for.
ELSEWHERE = {
    "admin_sessions": "admin_sessions",
    "admin_permissions": "admin_permissions",
    "api_usage_logs": "api_usage_logs",
    "user_analytics, other than wallet_directory": "user_analytics WHERE event_type <> 'wallet_directory'",
    "audit_trail": "audit_trail",
}


@dataclass
class Given:
    """A file that was given back. `same`: byte for byte as it was. Else records changed, removed and added since.

    `duplicates`: records left out that were the second of their key; `lost`: bytes left out that are no JSON.
    """

    file: str
    same: bool = True
    changed: int = 0
    removed: int = 0
    added: int = 0
    duplicates: int = 0
    lost: int = 0
    bytes: int = 0


@dataclass
class Outcome:
    """What a rollback gave back; `left`: rows that no file has a place for, and what else could not be held."""

    files: list[Given] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)


def rollback(target: Target, folder: Path, kept: Path | None, shown: Shown, *, force: bool = False) -> Outcome:
    """Write the files into a folder. All of them take their names when the last is whole; the database is only read."""
    there = [name for name in FILES if (folder / name).exists()]
    if there and not force:
        raise UsageError(f"{folder} has {there[0]} already", hint="Name a folder that does not exist, or say --force.")
    outcome = Outcome()
    with target.connect() as connection, snapshot(connection):
        copies, files = kept_files(connection, kept)
        known = {file.name: file for file in files}
        source = _Source(connection, copies, Names(connection, copies, known), Since(connection))
        made = list[tuple[Path, Path]]()
        with shown.stage("write the files"):
            for name in FILES:
                new = folder / f"{name}.new"
                new.parent.mkdir(parents=True, exist_ok=True)
                given = _File(name, known.get(name), source).write(new)
                if given:
                    outcome.files.append(given)
                    made.append((new, folder / name))
                else:
                    new.unlink(missing_ok=True)
        for title, where in ELSEWHERE.items():
            row = connection.execute(f"SELECT count(*) FROM public.{where}".encode()).fetchone()  # noqa: S608
            if row and row[0]:
                outcome.left[title] = row[0]
    for new, final in made:
        new.rename(final)
        sync_directory(final.parent)
    return outcome


@dataclass(frozen=True)
class _Source:
    """What files are written from: the database, the copies, what things are called, and what came since."""

    connection: Connection
    copies: Path
    names: Names
    since: Since


class _File:
    """One file, from its copy and the database."""

    def __init__(self, name: str, file: Kept | None, source: _Source) -> None:
        self._file = file
        self._source = source
        self._path = source.copies / name
        self._given = Given(name)

    def write(self, new: Path) -> Given | None:
        """The file under a name that it does not keep; None: there was none, and nothing came since."""
        if self._file and not intact(self._source.copies, self._file):
            raise UsageError(f"{self._path} has another SHA-256 than it had", hint="Take the copy from a backup.")
        with new.open("w", encoding="utf-8", errors="surrogateescape") as out:
            out.writelines(self._whole())
            out.flush()
            os.fsync(out.fileno())
        given = self._given
        if not (given.changed or given.removed or given.added):
            if self._file is None:
                return None
            shutil.copyfile(self._path, new)
            with new.open("rb") as copied:
                os.fsync(copied.fileno())
            given.lost = given.duplicates = 0
        else:
            given.same = False
        given.bytes = new.stat().st_size
        return given

    def _whole(self) -> Iterator[str]:
        """The file as it would have to be now, in pieces."""
        sections = of_file(self._given.file)
        if sections[0].name is None:
            yield from self._section(sections[0])
            yield "\n"
            return
        yield "{"
        held = ((str(one.name), self._section(one)) for one in sections)
        for count, (name, pieces) in enumerate(chain(self._beside(), held)):
            yield f"{',' if count else ''}\n{json.dumps(name)}: "
            yield from pieces
        yield "\n}\n"

    def _beside(self) -> Iterator[tuple[str, Iterator[str]]]:
        """What the file has beside its sections, as it was."""
        if self._file is None:
            return
        found = (state.progress(self._source.connection, section) for section in of_file(self._file.name))
        known = {one.begins: one.position for one in found if one}
        with Reader(self._path) as reader:
            try:
                for place in members(reader, known):
                    yield place.name, _raw(reader, place)
            except Broken:
                self._given.lost = self._file.bytes - reader.offset

    def _section(self, section: Section) -> Iterator[str]:
        at = progress_of(self._source.connection, section)
        closing = at.closing if at else "}" if section.by else "]"
        yield "{" if closing == "}" else "["
        for count, (name, text) in enumerate(chain(self._kept(section, at), self._added(section))):
            named = f"{json.dumps(name)}: " if closing == "}" else ""
            yield f"{',' if count else ''}\n{named}{text}"
        yield f"\n{closing}"

    def _kept(self, section: Section, at: Progress | None) -> Iterator[tuple[str | None, str]]:
        """The records that the file had, as they are now; those that were rejected as they were, behind their batch.

        But not what was the second of its key: where the first was deleted since, that would bring it back.
        """
        if at is None or self._file is None:
            return
        beside = list[Item]()

        def keep(item: Item, reason: str) -> None:
            if reason.endswith(DUPLICATE):
                self._given.duplicates += 1
            else:
                beside.append(item)

        with Reader(self._path) as reader:
            for ready in imported(self._source.connection, reader, at, self._file, keep):
                self._source.since.seen(section.tables[0], ready)
                changed = differing(self._source.connection, section, ready)
                for one in ready:
                    text = self._now(section, one, changed.get(str(one.rows[0][0])))
                    if text is not None:
                        yield one.item.name, text
                yield from ((item.name, item.raw) for item in beside)
                beside.clear()
            self._given.lost += at.position - reader.offset  # of a section that is cut off: what is left of its last

    def _now(self, section: Section, one: Ready, changed: dict[int, Row | None] | None) -> str | None:
        """A record as it is now; None: its row is gone."""
        if changed is None:
            return one.item.raw
        now = [changed.get(number, before) for number, before in enumerate(one.rows)]
        if now[0] is None:
            self._given.removed += 1
            return None
        self._given.changed += 1
        record = dict(one.item.value)
        updated(section, record, one.rows, now, self._source.names.of(section, now))
        if one.item.name is not None:
            record.pop(section.by or "id", None)
        return compact(record)

    def _added(self, section: Section) -> Iterator[tuple[str | None, str]]:
        for rows in self._source.since.rows(section):
            self._given.added += 1
            record = record_of(section, rows, self._source.names.of(section, rows))
            name = record.pop(section.by) if section.by else record.get("id")
            yield str(name), compact(record)


def _raw(reader: Reader, place: Place) -> Iterator[str]:
    """The text of a member, entry by entry."""
    if not place.closing:
        yield reader.value().raw
        return
    yield "{" if place.closing == "}" else "["
    try:
        for count, item in enumerate(reader.items(place.closing)):
            name = f"{json.dumps(item.name)}: " if item.name is not None else ""
            yield f"{',' if count else ''}\n{name}{item.raw}"
    except Broken:
        pass  # whoever reads on finds that, and counts what is lost
    yield f"\n{place.closing}"
