"""What the requirements want of the application's database under load, and whether it was measured to do so. Pure.

Five classes of queries, each with a time that it has to stay below. The requirements name no share of requests that may
take longer, so a class is judged by its 99th percentile, and by that of each of its questions.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class QueryClass:
    """A class of queries: the milliseconds that it has to stay below, and how often a round asks each question."""

    name: str
    target: float
    repeats: int


CLASSES = (
    QueryClass("simple", 50, 10),
    QueryClass("complex", 500, 2),
    QueryClass("bulk", 5000, 1),
    QueryClass("live", 100, 10),
    QueryClass("search", 200, 5),
)


@dataclass(frozen=True)
class Scale:
    """How much there is of everything. `users` and `transactions` are given, the rest follows from them."""

    users: int = 10_000
    transactions: int = 1_000_000

    @property
    def assets(self) -> int:
        return max(8, self.users // 20)

    @property
    def applications(self) -> int:
        return self.users * 9 // 10

    @property
    def investments(self) -> int:
        return self.transactions // 5

    @property
    def blocks(self) -> int:
        return self.transactions // 5

    @property
    def admins(self) -> int:
        return 50

    @property
    def room(self) -> int:
        """Bytes of disk that the scratch database takes with its WAL, rather too many."""
        return 200 * 2**20 + self.users * 20_000 + self.transactions * 7_000

    @property
    def file_room(self) -> int:
        """Bytes that the JSON files take, each with a changed copy of it."""
        return self.users * 5_000 + self.transactions * 2_600


def percentile(samples: Collection[float], share: float) -> float:
    """The smallest sample that `share` (above 0, at most 1) of all are not above: always one that was measured."""
    if not samples or not 0 < share <= 1:
        raise ValueError("a percentile takes samples, and a share above 0 and at most 1")
    # A product such as 0.07 * 100 is a little too much; whole ranks must not be rounded up by that.
    return sorted(samples)[math.ceil(round(share * len(samples), 9)) - 1]


@dataclass(frozen=True)
class Spread:
    """How many samples there were, and their percentiles; the unit is that of the samples."""

    n: int
    p50: float
    p95: float
    p99: float


def spread(samples: Collection[float]) -> Spread:
    """The percentiles of samples; ValueError for none."""
    return Spread(len(samples), *(percentile(samples, share) for share in (0.5, 0.95, 0.99)))


@dataclass(frozen=True)
class Measured:
    """One question: each answer's milliseconds, from the database and from the JSON files. Empty: not asked of them.

    `parsed`: the files are read and parsed for each request. `cached`: they lie parsed in memory.
    """

    question: str
    query_class: str
    role: str
    samples: Sequence[float]
    parsed: Sequence[float] = field(default=())
    cached: Sequence[float] = field(default=())


@dataclass(frozen=True)
class Row:
    """A line of the load table; times in milliseconds. A factor: how many times as long the files take, by medians."""

    query_class: str
    question: str
    role: str
    target: float
    n: int
    p50: float
    p95: float
    p99: float
    parsed: float | None
    cached: float | None
    factor_parsed: float | None
    factor_cached: float | None
    met: bool


@dataclass(frozen=True)
class ClassRow:
    """A class as a whole: all samples of its questions together. It is met if each of its questions is."""

    query_class: str
    questions: int
    target: float
    n: int
    p50: float
    p95: float
    p99: float
    missed: tuple[str, ...]
    met: bool


def targets(given: Mapping[str, float]) -> dict[str, float]:
    """Milliseconds by class: the requirements', where `given` has no other."""
    return {one.name: given.get(one.name, one.target) for one in CLASSES}


def rows(measured: Iterable[Measured], limits: Mapping[str, float]) -> list[Row]:
    """The lines of the table, by class in the requirements' order, and within it in the order of the questions."""
    order = [one.name for one in CLASSES]
    return [_row(one, limits[one.query_class]) for one in sorted(measured, key=lambda m: order.index(m.query_class))]


def _row(one: Measured, target: float) -> Row:
    seen = spread(one.samples)
    parsed = percentile(one.parsed, 0.5) if one.parsed else None
    cached = percentile(one.cached, 0.5) if one.cached else None
    return Row(
        one.query_class,
        one.question,
        one.role,
        target,
        seen.n,
        seen.p50,
        seen.p95,
        seen.p99,
        parsed,
        cached,
        parsed / seen.p50 if parsed is not None and seen.p50 else None,
        cached / seen.p50 if cached is not None and seen.p50 else None,
        met=seen.p99 < target,
    )


def summary(measured: Collection[Measured], found: Collection[Row]) -> list[ClassRow]:
    """Each class that was asked, in the requirements' order."""
    lines = []
    for one in CLASSES:
        samples = [sample for m in measured if m.query_class == one.name for sample in m.samples]
        own = [row for row in found if row.query_class == one.name]
        if samples:
            seen = spread(samples)
            missed = tuple(row.question for row in own if not row.met)
            lines.append(
                ClassRow(one.name, len(own), own[0].target, seen.n, seen.p50, seen.p95, seen.p99, missed, not missed)
            )
    return lines
