"""Totals of statements that only grow. Pure.

pg_stat_statements forgets statements that are rare when it is full, and a sum over what it still knows would shrink:
Prometheus takes that for a restart and counts everything again. So each statement's growth is added up instead.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

# (database, role): whose statements they were.
Owner = tuple[str, str]

_SLOW = 1.0  # seconds that a statement takes on average for its calls to count as slow


@dataclass(frozen=True)
class Counts:
    """What a statement has cost since it became known, or all of an owner's ever: calls, seconds, rows."""

    calls: float = 0.0
    seconds: float = 0.0
    rows: float = 0.0
    slow: float = 0.0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.calls + other.calls, self.seconds + other.seconds, self.rows + other.rows, self.slow + other.slow
        )

    def since(self, earlier: Counts | None) -> Counts:
        """The growth, with those calls as slow that took more than a second on average."""
        # It is new, or was forgotten meanwhile and came back.
        if earlier is None or self.calls < earlier.calls or self.seconds < earlier.seconds or self.rows < earlier.rows:
            earlier = Counts()
        calls, seconds = self.calls - earlier.calls, self.seconds - earlier.seconds
        return Counts(calls, seconds, self.rows - earlier.rows, calls if seconds > calls * _SLOW else 0.0)


@dataclass
class Totals:
    """Sums by owner over every look; each look is what pg_stat_statements knows then, by statement."""

    sums: dict[Owner, Counts] = field(default_factory=dict)
    _known: Mapping[tuple[Owner, Hashable], Counts] = field(default_factory=dict)

    def look(self, found: Mapping[tuple[Owner, Hashable], Counts]) -> None:
        """Add what has grown since the last look."""
        for key, counts in found.items():
            owner, _ = key
            self.sums[owner] = self.sums.get(owner, Counts()) + counts.since(self._known.get(key))
        self._known = found
