"""What a failover now would cost, by what was read: acknowledged bytes that are lost, and seconds without a primary."""

from __future__ import annotations

from ops.model.failover_checks.replication import SYNCHRONOUS_ROLES, may_lead, replicas
from ops.model.readiness import RedisSnapshot, Snapshot

PROMOTION = 2.0  # seconds from a free leader lock to a server that accepts writes, as drills measure it
ROUTER = 1.0  # seconds until a router has asked the new leader (twice a second) and leads to it
WAITS_FOR_REPLICAS = ("on", "remote_write", "remote_apply")  # of synchronous_commit
SENTINEL_ELECTION = 2.0  # seconds from agreement to a replica that is master


def rpo(snapshot: Snapshot) -> int | None:
    """Bytes of acknowledged WAL that would be lost: none where commits wait for a replica that may take over."""
    able = [server for server in replicas(snapshot) if may_lead(server)]
    chief, mode = snapshot.leader, snapshot.settings.get("synchronous_mode")
    if chief is None or not able:
        return None
    waits = chief.settings.get("synchronous_commit") in WAITS_FOR_REPLICAS and mode not in (None, False, "off")
    if waits and any(server.role in SYNCHRONOUS_ROLES for server in able):
        return 0
    behind = [server.lag_bytes for server in able if server.lag_bytes is not None]
    return min(behind, default=None)


def rto(snapshot: Snapshot) -> float | None:
    """Seconds until writes are accepted again, at worst: the primary's host is gone, or its server does not return."""
    names = ("ttl", "loop_wait", "primary_start_timeout")
    timing = {name: snapshot.settings.get(name) for name in names}
    ttl, loop_wait, start = (float(value) if isinstance(value, int | float) else None for value in timing.values())
    if ttl is None or loop_wait is None or start is None or not any(map(may_lead, replicas(snapshot))):
        return None
    # The lock of a host that is gone expires; a server that ended is given `primary_start_timeout` by its own Patroni.
    return max(ttl, loop_wait + start) + PROMOTION + (ROUTER if snapshot.routers else 0.0)


def redis_rpo(snapshot: RedisSnapshot) -> int | None:
    """Bytes that the closest replica lacks; Redis acknowledges before it replicates."""
    masters = [server for server in snapshot.servers if server.is_master]
    linked = [server.offset for server in snapshot.servers if server.link_up and server.offset is not None]
    if len(masters) != 1 or masters[0].offset is None or not linked:
        return None
    return max(masters[0].offset - max(linked), 0)


def redis_rto(snapshot: RedisSnapshot) -> float | None:
    """Seconds until Sentinel has made another master."""
    waits = [view.down_after for view in snapshot.sentinels if view.down_after is not None]
    return max(waits) + SENTINEL_ELECTION if waits else None
