"""What was proven of a cluster, and when: the newest drill of each kind."""

from __future__ import annotations

from collections.abc import Iterator

from ops.drill.evidence import Evidence
from ops.errors import Unreachable
from ops.exporter.metric import Collector, Sample, gauge
from ops.exporter.watched import Watched
from ops.fleet import Cluster
from ops.status.holdings import Failover

_KIND = ("cluster", "kind")

LAST = gauge("ops_drill_last_timestamp_seconds", "When the newest drill of a kind began.", *_KIND)
PASSED = gauge("ops_drill_last_passed", "Whether it proved what it was to prove.", *_KIND)
RTO = gauge("ops_drill_rto_seconds", "How long the newest restore drill took to have the database back.", "cluster")
RTO_PROMISED = gauge("ops_drill_rto_promised_seconds", "How long that may take.", "cluster")
RPO = gauge("ops_drill_rpo_seconds", "Age of the newest commit that it could have brought back.", "cluster")
RPO_PROMISED = gauge("ops_drill_rpo_promised_seconds", "How old that may be.", "cluster")
WRITE_GAP = gauge("ops_failover_drill_write_gap_seconds", "How long nobody could write in a failover drill.", *_KIND)
LOST = gauge("ops_failover_drill_lost_rows", "Rows that were acknowledged in it and are lost.", *_KIND)


def read(watched: Watched) -> Iterator[Sample]:
    holdings, name = watched.holdings(), watched.name
    yield from _promised(watched.fleet.clusters[name], name)
    if holdings.drills.seen is not None and holdings.drills.seen.found:
        yield from _restore(holdings.drills.seen.found[-1], name)
    if holdings.failovers.seen is not None:
        newest = {drill.kind: drill for drill in holdings.failovers.seen.found}
        for drill in newest.values():
            yield from _failover(drill, name)
    if trouble := holdings.drills.trouble or holdings.failovers.trouble:
        raise Unreachable(trouble)


def _promised(cluster: Cluster, name: str) -> Iterator[Sample]:
    yield RTO_PROMISED(cluster.rto_seconds, name)
    yield RPO_PROMISED(cluster.rpo_seconds, name)


def _restore(drill: Evidence, cluster: str) -> Iterator[Sample]:
    yield LAST(drill.started_at, cluster, "restore")
    yield PASSED(drill.proven, cluster, "restore")
    if drill.rto is not None:
        yield RTO(drill.rto.seconds, cluster)
    if drill.rpo is not None:
        yield RPO(drill.rpo.seconds, cluster)


def _failover(drill: Failover, cluster: str) -> Iterator[Sample]:
    yield LAST(drill.started_at, cluster, drill.kind)
    yield PASSED(drill.passed, cluster, drill.kind)
    if drill.write_gap is not None:
        yield WRITE_GAP(drill.write_gap, cluster, drill.kind)
    if drill.lost is not None:
        yield LOST(drill.lost, cluster, drill.kind)


DRILLS = Collector(
    "drills",
    (LAST, PASSED, RTO, RTO_PROMISED, RPO, RPO_PROMISED, WRITE_GAP, LOST),
    read,
    every=60,
    limit=300,
    scope="cluster",
)
