"""What statements cost, by database and role and never by text."""

from __future__ import annotations

from collections.abc import Iterator

from ops.exporter.database import query
from ops.exporter.host import Host
from ops.exporter.metric import Collector, Sample, counter
from ops.model.statements import Counts

_OWNER = ("database", "role")

SECONDS = counter("ops_statement_seconds_total", "Time that statements took.", *_OWNER)
CALLS = counter("ops_statement_calls_total", "Statements that were run.", *_OWNER)
SLOW = counter("ops_statement_slow_total", "Those that took above 1 s, on average since the look before.", *_OWNER)
ROWS = counter("ops_statement_rows_total", "Rows that they returned or changed.", *_OWNER)


def read(host: Host) -> Iterator[Sample]:
    """Nothing where the extension pg_stat_statements is not in the database `postgres`."""
    with host.postgres.other() as session:
        installed = session.rows(query("extensions"), {"extension": "pg_stat_statements"})
        if not installed:
            return
        rows = session.rows(query("statements").format(schema=installed[0]["schema"]), seconds=5)
    host.totals.look(
        {
            ((row["database"], row["role"]), (row["dbid"], row["userid"], row["queryid"])): Counts(
                row["calls"], row["seconds"], row["rows"]
            )
            for row in rows
        }
    )
    for owner, counts in host.totals.sums.items():
        yield SECONDS(counts.seconds, *owner)
        yield CALLS(counts.calls, *owner)
        yield SLOW(counts.slow, *owner)
        yield ROWS(counts.rows, *owner)


STATEMENTS = Collector("statements", (SECONDS, CALLS, SLOW, ROWS), read, every=30)
