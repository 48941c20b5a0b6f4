"""What of the archive was read and verified when, and what to verify next. Pure.

The ledger makes verification incremental. Stored objects never change, so that one whose size or time is no longer what
it was when it was verified has been tampered with: it comes first, before all that was never verified.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

FORMAT = 1
Verdict = Literal["good", "damaged", "foreign"]


@dataclass(frozen=True, order=True)
class Seen:
    """A stored object as a listing shows it: bytes, and microseconds since 1970 by the store's clock."""

    size: int
    modified: int


@dataclass(frozen=True)
class Entry:
    """What the verification of one object found, and when, in microseconds since 1970. `detail` says what is wrong."""

    seen: Seen
    verified: int
    verdict: Verdict = "good"
    detail: str = ""


def encode(entries: Mapping[str, Entry]) -> bytes:
    """Entries by the object's key below wal/, as they are stored."""
    return json.dumps({"format": FORMAT, "entries": {key: asdict(entry) for key, entry in entries.items()}}).encode()


def decode(plain: bytes) -> dict[str, Entry]:
    """ValueError where it is no ledger of ours."""
    try:
        document = json.loads(plain)
        if document["format"] != FORMAT:
            raise ValueError(f"has format {document['format']}; this version reads format {FORMAT}")
        return {
            key: Entry(Seen(**fields["seen"]), fields["verified"], fields["verdict"], fields["detail"])
            for key, fields in document["entries"].items()
        }
    except (KeyError, TypeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def merged(parts: Iterable[Mapping[str, Entry]]) -> dict[str, Entry]:
    """One ledger out of several: of each object what was found last."""
    found: dict[str, Entry] = {}
    for part in parts:
        for key, entry in part.items():
            if key not in found or found[key].verified <= entry.verified:
                found[key] = entry
    return found


def stands(entry: Entry | None, seen: Seen) -> bool:
    """Whether what was found still holds of the object as it is listed now."""
    return entry is not None and entry.seen == seen


def due(stored: Mapping[str, Seen], ledger: Mapping[str, Entry], budget: int | None) -> list[str]:
    """What to verify now, most urgent first, at most `budget` stored bytes of it; None for all.

    First what has changed since it was verified or was bad then, whatever it costs; then what never was verified, then
    the rest, longest ago first. One object is taken even where it is larger than the budget: no run stands still.
    """
    if budget == 0:
        return []
    chosen: list[str] = []
    spent = 0
    for key in sorted(stored, key=lambda key: _urgency(key, stored[key], ledger.get(key))):
        urgent = _urgency(key, stored[key], ledger.get(key))[0] == 0
        if not urgent and budget is not None and chosen and spent + stored[key].size > budget:
            break
        chosen.append(key)
        spent += stored[key].size
    return chosen


def stale(stored: Mapping[str, Seen], ledger: Mapping[str, Entry], before: int) -> list[str]:
    """What to read where everything is to be read every so often: all that has changed since it was verified, was bad
    then or never was verified, and what was verified `before` that moment last; most urgent first.
    """
    wanted = (key for key, seen in stored.items() if not _fresh(ledger.get(key), seen, before))
    return sorted(wanted, key=lambda key: _urgency(key, stored[key], ledger.get(key)))


def _fresh(entry: Entry | None, seen: Seen, before: int) -> bool:
    return entry is not None and entry.seen == seen and entry.verdict == "good" and entry.verified >= before


def _urgency(key: str, seen: Seen, entry: Entry | None) -> tuple[int, int, str]:
    if entry is None:
        return 1, 0, key
    if entry.seen != seen or entry.verdict != "good":
        return 0, 0, key
    return 2, entry.verified, key
