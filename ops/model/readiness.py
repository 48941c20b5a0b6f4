"""Whether a failover of a cluster would go well: what was read of it, and what that means. Pure.

`ops.readiness` reads a `Snapshot`; the CHECKS of `ops.model.failover_checks` judge it, one function each, and its
`judge` makes one verdict of their findings. Groups of Redis servers have a snapshot of their own, and the same verdict.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

# From best to worst. `warning` does not stand in the way of a failover today; `unknown`: it could not be read.
Verdict = Literal["ok", "warning", "unknown", "failed"]


@dataclass(frozen=True)
class Slot:
    """A replication slot of the primary. `retained` and `safe` are bytes of WAL: held, and until it is lost (None: it
    may hold as much as the disk has). `status`: as pg_replication_slots says (reserved, extended, unreserved, lost)."""

    name: str
    active: bool
    retained: int
    safe: int | None = None
    status: str = "reserved"


@dataclass(frozen=True)
class Server:
    """A member as its own PostgreSQL, its Patroni and the primary's statistics tell. None: it could not be read.

    `role`: as Patroni says (leader, replica, sync_standby, quorum_standby, standby_leader). LSNs are byte positions.
    """

    name: str
    reachable: bool
    trouble: str = ""  # why it could not be read, in its own words
    role: str = "unknown"
    state: str = "unknown"
    in_recovery: bool | None = None
    writable: bool | None = None
    timeline: int | None = None
    lsn: int | None = None  # written on a primary, replayed on a replica
    received: int | None = None
    lag_bytes: int | None = None  # by the primary's position at the same moment
    lag_seconds: float | None = None  # age of the newest commit that it has replayed; None while it is caught up
    streaming: bool | None = None  # its WAL receiver is connected and streams
    sync_state: str | None = None  # as pg_stat_replication of the primary says
    slots: tuple[Slot, ...] = ()
    pending_restart: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)  # those that must be equal on all members
    libraries: tuple[str, ...] = ()  # extensions with versions that its disk has, of those that a database uses
    version: str = ""
    can_rewind: bool | None = None
    rewind_lacks: tuple[str, ...] = ()  # what stands in the way of pg_rewind, in words
    nofailover: bool = False
    api_trouble: str = ""  # why its Patroni did not answer; empty where it did
    disk_free: int | None = None
    disk_size: int | None = None
    disk_trouble: str = ""


@dataclass(frozen=True)
class EtcdView:
    """Members of etcd and who of them answers; `latency`: of a linearizable read, in seconds, where it took longest.
    `troubles`: member -> why it does not count as healthy."""

    members: tuple[str, ...]
    healthy: tuple[str, ...]
    latency: float | None = None
    troubles: dict[str, str] = field(default_factory=dict)

    @property
    def has_quorum(self) -> bool:
        return len(self.healthy) > len(self.members) // 2


@dataclass(frozen=True)
class RouterView:
    """Whom a router sends writes to, and reads; None: it did not answer."""

    name: str
    writes: tuple[str, ...] | None
    reads: tuple[str, ...] | None
    trouble: str = ""


@dataclass(frozen=True)
class Certificate:
    """A certificate as it was shown on the wire, or what stood in the way of seeing it."""

    service: str
    target: str  # host:port
    expires: datetime | None
    trouble: str = ""


@dataclass(frozen=True)
class Proof:
    """What the repository tells: when the newest WAL came to it, when the newest backup was committed, and the newest
    drill of each kind with its outcome. None: there is none, or with `trouble` it could not be read."""

    wal_archived: datetime | None = None
    backup: datetime | None = None
    restore_drill: datetime | None = None
    restore_proven: bool | None = None
    failover_drill: datetime | None = None
    failover_passed: bool | None = None
    trouble: str = ""


@dataclass(frozen=True)
class Snapshot:
    """A cluster at one moment, read and not judged."""

    cluster: str
    taken: datetime
    servers: tuple[Server, ...]
    paused: bool | None = None
    settings: dict[str, object] = field(default_factory=dict)  # Patroni's dynamic configuration
    etcd: EtcdView | None = None
    routers: tuple[RouterView, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    proof: Proof = Proof()
    trouble: str = ""  # why no member's Patroni could tell of the cluster as a whole
    extensions: tuple[str, ...] | None = None  # those that a database uses, with versions; None: nobody could be asked

    @property
    def leader(self) -> Server | None:
        """Who Patroni says leads."""
        return next((server for server in self.servers if server.role in ("leader", "standby_leader")), None)


@dataclass(frozen=True)
class RedisServer:
    """A Redis server as it tells of itself. `offset`: bytes of the replication stream that it has written or taken."""

    name: str
    reachable: bool
    trouble: str = ""
    is_master: bool | None = None
    link_up: bool | None = None  # of a replica, to its master
    offset: int | None = None


@dataclass(frozen=True)
class SentinelView:
    """What a Sentinel says. `quorum`: the Sentinels that it knows suffice to agree on a failover and authorize it."""

    name: str
    reachable: bool
    trouble: str = ""
    master: str | None = None  # a host, as it is known by
    quorum: bool | None = None
    quorum_says: str = ""
    down_after: float | None = None  # seconds


@dataclass(frozen=True)
class Shard:
    """A master of a Redis Cluster and how many replicas are linked to it. `slots` are ranges, as CLUSTER NODES says."""

    master: str
    slots: tuple[str, ...]
    replicas: int


@dataclass(frozen=True)
class RedisCluster:
    """What a node says of its cluster. `slots_ok`: of 16384."""

    state: str
    slots_ok: int
    shards: tuple[Shard, ...]


@dataclass(frozen=True)
class RedisSnapshot:
    """A group of Redis servers at one moment, read and not judged."""

    cluster: str
    taken: datetime
    mode: Literal["standalone", "sentinel", "cluster"]
    servers: tuple[RedisServer, ...]
    sentinels: tuple[SentinelView, ...] = ()
    nodes: RedisCluster | None = None
    certificates: tuple[Certificate, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What one check says. `subject`: the member, router or target that it is about; empty for the whole cluster."""

    check: str
    verdict: Verdict
    summary: str
    subject: str = ""
    hint: str = ""
    runbook: str = ""  # the name of a file in docs/runbooks, without .md


@dataclass(frozen=True)
class Readiness:
    """One verdict, and why. `rpo_bytes`, `rto_seconds`: what a failover now would cost, by what was read."""

    cluster: str
    verdict: Literal["ready", "not_ready", "unknown"]
    findings: tuple[Finding, ...]
    rpo_bytes: int | None
    rto_seconds: float | None
    taken: datetime
