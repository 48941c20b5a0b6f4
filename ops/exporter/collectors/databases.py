"""Each database: age against wraparound, and how much of it is read from memory."""

from __future__ import annotations

from collections.abc import Iterator

from ops.exporter.database import query
from ops.exporter.host import Host
from ops.exporter.metric import Collector, Sample, gauge

XID_AGE = gauge("ops_database_xid_age", "Transactions since the oldest row that is not frozen.", "database")
MULTIXACT_AGE = gauge(
    "ops_database_multixact_age", "The same for multixacts, which rows locked by several have.", "database"
)
XID_LIMIT = gauge("ops_database_xid_limit", "The age, of both kinds, at which there is nothing left to give out.")
HIT_RATIO = gauge(
    "ops_database_cache_hit_ratio", "Blocks found in shared buffers, of all since the statistics began.", "database"
)

_LIMIT = 2**31 - 1


def read(host: Host) -> Iterator[Sample]:
    yield XID_LIMIT(_LIMIT)
    with host.postgres.kept() as session:
        for row in session.rows(query("databases")):
            yield XID_AGE(row["xid_age"], row["database"])
            yield MULTIXACT_AGE(row["multixact_age"], row["database"])
            if row["hit_ratio"] is not None:
                yield HIT_RATIO(row["hit_ratio"], row["database"])


DATABASES = Collector("databases", (XID_AGE, MULTIXACT_AGE, XID_LIMIT, HIT_RATIO), read)
