"""What a collector declares and what it yields. A value that is not known is not yielded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Literal, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family

Source = TypeVar("Source")


@dataclass(frozen=True)
class Metric:
    """A family: its name with the base unit, what it says, and the names of its labels. Called, it makes a sample."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    type: Literal["gauge", "counter"] = "gauge"

    def __call__(self, value: float | datetime, *labels: str) -> Sample:
        """The value with its labels in the order of their names; a moment counts as Unix time, bool as 0 or 1."""
        assert len(labels) == len(self.labels), f"{self.name} has labels {self.labels}, not {labels}"
        return Sample(self, float(value.timestamp() if isinstance(value, datetime) else value), labels)


@dataclass(frozen=True)
class Sample:
    """A value of a metric; `labels` are values in the metric's order."""

    metric: Metric
    value: float
    labels: tuple[str, ...]


def gauge(name: str, text: str, *labels: str) -> Metric:
    """What may go up and down."""
    return Metric(name, text, labels)


def counter(name: str, text: str, *labels: str) -> Metric:
    """What only grows, until its source starts anew; its name ends in `_total`."""
    assert name.endswith("_total"), name
    return Metric(name, text, labels, "counter")


@dataclass(frozen=True)
class Collector(Generic[Source]):
    """Reads one thing. `read` yields samples of `metrics`; what it yields before it fails is true, and is told.

    `every`: seconds between two looks at a slow source, in the background; None: it is read at each scrape. `limit`:
    seconds that one run may take before it counts as stuck. `scope`: of the fleet's collectors, whether it is run for
    each `cluster`, for each `redis` group, or once.
    """

    name: str
    metrics: tuple[Metric, ...]
    read: Callable[[Source], Iterable[Sample]]
    every: float | None = None
    limit: float = 30.0
    scope: Literal["", "cluster", "redis"] = ""


def families(metrics: Iterable[Metric], samples: Iterable[Sample]) -> Iterator[Family]:
    """The samples by metric, in the order of `metrics`; a metric without a value is left out.

    Of two samples with the same labels the first counts: Prometheus would refuse the page.
    """
    found: dict[Metric, dict[tuple[str, ...], float]] = {}
    for sample in samples:
        found.setdefault(sample.metric, {}).setdefault(sample.labels, sample.value)
    for metric in metrics:
        if metric in found:
            make = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
            family = make(metric.name, metric.help, labels=metric.labels)
            for labels, value in found[metric].items():
                family.add_metric(labels, value)
            yield family
