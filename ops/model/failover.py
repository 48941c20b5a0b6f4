"""The report of a failover drill: what a fault cost the clients, and whether anything was lost. Pure.

`ops.failover` on the controller makes it, `ops.drill.records` on the hosts keeps and reads it. Times are seconds
after the fault, so that what came before it is negative.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from ops.model import journal
from ops.model.journal import Journals, Use

FORMAT = 1
PULSE = 0.25  # seconds that one figure of a pulse is about
HANG_LIMIT = 30.0  # a session with the settings of `ops connect` has noticed by then that nobody answers
SILENT = 3.0  # seconds without an acknowledgement at the very end: that route has not come back

Verdict = Literal["passed", "failed", "unknown"]


@dataclass(frozen=True)
class Redundancy:
    """How many replicas stream from the primary, and how many of them its commits can count on."""

    streaming: int
    synchronous: int

    def covers(self, other: Redundancy) -> bool:
        return self.streaming >= other.streaming and self.synchronous >= other.synchronous


@dataclass(frozen=True)
class Leadership:
    """Who leads, on which timeline, and who follows it."""

    leader: str
    timeline: int | None
    redundancy: Redundancy


@dataclass(frozen=True)
class Checked:
    """What `ops failover check` said before the drill. `forced`: it was not `ready`, and somebody wanted it anyway."""

    verdict: str
    reasons: tuple[str, ...] = ()
    forced: bool = False


@dataclass(frozen=True)
class Moments:
    """Seconds after the fault. None: it did not come, or (`repaired`) there was nothing to repair.

    `elected`: Patroni has a new leader; `written`: the first row that another server than before acknowledged.
    """

    began: float
    elected: float | None
    written: float | None
    repaired: float | None
    redundant: float | None
    ended: float


@dataclass(frozen=True)
class Experience:
    """What one client saw. `gap`: from when to when nothing of a steady client was acknowledged; None for the others,
    and where nothing ever was. `longest_wait`: seconds that its slowest statement took, whatever came of it.
    `pulse`: acknowledgements in each quarter of a second from `Moments.began`, of steady clients."""

    name: str
    route: str
    use: Use
    acknowledged: int
    refused: int
    gap: tuple[float, float] | None
    longest_wait: float
    errors: dict[str, int]
    pulse: tuple[int, ...] = ()

    @property
    def gap_seconds(self) -> float | None:
        return _seconds(self.gap) if self.gap else None


@dataclass(frozen=True)
class Rows:
    """The rows of all clients. None: it could not be read afterwards.

    `lost`: acknowledged, and not on the new primary; `lost_on_old`: the same on the old one, once it has followed;
    `strays`: on the old one and not on the new one. `late`: acknowledged by the old primary after the new one's first.
    """

    acknowledged: int
    lost: int | None
    lost_on_old: int | None
    strays: int | None
    late: int


@dataclass(frozen=True)
class Report:
    """All of one drill. `error`: what ended it before its time."""

    id: str
    cluster: str
    kind: str
    started_at: datetime
    finished_at: datetime
    check: Checked
    before: Leadership
    after: Leadership | None
    moments: Moments
    clients: tuple[Experience, ...]
    rows: Rows
    error: str = ""
    format: int = FORMAT
    verdict: Verdict = "unknown"
    reasons: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return self.verdict == "passed"

    def gap(self, route: str) -> float | None:
        """How long nothing of the steady client on a route was acknowledged; None where nothing ever was."""
        return next((seen.gap_seconds for seen in self.clients if (seen.route, seen.use) == (route, "steady")), None)

    @property
    def longest_hang(self) -> float:
        """The longest that a session from before the fault waited for an answer or an error, in seconds."""
        return max((seen.longest_wait for seen in self.clients if seen.use in ("held", "idle")), default=0.0)

    @property
    def errors(self) -> dict[str, int]:
        """Kind → how often, of all clients."""
        total: dict[str, int] = {}
        for seen in self.clients:
            for kind, count in seen.errors.items():
                total[kind] = total.get(kind, 0) + count
        return dict(sorted(total.items(), key=lambda item: -item[1]))


def experiences(journals: Journals, *, began: float, fault: float, ended: float) -> tuple[Experience, ...]:
    """What each client saw, with times counted from the fault."""
    return tuple(
        Experience(
            name=client.name,
            route=client.route,
            use=client.use,
            acknowledged=sum(entry.acknowledged for entry in entries),
            refused=sum(bool(entry.error) for entry in entries),
            gap=_after(journal.longest_gap(entries, ended), fault) if client.use == "steady" else None,
            longest_wait=round(journal.longest_wait(entries, ended), 3),
            errors=journal.errors(entries),
            pulse=journal.pulse(entries, began, ended, PULSE) if client.use == "steady" else (),
        )
        for client, entries in journals.items()
    )


def compared(
    journals: Journals, fault: float, new: frozenset[tuple[str, int]] | None, old: frozenset[tuple[str, int]] | None
) -> Rows:
    """Acknowledged rows against those that the new primary has, and the old one once it follows; None: unread."""
    promised = journal.rows(journals)
    return Rows(
        acknowledged=len(promised),
        lost=None if new is None else len(promised - new),
        lost_on_old=None if old is None else len(promised - old),
        strays=None if old is None or new is None else len(old - new),
        late=journal.late(journals, fault),
    )


def judge(report: Report) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict, and every reason for one that is not `passed`."""
    failed = [*_lost(report.rows), *_missing(report)]
    unknown = [report.error] if report.error else []
    if failed:
        return "failed", (*failed, *unknown)
    if report.rows.lost is None:
        unknown.append("the rows of the new primary could not be read")
    if report.rows.lost_on_old is None:
        unknown.append("the rows of the old primary could not be read")
    return ("unknown", tuple(unknown)) if unknown else ("passed", ())


