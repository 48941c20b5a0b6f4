"""The report of a failover drill as a page: one file, nothing fetched from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from ops.model.failover import PULSE, Experience, Report

WIDTH, LANE = 1000, 44  # of the drawing, in its own units
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120)  # seconds between two marks of the axis


@dataclass(frozen=True)
class Bar:
    """Acknowledgements in a quarter of a second: where it stands, and how high it is (0 to 1)."""

    x: float
    height: float


@dataclass(frozen=True)
class Lane:
    """A route. `gap`: left edge, width and seconds of the time in which nothing was acknowledged."""

    route: str
    bars: tuple[Bar, ...]
    gap: tuple[float, float, float] | None


@dataclass(frozen=True)
class Mark:
    """A moment that everything else is about."""

    x: float
    seconds: float
    name: str


@dataclass(frozen=True)
class Drawing:
    """The timeline of a drill, in units of the drawing."""

    lanes: tuple[Lane, ...]
    marks: tuple[Mark, ...]
    axis: tuple[tuple[float, int], ...]
    bar: float  # width


def html(report: Report) -> str:
    """The page."""
    environment = Environment(
        loader=PackageLoader("ops.failover", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.j2")
    return page.render(report=report, drawing=draw(report), width=WIDTH, lane=LANE)


def draw(report: Report) -> Drawing:
    """Where everything stands on a line from the first second to the last."""
    moments = report.moments
    length = max(moments.ended - moments.began, 1.0)

    def at(moment: float) -> float:
        return round((moment - moments.began) * WIDTH / length, 1)

    named = (
        ("fault", 0.0),
        ("new primary", moments.written),
        ("repair", moments.repaired),
        ("redundancy back", moments.redundant),
    )
    step = next((step for step in _STEPS if length / step <= 12), _STEPS[-1])
    first = -int(-moments.began // step) * step
    return Drawing(
        lanes=tuple(_lane(seen, at, moments.began) for seen in report.clients if seen.use == "steady"),
        marks=tuple(Mark(at(moment), moment, name) for name, moment in named if moment is not None),
        axis=tuple((at(second), second) for second in range(first, int(moments.ended) + 1, step)),
        bar=round(PULSE * WIDTH / length * 0.8, 2),
    )


def _lane(seen: Experience, at: Callable[[float], float], began: float) -> Lane:
    most = max(seen.pulse, default=0)
    bars = tuple(Bar(at(began + i * PULSE), count / most) for i, count in enumerate(seen.pulse) if count)
    gap = seen.gap and (at(seen.gap[0]), round(at(seen.gap[1]) - at(seen.gap[0]), 1), seen.gap[1] - seen.gap[0])
    return Lane(seen.route, bars, gap)
