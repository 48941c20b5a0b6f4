"""How `ops` speaks: tables, steps with their duration, errors, JSON. Results go to stdout, the rest to stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any

import click

from ops.errors import OpsError


def print_error(error: OpsError, *, as_json: bool = False) -> None:
    """An error as PostgreSQL writes it: ERROR, DETAIL, HINT. With `--json` one object on stdout as well."""
    if as_json:
        emit_json(error.as_dict())
    click.echo(click.style("ERROR:  ", fg="red", bold=True) + error.message, err=True)
    for label, text in (("DETAIL:  ", error.detail), ("HINT:  ", error.hint)):
        if text:
            first, *rest = text.splitlines()
            click.echo(click.style(label, bold=True) + first, err=True)
            for line in rest:
                click.echo(" " * len(label) + line, err=True)


def emit_json(value: Any) -> None:
    """One JSON document on stdout; times as ISO 8601 in UTC."""
    click.echo(json.dumps(value, indent=2, default=_plain))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return timestamp(value)
    return str(value)


def table(rows: Sequence[Sequence[object]], headers: Sequence[str], *, right: Sequence[str] = ()) -> str:
    """Rows as aligned columns, two spaces apart. `right` names the headers whose columns hold figures."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(headers), *cells]) for i in range(len(headers))]

    def line(values: Sequence[str]) -> str:
        padded = (
            value.rjust(width) if header in right else value.ljust(width)
            for value, width, header in zip(values, widths, headers, strict=True)
        )
        return "  ".join(padded).rstrip()

    return "\n".join([line(headers), line(["-" * width for width in widths]), *map(line, cells)])


def pairs(items: Sequence[tuple[str, object]], *, indent: int = 0) -> str:
    """Label and value a line, values aligned."""
    width = max((len(label) for label, _ in items), default=0)
    return "\n".join(f"{' ' * indent}{label.ljust(width)}  {value}".rstrip() for label, value in items)


def size(count: float) -> str:
    """Bytes for people, in binary units: 23.4 MiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("the loop above always returns")


def seconds(value: float) -> str:
    """A duration for people: 0.42 s, 12.3 s, 3 min 05 s, 2 h 10 min."""
    if value < 1:
        return f"{value:.2f} s"
    if value < 60:
        return f"{value:.1f} s"
    if value < 3600:
        return f"{int(value // 60)} min {int(value % 60):02d} s"
    return f"{int(value // 3600)} h {int(value % 3600 // 60):02d} min"


def timestamp(value: datetime) -> str:
    """A moment in UTC to the microsecond where it has one: 2026-11-21 10:53:00.123456Z."""
    utc = value.astimezone(UTC).replace(tzinfo=None)
    return f"{utc.isoformat(sep=' ')}Z"


class Steps:
    """Progress of a long command: each step is named when it starts and timed when it ends.

    On a terminal the running step is shown and then overwritten; in a log only finished steps appear.
    `note` shows how far the running step is.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty()
        self._current = ""

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        start = time.monotonic()
        self._current = title
        self.note("")
        try:
            yield
        except BaseException:
            self._finish("failed", title, time.monotonic() - start, "red")
            raise
        self._finish("ok", title, time.monotonic() - start, "green")

    def note(self, text: str) -> None:
        """How far the running step is; terminals only."""
        if self._live and not self._quiet:
            click.echo(f"\r\033[K  ..      {self._current}  {text}", nl=False, err=True)

    def say(self, text: str) -> None:
        """A line of its own between steps."""
        if not self._quiet:
            clear = "\r\033[K" if self._live else ""
            click.echo(f"{clear}{text}", err=True)

    def _finish(self, word: str, title: str, duration: float, colour: str) -> None:
        if not self._quiet:
            clear = "\r\033[K" if self._live else ""
            click.echo(f"{clear}  {click.style(word.ljust(6), fg=colour)}  {title}  ({seconds(duration)})", err=True)


class Shown:
    """Stages as steps, progress with rate and time left."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._start = self._shown = time.monotonic()

    def stage(self, title: str) -> AbstractContextManager[None]:
        self._start = time.monotonic()
        return self._steps.step(title)

    def say(self, text: str) -> None:
        self._steps.say(f"  {text}")

    def progress(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._shown < 0.2 or not done:
            return
        self._shown = now
        rate = done / (now - self._start)
        left = seconds(max(0, total - done) / rate)
        self._steps.note(f"{size(done)} of {size(total)}, {size(rate)}/s, {left} left")
