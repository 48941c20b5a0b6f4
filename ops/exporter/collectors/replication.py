"""Replication as both of its ends see it."""

from __future__ import annotations

from collections.abc import Iterator

from ops.exporter.database import Session, query
from ops.exporter.host import Host
from ops.exporter.metric import Collector, Sample, gauge

STREAMING = gauge("ops_replication_streaming", "On a replica: whether it streams from its primary.")
REPLAY_LAG = gauge(
    "ops_replication_replay_lag_seconds",
    "On a replica: age of the newest commit that it has replayed, 0 while its primary has nothing newer.",
)
LAG = gauge("ops_replication_lag_bytes", "On a primary: WAL that a member has yet to replay.", "member")
SYNCHRONOUS = gauge("ops_replication_sync_members", "On a primary: members that stream and that a commit may wait for.")


def read(host: Host) -> Iterator[Sample]:
    with host.postgres.kept() as session:
        (state,) = session.rows(query("postgres"))
        yield from _replica(session) if state["in_recovery"] else _primary(session, list(host.cluster.members))


def _replica(session: Session) -> Iterator[Sample]:
    (found,) = session.rows(query("replica"))
    yield STREAMING(found["streaming"])
    if found["lag"] is not None:
        yield REPLAY_LAG(found["lag"])


def _primary(session: Session, members: list[str]) -> Iterator[Sample]:
    found = session.rows(query("replicas"), {"members": members})
    for row in found:
        yield LAG(row["lag"], row["member"])
    yield SYNCHRONOUS(sum(row["synchronous"] for row in found))


REPLICATION = Collector("replication", (STREAMING, REPLAY_LAG, LAG, SYNCHRONOUS), read)
