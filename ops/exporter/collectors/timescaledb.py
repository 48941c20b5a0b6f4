"""TimescaleDB, in the databases that have it: its jobs, how far behind its aggregates are, what compressing leaves."""

from __future__ import annotations

from collections.abc import Iterator

from ops.exporter.database import Row, Session, query
from ops.exporter.host import Host
from ops.exporter.inside import inside_each
from ops.exporter.metric import Collector, Metric, Sample, counter, gauge

FAILURES = counter("ops_timescaledb_job_failures_total", "Runs of a background job that failed.", "database", "task")
SUCCEEDED = gauge(
    "ops_timescaledb_job_last_success_timestamp_seconds", "When a background job last succeeded.", "database", "task"
)
FAILING = gauge("ops_timescaledb_job_failing", "Whether the last run of a background job failed.", "database", "task")
LAG = gauge(
    "ops_timescaledb_aggregate_lag_seconds",
    "How long ago a continuous aggregate should have had more than it has.",
    "database",
    "aggregate",
)
UNCOMPRESSED = gauge(
    "ops_timescaledb_uncompressed_chunks",
    "Chunks that the policy says are compressed and are not.",
    "database",
    "hypertable",
)
RATIO = gauge(
    "ops_timescaledb_compression_ratio", "Size before, divided by size after compression.", "database", "hypertable"
)

# The file of a query, its column with the label, and which metric each of the other columns is.
_QUERIES: tuple[tuple[str, str, dict[str, Metric]], ...] = (
    ("timescaledb_jobs", "task", {"failures": FAILURES, "succeeded": SUCCEEDED, "failing": FAILING}),
    ("timescaledb_aggregates", "aggregate", {"lag": LAG}),
    ("timescaledb_compression", "hypertable", {"uncompressed": UNCOMPRESSED, "ratio": RATIO}),
)


def read(host: Host) -> Iterator[Sample]:
    if not host.cluster.timescaledb:
        return
    for database, (row, label, metrics) in inside_each(host.postgres, _look):
        for column, metric in metrics.items():
            if row[column] is not None:
                yield metric(row[column], database, row[label])


def _look(session: Session) -> list[tuple[Row, str, dict[str, Metric]]]:
    installed = session.rows(query("extensions"), {"extension": "timescaledb"})
    if not installed:
        return []
    schema = installed[0]["schema"]
    return [
        (row, label, metrics)
        for name, label, metrics in _QUERIES
        for row in session.rows(query(name).format(schema=schema), seconds=5)
    ]


TIMESCALEDB = Collector(
    "timescaledb", (FAILURES, SUCCEEDED, FAILING, LAG, UNCOMPRESSED, RATIO), read, every=60, limit=300
)
