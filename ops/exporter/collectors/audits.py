"""Whether audit trails were what was written when they were last read whole, by what was kept of that."""

from __future__ import annotations

from collections.abc import Iterator

from ops.errors import Unreachable
from ops.exporter.metric import Collector, Sample, gauge
from ops.exporter.watched import Watched

_TRAIL = ("cluster", "database")

VERIFIED = gauge("ops_audit_verified_timestamp_seconds", "When an audit trail was last read whole.", *_TRAIL)
INTACT = gauge("ops_audit_intact", "Whether it was as it was written.", *_TRAIL)
ANCHORED = gauge("ops_audit_anchored_timestamp_seconds", "When its ends were last kept in the repository.", *_TRAIL)


def read(watched: Watched) -> Iterator[Sample]:
    found, name = watched.holdings().audits, watched.name
    if found.seen is None:
        raise Unreachable(found.trouble)
    for trail in found.seen:
        yield VERIFIED(trail.at, name, trail.database)
        yield INTACT(trail.intact, name, trail.database)
        if trail.anchored is not None:
            yield ANCHORED(trail.anchored, name, trail.database)


AUDITS = Collector("audits", (VERIFIED, INTACT, ANCHORED), read, every=60, limit=300, scope="cluster")
