"""How every benchmark reports: a table for people or, with `--json`, one object for programs."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from ops.cli.output import emit_json, table

OURS = "ops"


@dataclass(frozen=True)
class Result:
    """What one tool was measured to do, as often as it was measured."""

    tool: str
    metric: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)


def document(results: Sequence[Result]) -> dict[str, Any]:
    """The object that `--json` prints."""
    return {
        "results": [
            {
                "tool": result.tool,
                "metric": result.metric,
                "unit": result.unit,
                "values": list(result.values),
                "median": result.median,
            }
            for result in results
        ],
        "ratios": ratios(results),
        "machine": machine(),
    }


def ratios(results: Sequence[Result]) -> dict[str, float]:
    """Our median over each peer's, for the metric that comes first: the one that the benchmark is about."""
    first = [result for result in results if result.metric == results[0].metric]
    ours = next((result.median for result in first if result.tool == OURS), None)
    if ours is None:
        return {}
    return {f"{OURS}/{peer.tool}": ours / peer.median for peer in first if peer.tool != OURS and peer.median}


def machine() -> str:
    """What the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}"


def publish(results: Sequence[Result], *, as_json: bool) -> None:
    """Print what was measured."""
    found = document(results)
    if as_json:
        emit_json(found)
        return
    rows = [
        (result.metric, result.tool, f"{result.median:.2f}", f"{min(result.values):.2f}", f"{max(result.values):.2f}",
         len(result.values), result.unit)
        for result in results
    ]  # fmt: skip
    figures = ("median", "least", "most", "runs")
    click.echo(table(rows, ("metric", "tool", *figures, "unit"), right=figures))
    for pair, ratio in found["ratios"].items():
        click.echo(f"\n{pair}: {ratio:.2f}")
    click.echo(f"\nmeasured on {found['machine']}")