def _lost(rows: Rows) -> list[str]:
    reasons = []
    if rows.lost:
        reasons.append(f"{rows.lost} of {rows.acknowledged} acknowledged rows are lost")
    if rows.late:
        reasons.append(f"the old primary acknowledged {rows.late} rows after the new one's first")
    if rows.lost_on_old:
        reasons.append(f"the old primary follows, and lacks {rows.lost_on_old} acknowledged rows")
    if rows.strays:
        reasons.append(f"the old primary follows, and has {rows.strays} rows that the new one has not")
    return reasons


def _missing(report: Report) -> list[str]:
    moments, reasons = report.moments, []
    if moments.elected is None:
        reasons.append("no other member came to lead")
    elif moments.written is None:
        reasons.append("the new primary acknowledged nothing to anybody")
    if moments.redundant is None:
        reasons.append("redundancy was not back in time")
    for seen in report.clients:
        silent = seen.gap is None or (seen.gap[1] >= moments.ended and _seconds(seen.gap) > SILENT)
        if seen.use == "steady" and silent:
            reasons.append(f"nothing comes through any more on the {seen.route} route")
    if report.longest_hang > HANG_LIMIT:
        reasons.append(f"a session from before the fault hung for {report.longest_hang:.0f} s")
    return reasons


def _seconds(gap: tuple[float, float]) -> float:
    return round(gap[1] - gap[0], 3)


def _after(gap: tuple[float, float] | None, fault: float) -> tuple[float, float] | None:
    return gap and (round(gap[0] - fault, 3), round(gap[1] - fault, 3))


# -- as a document ----------------------------------------------------------------------------------------------

_Part = TypeVar("_Part")


def as_dict(report: Report) -> dict[str, Any]:
    """Plain values for JSON. The sums that people ask for first stand beside what they come from."""
    document = asdict(report)
    for moment in ("started_at", "finished_at"):
        document[moment] = document[moment].astimezone(UTC).isoformat()
    for client in document["clients"]:
        client["pulse"] = " ".join(map(str, client["pulse"]))  # hundreds of figures: one line, not one each
    return document | {
        "write_gap": report.gap("write"),
        "read_gap": report.gap("read"),
        "direct_gap": report.gap("direct"),
        "longest_hang": report.longest_hang,
        "errors": report.errors,
    }


def from_dict(document: Mapping[str, Any]) -> Report:
    """What `as_dict` made, also of a later version that added to it; ValueError where it is nothing of the kind."""
    try:
        if document["format"] != FORMAT:
            raise ValueError(f"its format is {document['format']!r}, and this is format {FORMAT}")
        parts: dict[str, Any] = {
            "started_at": datetime.fromisoformat(document["started_at"]),
            "finished_at": datetime.fromisoformat(document["finished_at"]),
            "check": _part(Checked, document["check"], reasons=tuple(document["check"]["reasons"])),
            "before": _leadership(document["before"]),
            "after": document["after"] and _leadership(document["after"]),
            "moments": _part(Moments, document["moments"]),
            "clients": tuple(map(_experience, document["clients"])),
            "rows": _part(Rows, document["rows"]),
            "reasons": tuple(document["reasons"]),
        }
        return _part(Report, document, **parts)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not the report of a failover drill: {type(error).__name__}: {error}") from None


def _leadership(document: Mapping[str, Any]) -> Leadership:
    return _part(Leadership, document, redundancy=_part(Redundancy, document["redundancy"]))


def _experience(document: Mapping[str, Any]) -> Experience:
    return _part(
        Experience,
        document,
        gap=document["gap"] and tuple(document["gap"]),
        pulse=tuple(map(int, document["pulse"].split())),
    )


def _part(model: type[_Part], document: Mapping[str, Any], **instead: Any) -> _Part:
    known = {field.name for field in fields(model)}  # type: ignore[arg-type]
    return model(**{name: value for name, value in document.items() if name in known} | instead)
