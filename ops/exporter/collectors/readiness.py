"""Whether a failover of a cluster would go well, by what `ops failover check` finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ops.exporter.metric import Collector, Sample, gauge
from ops.exporter.watched import Watched
from ops.model.failover_checks import judge

READY = gauge(
    "ops_failover_ready", "Whether a failover would go well now; absent: it could not be found out.", "cluster"
)
FINDING = gauge(
    "ops_failover_finding", "Findings of `ops failover check` that are not ok.", "cluster", "check", "verdict"
)
RPO = gauge("ops_failover_rpo_bytes", "What a failover now would lose.", "cluster")
RTO = gauge("ops_failover_rto_seconds", "How long nobody could write if the primary died now.", "cluster")


def read(watched: Watched) -> Iterator[Sample]:
    verdict, name = judge(watched.snapshot()), watched.name
    if verdict.verdict != "unknown":
        yield READY(verdict.verdict == "ready", name)
    findings = Counter((finding.check, finding.verdict) for finding in verdict.findings if finding.verdict != "ok")
    for (check, how), count in findings.items():
        yield FINDING(count, name, check, how)
    if verdict.rpo_bytes is not None:
        yield RPO(verdict.rpo_bytes, name)
    if verdict.rto_seconds is not None:
        yield RTO(verdict.rto_seconds, name)


READINESS = Collector("readiness", (READY, FINDING, RPO, RTO), read, every=15, limit=60, scope="cluster")
