"""Whether PostgreSQL lets us in, and as what it runs."""

from __future__ import annotations

from collections.abc import Iterator

from ops.errors import Unreachable
from ops.exporter.database import query
from ops.exporter.host import Host
from ops.exporter.metric import Collector, Sample, gauge

UP = gauge("ops_postgres_up", "Whether PostgreSQL answers a query.")
RECOVERY = gauge("ops_postgres_in_recovery", "Whether it is a replica.")
WRITABLE = gauge("ops_postgres_writable", "Whether it accepts writes.")
TIMELINE = gauge("ops_postgres_timeline", "The timeline that it writes or receives.")
CONNECTIONS = gauge("ops_postgres_connections", "Sessions of clients, this exporter's among them.")
LIMIT = gauge("ops_postgres_connections_limit", "Sessions that may be had without being superuser.")
PENDING = gauge("ops_postgres_pending_restart", "Settings that wait for a restart.")


def read(host: Host) -> Iterator[Sample]:
    try:
        with host.postgres.kept() as session:
            (found,) = session.rows(query("postgres"))
    except Unreachable:
        yield UP(0)
        raise
    yield UP(1)
    yield RECOVERY(found["in_recovery"])
    yield WRITABLE(found["writable"])
    yield TIMELINE(found["timeline"])
    yield CONNECTIONS(found["connections"])
    yield LIMIT(found["connections_limit"])
    yield PENDING(found["pending_restart"])


POSTGRES = Collector("postgres", (UP, RECOVERY, WRITABLE, TIMELINE, CONNECTIONS, LIMIT, PENDING), read)
