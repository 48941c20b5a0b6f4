"""What sessions do, how long transactions have been open, and who waits for whom."""

from __future__ import annotations

from collections.abc import Iterator

from ops.exporter.database import query
from ops.exporter.host import Host
from ops.exporter.metric import Collector, Sample, gauge

SESSIONS = gauge("ops_sessions", "Sessions of clients.", "database", "state")
OLDEST = gauge("ops_transaction_oldest_seconds", "Age of the oldest open transaction, 0 without one.", "database")
IDLE = gauge(
    "ops_idle_in_transaction_oldest_seconds", "How long a session has at most been idle in a transaction.", "database"
)
BLOCKED = gauge("ops_blocked_sessions", "Sessions that wait for a lock.", "database")
BLOCKED_OLDEST = gauge("ops_blocked_oldest_seconds", "How long one of them has waited at most.", "database")


def read(host: Host) -> Iterator[Sample]:
    with host.postgres.kept() as session:
        for row in session.rows(query("sessions")):
            yield SESSIONS(row["sessions"], row["database"], row["state"])
        for row in session.rows(query("transactions")):
            database = row["database"]
            yield OLDEST(row["oldest"], database)
            yield IDLE(row["idle"], database)
            yield BLOCKED(row["blocked"], database)
            yield BLOCKED_OLDEST(row["blocked_oldest"], database)


ACTIVITY = Collector("activity", (SESSIONS, OLDEST, IDLE, BLOCKED, BLOCKED_OLDEST), read)
