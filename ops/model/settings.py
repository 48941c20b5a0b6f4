"""PostgreSQL's settings: how a value is written, whether two spellings mean the same, and what changing one costs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ops.model.impact import Impact

_MEMORY = {"B": 1, "kB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
_TIME = {"us": 0.001, "ms": 1.0, "s": 1000.0, "min": 60_000.0, "h": 3_600_000.0, "d": 86_400_000.0}
_NUMBER = re.compile(r"\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*([A-Za-z]*)\s*")
_SWITCHES = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}

# A standby refuses to run with less than its primary has: lowering one of these begins on the primary.
NOT_BELOW_THE_PRIMARY = frozenset(
    {
        "max_connections",
        "max_worker_processes",
        "max_prepared_transactions",
        "max_locks_per_transaction",
        "max_wal_senders",
    }
)


@dataclass(frozen=True)
class Setting:
    """A row of pg_settings: `value` in `unit` (8kB, ms, or none), as the server runs with it."""

    name: str
    value: str
    unit: str | None
    type: str
    context: str

    def is_set_to(self, declared: object) -> bool:
        """Whether the server runs with what is declared, however that is spelt."""
        wanted = written(declared)
        if self.type == "bool":
            return _SWITCHES.get(wanted.lower()) == _SWITCHES.get(self.value.lower())
        if self.type in ("integer", "real"):
            return self._is_number(wanted)
        if self.type == "enum":
            return wanted.lower() == self.value.lower()
        return wanted == self.value

    def _is_number(self, wanted: str) -> bool:
        amount = _amount(wanted, self.unit)
        if amount is None:
            return False
        in_unit = amount / _scale(self.unit or "")
        # PostgreSQL rounds what is finer than the unit of an integer.
        return (round(in_unit) if self.type == "integer" else in_unit) == float(self.value)


def written(value: object) -> str:
    """A value as PostgreSQL's own files write it: Patroni takes `True` for a change of `on`."""
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def impacts(context: str | None, *, members: int) -> tuple[Impact, ...]:
    """What changing a setting of this context does; None for one that the server does not know (yet)."""
    if context != "postmaster":
        return (Impact.RELOAD,)
    return (Impact.RESTART, Impact.SWITCHOVER) if members > 1 else (Impact.RESTART,)


def lowers(name: str, old: str, new: str) -> bool:
    """Whether the primary has to be the first to run with the new value."""
    if name.lower() not in NOT_BELOW_THE_PRIMARY:
        return False
    before, after = _amount(old, None), _amount(new, None)
    return before is not None and after is not None and after < before


def _amount(text: str, unit: str | None) -> float | None:
    """A number as bytes or milliseconds; without a unit of its own it is in `unit`. None for what is no number."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    return float(match[1]) * _scale(match[2] or unit or "")


def _scale(unit: str) -> float:
    """How many bytes or milliseconds a unit is: `8kB`, `min`; 1 for none."""
    name = unit.lstrip("0123456789")
    return float(unit.removesuffix(name) or 1) * (_MEMORY | _TIME).get(name, 1.0)
