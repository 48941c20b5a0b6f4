"""Two catalogues of a database, compared. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

_WHOLE = ("table", "function")  # what other things are parts of
Verdict = Literal["missing", "unexpected", "different"]


@dataclass(frozen=True, order=True)
class Thing:
    """A table, a column, a grant … by kind and name."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


Catalogue: TypeAlias = dict[Thing, str]


@dataclass(frozen=True)
class Discrepancy:
    """Where a database is not what is declared; `declared` or `actual` is empty where there is none."""

    kind: str
    name: str
    verdict: Verdict
    declared: str
    actual: str


def compare(declared: Mapping[Thing, str], actual: Mapping[Thing, str]) -> list[Discrepancy]:
    """Every difference, by kind and name. What hangs on a missing or unexpected table goes without saying."""
    found = []
    for thing in sorted(declared.keys() | actual.keys()):
        left, right = declared.get(thing), actual.get(thing)
        if left != right:
            verdict: Verdict = "missing" if right is None else "unexpected" if left is None else "different"
            found.append(Discrepancy(thing.kind, thing.name, verdict, left or "", right or ""))
    wholes = [one for one in found if one.kind in _WHOLE]
    lone: set[tuple[str, Verdict]] = {(one.name, one.verdict) for one in wholes if one.verdict != "different"}
    return [one for one in found if one.kind in _WHOLE or not _hangs_on(one, lone)]


def _hangs_on(one: Discrepancy, whole: set[tuple[str, Verdict]]) -> bool:
    """Whether a thing is a part of another that is missing, or unexpected, itself."""
    return any(
        verdict == one.verdict
        and (
            one.name == name  # its view, its comment
            or one.name.startswith(f"{name}.")  # its columns, their comments
            or one.name.endswith(f" on {name}")  # its constraints, triggers, policies
            or f" on {name} to " in one.name  # its grants
            or f" on {name}." in one.name  # those of its columns
            or f" ON {name} " in one.declared + one.actual  # its indexes
        )
        for name, verdict in whole
    )
