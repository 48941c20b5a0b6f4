"""The recovery window as a picture: where on a line each moment lies. Pure; the page and the terminal draw it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ops.status.document import Backup, Gap, Recovery, RestoreDrill

_MARGIN = 0.02  # of the window, on both sides
_TICKS = 7  # at most
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_STEPS = (
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 5, 7, 14, 30, 90, 180, 365, 730, 1825)),
)


@dataclass(frozen=True)
class Stretch:
    """From one place to another; `title` says what it is."""

    start: float
    end: float
    title: str


@dataclass(frozen=True)
class Mark:
    """A place; `good` is False for a drill that failed."""

    at: float
    title: str
    good: bool = True


@dataclass(frozen=True)
class Tick:
    """A place of the axis with its moment in short. Every other one is `minor`: it goes where there is little room."""

    at: float
    label: str
    minor: bool


@dataclass(frozen=True)
class Timeline:
    """Places are from 0 to 100, from the left to the right."""

    covered: Stretch
    lost: tuple[Stretch, ...]
    backups: tuple[Mark, ...]
    targets: tuple[Mark, ...]
    ticks: tuple[Tick, ...]
    now: float
    words: str


class _Axis:
    def __init__(self, start: datetime, end: datetime) -> None:
        length = max(end - start, _MINUTE)
        self.start, self.end = start - _MARGIN * length, start + (1 + _MARGIN) * length

    def at(self, moment: datetime) -> float:
        return round(min(100.0, max(0.0, 100 * (moment - self.start) / (self.end - self.start))), 3)

    def holds(self, moment: datetime) -> bool:
        return self.start <= moment <= self.end

    def ticks(self) -> tuple[Tick, ...]:
        length = self.end - self.start
        step = next((step for step in _STEPS if length / step <= _TICKS), _STEPS[-1])
        midnight = self.start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        if step > _DAY:  # whole weeks and months are counted from one origin, so that the ticks stay where they are
            midnight -= timedelta(days=midnight.toordinal() % step.days)
        moments = (midnight + number * step for number in range(-(-(self.start - midnight) // step), 10_000))
        found = []
        for number, moment in enumerate(moments):
            if moment >= self.end:
                break
            at = self.at(moment)
            if 3 < at < 97:  # the words of one at the very edge would be cut
                found.append(Tick(at, _label(moment, step), number % 2 == 1))
        return tuple(found)


def _label(moment: datetime, step: timedelta) -> str:
    if step >= timedelta(days=90):
        return f"{moment:%b %Y}"
    if step >= _DAY or (moment.hour, moment.minute) == (0, 0):
        return f"{moment.day} {moment:%b}"
    return f"{moment:%H:%M}"


def timeline(
    recovery: Recovery, backups: Iterable[Backup], drills: Iterable[RestoreDrill], now: datetime
) -> Timeline | None:
    """The window up to `now`, with what lies in it; None where there is nothing to recover."""
    if recovery.start is None or recovery.end is None:
        return None
    axis = _Axis(recovery.start, max(now, recovery.end))
    inside = [backup for backup in backups if axis.holds(backup.stopped_at)]
    targets = [(drill, drill.target) for drill in drills if drill.target and axis.holds(drill.target)]
    return Timeline(
        covered=Stretch(axis.at(recovery.start), axis.at(recovery.end), _covered(recovery.start, recovery.end)),
        lost=tuple(_lost(gap, axis, recovery.start, now) for gap in recovery.gaps),
        backups=tuple(Mark(axis.at(one.stopped_at), f"backup {one.id} of {one.host}") for one in inside),
        targets=tuple(
            Mark(axis.at(target), f"drill to {_moment(target)}: {'proven' if one.proven else one.why}", one.proven)
            for one, target in targets
        ),
        ticks=axis.ticks(),
        now=axis.at(now),
        words=_words(recovery, len(inside), [one.proven for one, _ in targets], now),
    )


def _lost(gap: Gap, axis: _Axis, start: datetime, now: datetime) -> Stretch:
    until = gap.until or now
    names = gap.first if gap.first == gap.last else f"{gap.first} to {gap.last}"
    return Stretch(axis.at(gap.since or start), axis.at(until), f"{gap.cause}: {names}")


def _covered(start: datetime, end: datetime) -> str:
    return f"recoverable from {_moment(start)} to {_moment(end)}"


def _words(recovery: Recovery, backups: int, drills: list[bool], now: datetime) -> str:
    """The picture for who does not see it."""
    assert recovery.start is not None
    assert recovery.end is not None
    gaps = f"{len(recovery.gaps)} gaps" if recovery.gaps else "no gap"
    proven = f"{sum(drills)} of {len(drills)} drills into it proven"
    return f"{_covered(recovery.start, recovery.end)}; now {_moment(now)}; {backups} backups; {gaps}; {proven}"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def drawn(line: Timeline, width: int, *, plain: bool = False) -> str:
    """One line of text, `width` characters: `=` recoverable, `B` a backup, `o` a target that was proven, `x` one that
    was not, or a gap.

    Not `plain`: with the signs that a terminal with Unicode has for them.
    """
    covered, backup, proven, lost = "=Box" if plain else "━┃◆✗"

    def place(at: float) -> int:
        return min(width - 1, int(at * width / 100))

    cells = [" "] * width

    def fill(stretch: Stretch, sign: str) -> None:
        for cell in range(place(stretch.start), place(stretch.end) + 1):
            cells[cell] = sign

    fill(line.covered, covered)
    for mark in line.backups:
        cells[place(mark.at)] = backup
    for stretch in line.lost:
        fill(stretch, lost)
    for mark in line.targets:
        cells[place(mark.at)] = proven if mark.good else lost
    for stretch in line.lost:  # whatever else is there: that there is a gap is seen
        cells[place(stretch.start)] = lost
    return "".join(cells).rstrip()
