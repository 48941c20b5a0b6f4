"""What two states of one cluster hold, table by table, and how they differ: what a person looks at before a swap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Larger tables are estimated: counting them takes a while, and nobody compares millions by eye.
COUNTED = 8 * 1024 * 1024


@dataclass(frozen=True)
class Table:
    """`rows` is None where nobody knows; `counted` where it is exact, and no estimate."""

    rows: int | None
    counted: bool
    bytes: int


Tables = Mapping[str, Table]  # by schema and name
Databases = Mapping[str, Tables]


@dataclass(frozen=True)
class Change:
    """A table that is not the same in both; None where it is not there."""

    database: str
    table: str
    live: Table | None
    restored: Table | None

    @property
    def weight(self) -> tuple[bool, int]:
        """How much it matters to somebody who reads from the top: what comes or goes, then how many bytes."""
        one, other = (table.bytes if table else 0 for table in (self.live, self.restored))
        return (self.live is None) != (self.restored is None), abs(one - other)


def changes(live: Databases, restored: Databases) -> list[Change]:
    """What differs, the weightiest first. A table whose rows are unknown on either side is compared by its size."""
    found = [
        Change(database, table, live.get(database, {}).get(table), restored.get(database, {}).get(table))
        for database in sorted(live.keys() | restored.keys())
        for table in sorted(live.get(database, {}).keys() | restored.get(database, {}).keys())
    ]
    return sorted((one for one in found if _differs(one.live, one.restored)), key=lambda one: one.weight, reverse=True)


def _differs(live: Table | None, restored: Table | None) -> bool:
    if live is None or restored is None:
        return True
    if live.counted and restored.counted:
        return live.rows != restored.rows
    return (live.rows, live.bytes) != (restored.rows, restored.bytes)
