"""The monthly partitions of tables that only grow: made ahead, and watched for rows that found none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg

from ops.database.target import Target
from ops.errors import OpsError


@dataclass(frozen=True)
class Partitioned:
    """A table in months. `stray_rows` lie in its default partition: no month was there for them."""

    table: str
    stray_rows: int
    covered_until: datetime


def make(target: Target, ahead: int) -> tuple[list[str], list[Partitioned]]:
    """Make the months that are missing, this one and so many after it; their names, and how every table stands then."""
    with target.connect() as connection:
        try:
            made = [name for (name,) in connection.execute("SELECT ops.ensure_partitions(%s)", [ahead]).fetchall()]
        except psycopg.errors.UndefinedFunction as error:
            raise OpsError("this database has no partitions", hint="ops db migrate makes them.") from error
        except psycopg.errors.LockNotAvailable as error:
            raise OpsError(
                "no partition was made: a default partition is in use",
                detail=error.diag.context,
                hint="Run this again; it waits two seconds for each.",
            ) from error
        rows = connection.execute("SELECT table_name, stray_rows, covered_until FROM ops.partition_state()").fetchall()
        return made, [Partitioned(*row) for row in rows]
