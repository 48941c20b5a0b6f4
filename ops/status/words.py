"""Figures and moments as a person reads them on the status page and in a terminal."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = ((86400 * 2, 86400, "d"), (3600 * 2, 3600, "h"), (120, 60, "min"))


def size(count: float | None) -> str:
    """Bytes in binary units: 23.4 MiB."""
    if count is None:
        return "?"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def duration(seconds: float | None) -> str:
    """A span in its largest unit that leaves two digits: 0.42 s, 5.3 s, 12 s, 3 min, 26 h, 12 d."""
    if seconds is None:
        return "?"
    if abs(seconds) < 10:
        return "0 s" if seconds == 0 else f"{seconds:.{1 if abs(seconds) >= 1 else 2}f} s"
    for least, unit, name in _UNITS:
        if abs(seconds) >= least:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"


def span(start: datetime, end: datetime) -> str:
    """How long from one moment to another."""
    return duration(max(0.0, (end - start).total_seconds()))


def clock(moment: datetime | None) -> str:
    """A moment to the second, in UTC: 2026-11-22 02:14:33. Empty for none."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if moment else ""


def short_clock(moment: datetime, now: datetime) -> str:
    """A moment as briefly as `now` allows: 02:14:33 today, 21 Nov 23:59 this year, else the day with its year."""
    moment, now = moment.astimezone(UTC), now.astimezone(UTC)
    if moment.date() == now.date():
        return f"{moment:%H:%M:%S}"
    return f"{moment.day} {moment:%b %H:%M}" if moment.year == now.year else f"{moment.day} {moment:%b %Y}"


def counted(number: int, what: str, many: str | None = None) -> str:
    """1 backup, 2 backups."""
    return f"{number} {what if number == 1 else many or what + 's'}"
