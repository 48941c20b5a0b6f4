"""The alert rules, their cases and their runbooks, read from their files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
RULES = CHECKOUT / "templates/prometheus/rules"
CASES = CHECKOUT / "tests/alerts"
RUNBOOKS = CHECKOUT / "docs/runbooks"

# Strings, ranges and names are tokens of their own, so that no digit of theirs is taken for a number.
_TOKEN = re.compile(r'"[^"]*"|\[[^\]]*\]|[A-Za-z_:][\w:]*|\d+(?:\.\d+)?')
_OURS_OR_STOCK = re.compile(r"(?:ops|pg|redis|node|haproxy|etcd|prometheus|alertmanager)_\w+|up")


@dataclass(frozen=True)
class Rule:
    """An alert: its theme is the file that it is in."""

    theme: str
    name: str
    expr: str
    wait: str | None
    labels: dict[str, str]
    annotations: dict[str, str]

    def __str__(self) -> str:
        return f"{self.name} ({self.labels['severity']})"


@cache
def theme(name: str) -> dict[str, Any]:
    """A file of rules, as Prometheus reads it."""
    document = yaml.safe_load((RULES / f"{name}.yml").read_text())
    assert isinstance(document, dict)
    return document


def themes() -> list[str]:
    return sorted(path.stem for path in RULES.glob("*.yml"))


def alerts() -> list[Rule]:
    """Every alert of every theme."""
    return [rule for name in themes() for rule in _alerts_of(name)]


def _alerts_of(name: str) -> Iterator[Rule]:
    for group in theme(name)["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                labels, annotations = rule["labels"], rule["annotations"]
                yield Rule(name, rule["alert"], rule["expr"], rule.get("for"), labels, annotations)


def expressions() -> list[str]:
    """Every expression, of alerts and of recordings."""
    return [rule["expr"] for name in themes() for group in theme(name)["groups"] for rule in group["rules"]]


def metrics(expr: str) -> set[str]:
    """The names of metrics in an expression that an exporter tells: recorded ones have colons."""
    return {token for token in _TOKEN.findall(expr) if _OURS_OR_STOCK.fullmatch(token)}


@cache
def cases(name: str) -> dict[str, Any]:
    """The file of promtool's cases for a theme."""
    document = yaml.safe_load((CASES / f"{name}.test.yml").read_text())
    assert isinstance(document, dict)
    return document


def mutants(rule: Rule) -> Iterator[tuple[str, dict[str, str]]]:
    """What changes when a threshold or the time to wait does: what was changed, and the keys of the rule that differ.

    A small whole number is one more and one less; another one a fifth more and less; a time half as long again, and
    half. An alert that fires at once waits for a minute. `vector(1)` has no threshold.
    """
    for found in _TOKEN.finditer(rule.expr):
        if found[0][0].isdigit() and rule.expr != "vector(1)":
            for other in _others(found[0]):
                expr = f"{rule.expr[: found.start()]}({other}){rule.expr[found.end() :]}"
                yield f"{found[0]} → {other}", {"expr": expr}
    if rule.wait is None:
        yield "no wait → 1m", {"for": "1m"}
    else:
        seconds = duration(rule.wait)
        for wait in (f"{seconds // 2}s", f"{seconds * 3 // 2}s"):
            yield f"for {rule.wait} → {wait}", {"for": wait}


def _others(number: str) -> tuple[str, str]:
    value = float(number)
    if value.is_integer() and value < 10:
        return f"{value + 1:g}", f"{value - 1:g}"
    return f"{value * 1.2:.10g}", f"{value * 0.8:.10g}"


def duration(text: str) -> int:
    """Seconds of a duration as Prometheus writes it: 1h30m."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([smhd])", text))
