"""How findings speak of bytes, times and lists."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta


def size(count: float) -> str:
    """Bytes for people: 23.4 MiB."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} bytes" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def age(span: timedelta | float) -> str:
    """A span of time (or seconds) in the two units that matter: 42 s, 12 min, 3 h 05 min, 9 days."""
    seconds = span.total_seconds() if isinstance(span, timedelta) else span
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"
    return f"{seconds / 86400:.0f} days"


def names(found: Iterable[str]) -> str:
    """cp1, cp2 and cp3; `nobody` for none."""
    *first, last = list(found) or ["nobody"]
    return f"{', '.join(first)} and {last}" if first else last
