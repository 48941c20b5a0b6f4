"""What `ops status` knows of a fleet at one moment, as one JSON document. Fields are added, never renamed.

Times are UTC, durations are in seconds, sizes in bytes. A part that could not be read is null, and says why.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from ops.model.jobs import Job
from ops.model.readiness import Verdict

Value = TypeVar("Value")
Severity = Literal["page", "ticket", "info"]  # wakes somebody, waits for the morning, is only shown


class Record(BaseModel):
    """Base of what follows: frozen, and strict about what it is made from."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Section(Record, Generic[Value]):
    """One part, read at `read_at` and old `good_for` seconds later. `value` is null where `trouble` kept us from it."""

    read_at: datetime
    good_for: float
    value: Value | None = None
    trouble: str = ""

    @property
    def is_unknown(self) -> bool:
        return self.value is None

    def is_stale(self, now: datetime) -> bool:
        """Whether it is too old to be believed at that moment."""
        return now - self.read_at > timedelta(seconds=self.good_for)


class Member(Record):
    """A database host. Null: it could not be read. `lag_seconds` is null too while it is caught up."""

    name: str
    reachable: bool
    trouble: str
    role: str
    state: str
    timeline: int | None
    streaming: bool | None
    lag_bytes: int | None
    lag_seconds: float | None
    sync_state: str | None
    nofailover: bool
    pending_restart: list[str]
    disk_free: int | None
    disk_size: int | None
    version: str


class Router(Record):
    """Whom a router sends writes and reads to; null: it did not answer. `agrees` with Patroni about the writes."""

    name: str
    writes: list[str] | None
    reads: list[str] | None
    agrees: bool | None
    trouble: str


class Etcd(Record):
    """`read_seconds`: how long a linearizable read took."""

    members: list[str]
    healthy: list[str]
    has_quorum: bool
    read_seconds: float | None


class Topology(Record):
    """Who leads, and who follows."""

    leader: str | None
    timeline: int | None
    paused: bool | None
    synchronous_mode: str
    members: list[Member]
    routers: list[Router]
    etcd: Etcd | None


class Finding(Record):
    """What one check of `ops failover check` says; `runbook` as that of an alert."""

    check: str
    verdict: Verdict
    summary: str
    subject: str
    hint: str
    runbook: str


class Readiness(Record):
    """Whether a failover would go well, and what it would cost."""

    verdict: Literal["ready", "not_ready", "unknown"]
    findings: list[Finding]
    rpo_bytes: int | None
    rto_seconds: float | None


class Gap(Record):
    """WAL that no recovery crosses: from `since` (null: from the very start) to `until` (null: there is no end yet)."""

    cause: Literal["missing", "damaged", "foreign"]
    first: str
    last: str
    segments: int
    since: datetime | None
    until: datetime | None


class Recovery(Record):
    """Every moment from `start` to `end` can be recovered, save the gaps; null: there is nothing to recover.

    `end` is when the store got the last WAL that is reached. `files` are stored, `read` of them were verified.
    """

    start: datetime | None
    end: datetime | None
    frontier: str | None
    promised_days: int
    rpo_promised_seconds: int
    gaps: list[Gap]
    missing_histories: list[str]
    damaged: list[str]
    foreign: list[str]
    files: int
    stored_bytes: int
    read: int


class Backup(Record):
    """A base backup that is complete in the store."""

    id: str
    started_at: datetime
    stopped_at: datetime
    duration_seconds: float
    size: int
    new_bytes: int
    stored_bytes: int
    host: str
    from_standby: bool
    damaged_pages: int


class Backups(Record):
    """Oldest first. `damaged`: what is wrong with those that cannot be believed."""

    found: list[Backup]
    damaged: list[str]


class Packs(Record):
    """The packs of the backups. `oldest_read`: when the one was verified that was verified longest ago; null: never."""

    count: int
    stored_bytes: int
    oldest_read: datetime | None
    unread: int
    damaged: list[str]


class Mirror(Record):
    """How far a further repository is behind the first one."""

    backups: int
    objects: int
    size: int
    seconds: float


class RestoreDrill(Record):
    """A restore that was tried. `target` is null where none was reached, or it was the latest moment."""

    id: str
    started_at: datetime
    finished_at: datetime
    proven: bool
    why: str
    asked: str
    target: datetime | None
    backup: str | None
    rto_seconds: float | None
    rpo_seconds: float | None


class FailoverDrill(Record):
    """A failover that was tried; rows `lost`, and acknowledged too `late` by the old primary."""

    id: str
    kind: str
    started_at: datetime
    verdict: Literal["passed", "failed", "unknown"]
    reasons: list[str]
    write_gap_seconds: float | None
    read_gap_seconds: float | None
    redundant_seconds: float | None
    lost: int | None
    late: int | None


class Drills(Record):
    """The newest drills, oldest first, and what is promised; `damaged`: what is wrong with records not to be read."""

    rto_promised_seconds: int
    rpo_promised_seconds: int
    restores: list[RestoreDrill]
    failovers: list[FailoverDrill]
    damaged: list[str]


class Schedule(Record):
    """What is done when (systemd's OnCalendar), and when it last left a trace in the repository; null: not known."""

    job: Job
    calendar: str
    last_run: datetime | None


class Certificate(Record):
    """A certificate as it is shown on the wire; `expires` is null where it could not be seen."""

    service: str
    target: str
    expires: datetime | None
    trouble: str


class Problem(Record):
    """Something that is wrong now, or that could not be found out. `where`: a cluster, a Redis group, or empty.

    `alert`: the name of the alert that says so; empty where it was seen otherwise.
    """

    verdict: Verdict
    where: str
    what: str
    hint: str = ""
    runbook: str = ""
    alert: str = ""


class Cluster(Record):
    """A PostgreSQL cluster and its repository."""

    name: str
    topology: Section[Topology]
    readiness: Section[Readiness]
    recovery: Section[Recovery]
    backups: Section[Backups]
    packs: Section[Packs]
    mirrors: dict[str, Section[Mirror]]
    drills: Section[Drills]
    schedules: Section[list[Schedule]]
    certificates: Section[list[Certificate]]


class RedisServer(Record):
    """A data node. `link` is that of a replica to its master: up, down; null on a master, and where it is not known."""

    name: str
    reachable: bool
    role: Literal["master", "replica", "unknown"]
    link: Literal["up", "down"] | None
    trouble: str


class Redis(Record):
    """A Redis group. `sentinels` are those that there should be; `agreeing` of them have the same master."""

    mode: Literal["standalone", "sentinel", "cluster"]
    masters: list[str]
    servers: list[RedisServer]
    sentinels: int
    agreeing: int
    readiness: Readiness
    certificates: list[Certificate]


class Alert(Record):
    """An alert that fires now; `hint` is the next command, `runbook` an address, or a path in our repository."""

    name: str
    severity: Severity
    summary: str
    hint: str
    runbook: str
    where: str
    since: datetime


class Alerts(Record):
    """What fires, worst first, by the word of `source`; `silenced` are not among them.

    `heartbeat`: the alert that always fires, and proves that alerts come through; null where the source has none.
    """

    source: str
    firing: list[Alert]
    silenced: int
    heartbeat: bool | None


class Document(Record):
    """All of it. `verdict` is the worst of `problems`, which are in the order in which to look at them."""

    format: Literal[1] = 1
    site: str
    host: str
    version: str
    taken: datetime
    verdict: Verdict
    problems: list[Problem]
    alerts: Section[Alerts] | None
    clusters: list[Cluster]
    redis: dict[str, Section[Redis]]
