"""What a failover hangs on: CHECKS, one small function each, and the one verdict that is made of their findings. Pure.

A check gets a `Snapshot` and says what it finds: `failed` where a failover would not go well today, `warning` where
something is to be done in time, `unknown` where it could not be read. It never takes silence for health.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from ops.model.failover_checks.predict import redis_rpo, redis_rto, rpo, rto
from ops.model.failover_checks.redis import (
    redis_certificates,
    redis_master,
    redis_quorum,
    redis_replicas,
    redis_servers,
    redis_slots,
)
from ops.model.failover_checks.replication import (
    candidates,
    etcd,
    lag,
    leader,
    members,
    paused,
    streaming,
    synchronous,
    timelines,
)
from ops.model.failover_checks.servers import disk, libraries, pending_restart, rewind, settings, slots
from ops.model.failover_checks.surroundings import (
    archive,
    backup,
    certificates,
    failover_drill,
    restore_drill,
    routers,
)
from ops.model.readiness import Finding, Readiness, RedisSnapshot, Snapshot

CHECKS: tuple[Callable[[Snapshot], Iterator[Finding]], ...] = (
    etcd,
    leader,
    members,
    paused,
    candidates,
    streaming,
    lag,
    timelines,
    synchronous,
    slots,
    rewind,
    settings,
    libraries,
    pending_restart,
    disk,
    routers,
    certificates,
    archive,
    backup,
    restore_drill,
    failover_drill,
)
REDIS_CHECKS: tuple[Callable[[RedisSnapshot], Iterator[Finding]], ...] = (
    redis_servers,
    redis_master,
    redis_replicas,
    redis_quorum,
    redis_slots,
    redis_certificates,
)
# A failover today does not wait for these: where they cannot be read, that is said and does not change the verdict.
ASIDE = frozenset(
    {"disk", "certificates", "archive", "backup", "restore_drill", "failover_drill", "redis_certificates"}
)


def judge(snapshot: Snapshot | RedisSnapshot) -> Readiness:
    """One verdict on a cluster, or on a group of Redis servers, with every finding in the order of the checks."""
    if isinstance(snapshot, RedisSnapshot):
        found = tuple(finding for check in REDIS_CHECKS for finding in check(snapshot))
        cost = redis_rpo(snapshot), redis_rto(snapshot)
    else:
        found = tuple(finding for check in CHECKS for finding in check(snapshot))
        cost = rpo(snapshot), rto(snapshot)
    return Readiness(snapshot.cluster, verdict_of(found), found, *cost, snapshot.taken)


def verdict_of(findings: Iterable[Finding]) -> Literal["ready", "not_ready", "unknown"]:
    """`not_ready` where one has failed; else `unknown` where one that a failover waits for could not be read."""
    found = list(findings)
    if any(finding.verdict == "failed" for finding in found):
        return "not_ready"
    if any(finding.verdict == "unknown" and finding.check not in ASIDE for finding in found):
        return "unknown"
    return "ready"
