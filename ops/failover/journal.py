"""The journal of one client: each statement as it is sent and as it ends, readable while the client goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import psycopg

from ops.model.journal import Entry, kind, longest_gap


@dataclass
class Statement:
    """A statement under way; whoever sends it says here which server acknowledged it."""

    server: str = ""


@dataclass
class Journal:
    """What one client saw, by the monotonic clock of this process."""

    last_words: str = ""  # of the newest error, for people
    _ended: list[Entry] = field(default_factory=list)
    _open: Entry | None = None

    @contextmanager
    def statement(self, number: int) -> Iterator[Statement]:
        """Notes how the block goes: acknowledged where it named a server, refused where psycopg raised."""
        self._open, said = Entry(number, time.monotonic(), None), Statement()
        try:
            yield said
        except psycopg.Error as error:
            self.last_words = str(error).strip()
            self._close(error=kind(error.sqlstate, self.last_words))
            raise
        self._close(server=said.server)

    def _close(self, *, server: str = "", error: str = "") -> None:
        assert self._open
        closed = replace(self._open, done=time.monotonic(), server=server, error=error)
        if server or error:  # that a connection was made is not worth an entry
            self._ended.append(closed)
        self._open = None

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All that ended, and the one that is still waited for."""
        ended, waited_for = tuple(self._ended), self._open
        return (*ended, waited_for) if waited_for and waited_for.number else ended

    @property
    def confirmed(self) -> list[tuple[int, float]]:
        """Each row that was acknowledged, and when."""
        return [(entry.number, entry.done) for entry in self._ended if entry.acknowledged and entry.done is not None]

    @property
    def failures(self) -> list[Entry]:
        """Statements and connections that were refused or broke."""
        return [entry for entry in self._ended if entry.error]

    def longest_gap(self, end: float) -> float:
        """The longest time in seconds from one acknowledgement to the next, or to `end` where none came since."""
        gap = longest_gap(self.entries, end)
        return gap[1] - gap[0] if gap else 0.0
