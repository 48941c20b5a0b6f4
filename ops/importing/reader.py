"""Reads a JSON file record by record, however large it is, and can go on from the byte after any of them.

By the scanner of Python's own json, which reads a record at a position of a text and says where it ends. So we have
what a parser of events, such as ijson, does not give: the record as it was written, and its place in the file.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

CHUNK = 1 << 20
LONGEST = 16 << 20  # characters of one record: it has to be in memory
_space = re.compile(r"[ \t\n\r]*").match
_comma = re.compile(r"[ \t\n\r]*,[ \t\n\r]*").match
_SPACES = " \t\n\r"  # and what is behind the end of a text: the empty one is in every other
_CLOSING = {"{": "}", "[": "]"}
# NaN and Infinity are no JSON: as float they are no number to those who read on.
_scan_short = json.JSONDecoder(parse_float=Decimal, parse_constant=float).scan_once  # type: ignore[attr-defined]
# Whole numbers of more than 4300 digits are none to int(). No column takes them: that is for those who read on to say.
_scan_long = json.JSONDecoder(parse_float=Decimal, parse_int=Decimal, parse_constant=float).scan_once  # type: ignore[attr-defined]


class Broken(Exception):
    """The file cannot be read from byte `offset` on; `cut`: because it ends there."""

    def __init__(self, offset: int, *, cut: bool) -> None:
        self.offset = offset
        self.words = f"ends at byte {offset}, inside of a record" if cut else f"is no JSON from byte {offset} on"
        super().__init__(self.words)


class Item(NamedTuple):
    """An entry of an array (`name` is None) or of an object: its value, its text, and the bytes from which to which."""

    name: str | None
    value: Any
    raw: str
    begin: int
    end: int

    @property
    def encoded(self) -> bytes:
        """Its text as it stands in the file."""
        return self.raw.encode(errors="surrogateescape")


class Reader:
    """A JSON file, from a byte on that is outside of any string."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self._file = path.open("rb")
        self.seek(offset)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def seek(self, offset: int) -> None:
        """Go on at another byte."""
        self._file.seek(offset)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
        self._buffer, self._at, self.offset = "", 0, offset
        if offset == 0 and self._peek() == "\ufeff":
            self._at, self.offset = 1, 3

    def here(self) -> int:
        """The byte where the next thing begins that is no space."""
        self._peek()
        return self.offset

    def open(self) -> str:
        """Step into an object or array; its closing character, or "" where there is something else."""
        closing = _CLOSING.get(self._peek(), "")
        if closing:
            self._step()
        return closing

    def items(self, closing: str, *, first: bool = True) -> Iterator[Item]:
        """What is in the object or array that was opened; `first`: nothing of it was read yet.

        Whoever has other ways to get behind a value may `seek` there between two of them.
        """
        while self.more(closing, first=first):
            first = False
            name = self.name() if closing == "}" else None
            yield self.value(name)

    def more(self, closing: str, *, first: bool) -> bool:
        """Whether there is another entry; steps over what is in between, or over the end."""
        if not first and (match := _comma(self._buffer, self._at)) and match.end() < len(self._buffer):
            self.offset += match.end() - self._at
            self._at = match.end()
            return True
        found = self._peek()
        if found == closing:
            self._step()
            return False
        if not first:
            self._expect(",")
        return True

    def name(self) -> str:
        """The name of an entry of an object."""
        self._peek()
        begin = self.offset
        name, _ = self._scanned()
        if not isinstance(name, str):
            raise Broken(begin, cut=False)
        self._peek()
        self._expect(":")
        return name

    def value(self, name: str | None = None) -> Item:
        """The next value, whole."""
        if self._buffer[self._at : self._at + 1] in _SPACES:
            self._peek()
        begin = self.offset
        value, raw = self._scanned()
        return Item(name, value, raw, begin, self.offset)

    def finish(self) -> None:
        """Broken if anything follows."""
        if self._peek():
            raise Broken(self.offset, cut=False)

    def rest(self, offset: int, limit: int) -> bytes:
        """What is there from a byte on, up to so many bytes."""
        self._file.seek(offset)
        return self._file.read(limit)

    def again(self, name: str | None, begin: int, end: int) -> Item:
        """A value that was read before, by its bytes. Whoever reads on has to `seek`."""
        raw = self.rest(begin, end - begin).decode(errors="surrogateescape")
        value, _ = _scan(raw, 0)
        return Item(name, value, raw, begin, end)

    def _peek(self) -> str:
        """The next character that is no space, "" at the end; what comes before it is stepped over."""
        while True:
            match = _space(self._buffer, self._at)
            assert match is not None
            self.offset += match.end() - self._at
            self._at = match.end()
            if self._at < len(self._buffer) or not self._refill():
                return self._buffer[self._at : self._at + 1]

    def _step(self) -> None:
        self._at += 1
        self.offset += 1

    def _expect(self, char: str) -> None:
        found = self._peek()
        if found != char:
            raise Broken(self.offset, cut=not found)
        self._step()

    def _scanned(self) -> tuple[Any, str]:
        """The value here and its text. One that ends with what is in memory may go on: 1 may become 1.5, or 1e+5."""
        while True:
            try:
                value, end = _scan(self._buffer, self._at)
            except (StopIteration, json.JSONDecodeError, RecursionError) as problem:
                if isinstance(problem, RecursionError) or len(self._buffer) - self._at > LONGEST:
                    raise Broken(self.offset, cut=False) from None
                if not self._refill():
                    cut = _ends(problem, self._buffer)
                    raise Broken(self._file.tell() if cut else self.offset, cut=cut) from None
                continue
            if end + 2 < len(self._buffer) or not self._refill():
                raw = self._buffer[self._at : end]
                self._at = end
                self.offset += len(raw) if raw.isascii() else len(raw.encode(errors="surrogateescape"))
                return value, raw

    def _refill(self) -> bool:
        """More of the file in memory; False at its end."""
        chunk = self._file.read(CHUNK)
        if chunk:
            self._buffer = self._buffer[self._at :] + self._decoder.decode(chunk)
            self._at = 0
        else:
            self._buffer += self._decoder.decode(b"", final=True)
        return bool(chunk)


def _scan(text: str, at: int) -> tuple[Any, int]:
    """The value that begins there, and where it ends."""
    try:
        found: tuple[Any, int] = _scan_short(text, at)
    except json.JSONDecodeError:
        raise
    except ValueError:
        found = _scan_long(text, at)
    return found


def _ends(problem: Exception, text: str) -> bool:
    """Whether a scanner has stopped for want of text."""
    if isinstance(problem, StopIteration):
        return problem.value is None or problem.value >= len(text.rstrip())
    assert isinstance(problem, json.JSONDecodeError)
    return problem.pos >= len(text.rstrip()) or problem.msg.startswith("Unterminated")
