"""PgBouncer, from its console: the pools now, and counters since it began."""

from __future__ import annotations

from collections.abc import Iterator

from ops.errors import Unreachable
from ops.exporter.database import CONSOLE, Row
from ops.exporter.host import Host
from ops.exporter.metric import Collector, Metric, Sample, counter, gauge

_POOL = ("database", "user")

UP = gauge("ops_pgbouncer_up", "Whether PgBouncer's console answers.")
CLIENTS_ACTIVE = gauge("ops_pgbouncer_clients_active", "Clients that have a server, or need none now.", *_POOL)
CLIENTS_WAITING = gauge("ops_pgbouncer_clients_waiting", "Clients that wait for a server.", *_POOL)
WAIT_OLDEST = gauge("ops_pgbouncer_wait_oldest_seconds", "How long the first of them has waited.", *_POOL)
SERVERS_ACTIVE = gauge("ops_pgbouncer_servers_active", "Sessions on PostgreSQL that work for a client.", *_POOL)
SERVERS_IDLE = gauge("ops_pgbouncer_servers_idle", "Sessions on PostgreSQL that wait for a client.", *_POOL)

QUERIES = counter("ops_pgbouncer_queries_total", "Queries that went through.", "database")
TRANSACTIONS = counter("ops_pgbouncer_transactions_total", "Transactions that went through.", "database")
RECEIVED = counter("ops_pgbouncer_received_bytes_total", "Bytes from clients.", "database")
SENT = counter("ops_pgbouncer_sent_bytes_total", "Bytes to clients.", "database")
WAITED = counter("ops_pgbouncer_wait_seconds_total", "Time that clients have waited for a server.", "database")
BUSY = counter("ops_pgbouncer_query_seconds_total", "Time that queries took.", "database")

_MICROSECONDS = 1e-6

# Of SHOW STATS: the column, what one of it is worth, and its metric.
_STATS: tuple[tuple[str, float, Metric], ...] = (
    ("total_query_count", 1, QUERIES),
    ("total_xact_count", 1, TRANSACTIONS),
    ("total_received", 1, RECEIVED),
    ("total_sent", 1, SENT),
    ("total_wait_time", _MICROSECONDS, WAITED),
    ("total_query_time", _MICROSECONDS, BUSY),
)


def read(host: Host) -> Iterator[Sample]:
    try:
        with host.pgbouncer.kept() as session:
            stats, pools = session.rows("SHOW STATS"), session.rows("SHOW POOLS")
    except Unreachable:
        yield UP(0)
        raise
    yield UP(1)
    for row in _applications(stats):
        for column, worth, metric in _STATS:
            yield metric(float(row[column]) * worth, row["database"])
    yield from _pools(pools)


def _pools(rows: list[Row]) -> Iterator[Sample]:
    for row in _applications(rows):
        pool = (row["database"], row["user"])
        yield CLIENTS_ACTIVE(row["cl_active"], *pool)
        yield CLIENTS_WAITING(row["cl_waiting"], *pool)
        yield WAIT_OLDEST(row["maxwait"] + row["maxwait_us"] * _MICROSECONDS, *pool)
        yield SERVERS_ACTIVE(row["sv_active"], *pool)
        yield SERVERS_IDLE(row["sv_idle"], *pool)


def _applications(rows: list[Row]) -> list[Row]:
    """Without the console itself, whose only client may well be us."""
    return [row for row in rows if row["database"] != CONSOLE]


PGBOUNCER = Collector(
    "pgbouncer",
    (
        *(UP, CLIENTS_ACTIVE, CLIENTS_WAITING, WAIT_OLDEST, SERVERS_ACTIVE, SERVERS_IDLE),
        *(metric for _, _, metric in _STATS),
    ),
    read,
)
