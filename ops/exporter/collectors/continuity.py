"""What of a cluster's past can be brought back."""

from __future__ import annotations

from collections.abc import Iterator

from ops.errors import Unreachable
from ops.exporter.metric import Collector, Sample, gauge
from ops.exporter.watched import Watched

GAPS = gauge("ops_wal_gaps", "Segments that a recovery would need and that are missing.", "cluster")
DAMAGED = gauge("ops_wal_damaged", "Stored files of WAL that were read and are damaged.", "cluster")
FOREIGN = gauge("ops_wal_foreign", "Stored files of WAL that are another database's.", "cluster")
START = gauge(
    "ops_recovery_window_start_timestamp_seconds",
    "The oldest moment that can be recovered to; absent: none.",
    "cluster",
)
END = gauge("ops_recovery_window_end_timestamp_seconds", "When the newest WAL came that a recovery reaches.", "cluster")
PROMISED = gauge(
    "ops_recovery_window_promised_seconds", "How far back every moment is to stay recoverable; absent: not.", "cluster"
)

_DAY = 86_400


def read(watched: Watched) -> Iterator[Sample]:
    """Missing histories count as gaps: no recovery crosses to a timeline that nothing explains."""
    holdings, name = watched.holdings(), watched.name
    if holdings.promised_days:
        yield PROMISED(holdings.promised_days * _DAY, name)
    found = holdings.continuity.seen
    if found is None:
        raise Unreachable(holdings.continuity.trouble)
    yield GAPS(found.missing + len(found.histories), name)
    yield DAMAGED(len(found.damaged), name)
    yield FOREIGN(len(found.foreign), name)
    if found.start is not None:
        yield START(found.start, name)
    if found.end is not None:
        yield END(found.end, name)


CONTINUITY = Collector(
    "continuity", (GAPS, DAMAGED, FOREIGN, START, END, PROMISED), read, every=60, limit=300, scope="cluster"
)
