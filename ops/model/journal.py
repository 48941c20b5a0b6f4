"""What clients of a cluster were told while somebody broke it, and what follows from that. Pure.

A client sends one statement after the other and notes for each when it was sent, when and by which server it was
acknowledged, or how it was refused. `ops.failover.clients` are such clients. Times are seconds of one monotonic clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

# steady: a new connection after every failure. held: one connection, opened before the fault, used until it fails.
# idle: the same, but nothing is asked before somebody new leads. inside: on the host of the old primary, beside it.
Use = Literal["steady", "held", "idle", "inside"]

# What libpq says where no server has given an SQLSTATE, and what we call that: the first that is found counts.
_KINDS = (
    ("is read-only", "no primary"),
    ("timeout expired", "connect timeout"),
    ("connection timeout", "connect timeout"),
    ("timed out", "connection timed out"),
    ("refused", "connection refused"),
    ("starting up", "starting up"),
    ("shutting down", "shutting down"),
    ("not yet accepting", "starting up"),
    ("No route to host", "no route to host"),
    ("unreachable", "no route to host"),
    ("reset by peer", "connection reset"),
    ("closed", "connection closed"),
    ("EOF", "connection closed"),
    ("lost", "connection closed"),
    ("Broken pipe", "connection closed"),
)


@dataclass(frozen=True)
class Client:
    """One connection to the cluster, or one after the other. `route`: write, read or direct."""

    name: str
    route: str
    use: Use
    writes: bool = True


@dataclass(frozen=True)
class Entry:
    """A statement. `number`: of the row or question, from 1; 0 is an attempt to connect that came to nothing.

    `done` None: no answer had come when the client was ended. `server`: who acknowledged it, as its address and the
    moment when its postmaster was started; empty where nobody did. `error`: an SQLSTATE, or a kind in words.
    """

    number: int
    sent: float
    done: float | None
    server: str = ""
    error: str = ""

    @property
    def acknowledged(self) -> bool:
        return bool(self.server)


Journals = Mapping[Client, Sequence[Entry]]


def kind(sqlstate: str | None, words: str) -> str:
    """What to count an error as: its SQLSTATE, or libpq's words for it without what differs each time."""
    return sqlstate or next((name for part, name in _KINDS if part.lower() in words.lower()), "other")


def longest_gap(entries: Iterable[Entry], end: float) -> tuple[float, float] | None:
    """From which acknowledgement to which nothing was acknowledged for longest, or to `end`; None where nothing was."""
    moments = sorted(entry.done for entry in entries if entry.acknowledged and entry.done is not None)
    if not moments:
        return None
    return max(pairwise([*moments, max(end, moments[-1])]), key=lambda gap: gap[1] - gap[0])


def longest_wait(entries: Iterable[Entry], end: float) -> float:
    """How long the slowest statement was waited for, whatever came of it; to `end` where nothing did."""
    return max(((end if entry.done is None else entry.done) - entry.sent for entry in entries), default=0.0)


def errors(entries: Iterable[Entry]) -> dict[str, int]:
    """Kind → how often, the most frequent first."""
    return dict(Counter(entry.error for entry in entries if entry.error).most_common())


def rows(journals: Journals) -> frozenset[tuple[str, int]]:
    """Every row that was acknowledged to anybody: client and number."""
    return frozenset(
        (client.name, entry.number)
        for client, entries in journals.items()
        for entry in entries
        if client.writes and entry.acknowledged
    )


def successor(journals: Journals, fault: float) -> float | None:
    """When a server first acknowledged a row that had acknowledged none before the fault; None where none has."""
    old = _before(journals, fault)
    return min((entry.done or 0.0 for entry in _written(journals) if entry.server not in old), default=None)


def late(journals: Journals, fault: float) -> int:
    """Rows that a server from before the fault acknowledged after another one had begun to: two primaries."""
    first, old = successor(journals, fault), _before(journals, fault)
    if first is None:
        return 0
    return sum((entry.done or 0.0) > first for entry in _written(journals) if entry.server in old)


def pulse(entries: Iterable[Entry], start: float, end: float, width: float = 0.25) -> tuple[int, ...]:
    """How many statements were acknowledged in each `width` seconds from `start` to `end`."""
    found = Counter(
        int((entry.done - start) / width)
        for entry in entries
        if entry.acknowledged and entry.done is not None and start <= entry.done < end
    )
    return tuple(found[i] for i in range(int((end - start) / width) + 1))


def _before(journals: Journals, fault: float) -> frozenset[str]:
    return frozenset(entry.server for entry in _written(journals) if entry.done is not None and entry.done <= fault)


def _written(journals: Journals) -> list[Entry]:
    return [entry for client, entries in journals.items() for entry in entries if client.writes and entry.acknowledged]
