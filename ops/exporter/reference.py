"""docs/metrics.md: what every metric says, in the collectors' own words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ops.exporter.collectors.of_fleet import FLEET_COLLECTORS
from ops.exporter.collectors.of_host import HOST_COLLECTORS
from ops.exporter.metric import Collector, Metric
from ops.exporter.scrape import Kind, own_metrics

_INTRODUCTION = """\
# Metrics

What `ops exporter` tells, in base units. `ops exporter metrics` writes this from what the collectors say of
themselves; a test keeps the two equal. A value that is not known is absent, never 0, and so is one that is too old to
be true.

Sizes and counters of PostgreSQL, Redis and the hosts themselves come from the stock exporters, and stand nowhere here.
"""


def markdown() -> str:
    """The whole document."""
    return "\n".join(
        [
            _INTRODUCTION,
            *_section("On each database host: `ops exporter host`", "host", HOST_COLLECTORS),
            *_section("On a monitoring host: `ops exporter fleet`", "fleet", FLEET_COLLECTORS),
        ]
    )


def _section(title: str, kind: Kind, collectors: Iterable[Collector[Any]]) -> list[str]:
    lines = [f"## {title}", ""]
    for collector in collectors:
        lines += [f"### {collector.name}", "", _when(collector), "", *_table(collector.metrics), ""]
    return [*lines, "### The exporter itself", "", *_table(own_metrics(kind)), ""]


def _when(collector: Collector[Any]) -> str:
    whose = {"": "", "cluster": ", for each cluster by itself", "redis": ", for each group by itself"}[collector.scope]
    return f"Read every {collector.every:g} s{whose}." if collector.every else f"Read at each scrape{whose}."


def _table(metrics: Iterable[Metric]) -> list[str]:
    rows = [f"| `{metric.name}` | {metric.type} | {_labels(metric)} | {metric.help} |" for metric in metrics]
    return ["| metric | type | labels | |", "|---|---|---|---|", *rows]


def _labels(metric: Metric) -> str:
    return ", ".join(metric.labels)
