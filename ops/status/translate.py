"""What was read, in the words of the document. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from ops import fleet as house
from ops.drill.evidence import Evidence
from ops.errors import OpsError
from ops.model import readiness as model
from ops.model.backup import Backup
from ops.model.failover_checks import judge
from ops.model.jobs import JOBS, OF_THE_LEADER, Job
from ops.model.target import AtTime, parse
from ops.status import document as d
from ops.status.continuity import BadFile, Continuity, Gap
from ops.status.holdings import Backups, Behind, Drills, Failover, Failovers, Holdings, Packs, Part

# Seconds for which a part is good: what is asked of servers, and what is read from a repository.
LIVE = 60.0
STORED = 900.0

Seen = TypeVar("Seen")
Shown = TypeVar("Shown")


def unknown(trouble: str, read_at: datetime) -> d.Section[Any]:
    """A part that could not be read."""
    return d.Section[Any](read_at=read_at, good_for=LIVE, trouble=trouble or "it could not be read")


# -- clusters and Redis groups as they run ------------------------------------------------------------------------


def snapshot(seen: model.Snapshot | OpsError, taken: datetime) -> dict[str, d.Section[Any]]:
    """The sections of a cluster that come from looking at its servers."""
    if isinstance(seen, OpsError):
        return dict.fromkeys(("topology", "readiness", "certificates"), unknown(told(seen), taken))

    def section(value: object) -> d.Section[Any]:
        return d.Section[Any](read_at=seen.taken, good_for=LIVE, value=value)

    return {
        "topology": section(_topology(seen)),
        "readiness": section(_readiness(judge(seen))),
        "certificates": section(_certificates(seen.certificates)),
    }


def redis(seen: model.RedisSnapshot) -> d.Section[d.Redis]:
    """A Redis group."""
    named = [one.master for one in seen.sentinels if one.reachable]
    chosen = max(set(named), key=named.count, default=None)
    value = d.Redis(
        mode=seen.mode,
        masters=[one.name for one in seen.servers if one.is_master],
        servers=[_redis_server(one) for one in seen.servers],
        sentinels=len(seen.sentinels),
        agreeing=sum(master == chosen for master in named),
        readiness=_readiness(judge(seen)),
        certificates=_certificates(seen.certificates),
    )
    return d.Section[d.Redis](read_at=seen.taken, good_for=LIVE, value=value)


def _redis_server(server: model.RedisServer) -> d.RedisServer:
    link = None if server.link_up is None else "up" if server.link_up else "down"
    role = "unknown" if server.is_master is None else "master" if server.is_master else "replica"
    return d.RedisServer(name=server.name, reachable=server.reachable, role=role, link=link, trouble=server.trouble)


def _topology(seen: model.Snapshot) -> d.Topology:
    leader = seen.leader
    return d.Topology(
        leader=leader.name if leader else None,
        timeline=leader.timeline if leader else None,
        paused=seen.paused,
        synchronous_mode=str(seen.settings.get("synchronous_mode") or ""),
        members=[_member(server) for server in seen.servers],
        routers=[_router(router, leader.name if leader else None) for router in seen.routers],
        etcd=_etcd(seen.etcd) if seen.etcd else None,
    )


def _member(server: model.Server) -> d.Member:
    return d.Member(
        name=server.name,
        reachable=server.reachable,
        trouble=server.trouble,
        role=server.role,
        state=server.state,
        timeline=server.timeline,
        streaming=server.streaming,
        lag_bytes=server.lag_bytes,
        lag_seconds=server.lag_seconds,
        sync_state=server.sync_state,
        nofailover=server.nofailover,
        pending_restart=list(server.pending_restart),
        disk_free=server.disk_free,
        disk_size=server.disk_size,
        version=server.version,
    )


def _router(router: model.RouterView, leader: str | None) -> d.Router:
    return d.Router(
        name=router.name,
        writes=None if router.writes is None else list(router.writes),
        reads=None if router.reads is None else list(router.reads),
        agrees=None if router.writes is None or leader is None else router.writes == (leader,),
        trouble=router.trouble,
    )


def _etcd(view: model.EtcdView) -> d.Etcd:
    return d.Etcd(
        members=list(view.members),
        healthy=list(view.healthy),
        has_quorum=view.has_quorum,
        read_seconds=view.latency,
    )


def _readiness(found: model.Readiness) -> d.Readiness:
    return d.Readiness(
        verdict=found.verdict,
        findings=[
            d.Finding(
                check=one.check,
                verdict=one.verdict,
                summary=one.summary,
                subject=one.subject,
                hint=one.hint,
                runbook=f"docs/runbooks/{one.runbook}.md" if one.runbook else "",
            )
            for one in found.findings
        ],
        rpo_bytes=found.rpo_bytes,
        rto_seconds=found.rto_seconds,
    )


def _certificates(found: tuple[model.Certificate, ...]) -> list[d.Certificate]:
    return [
        d.Certificate(service=one.service, target=one.target, expires=one.expires, trouble=one.trouble) for one in found
    ]


# -- what the repository holds ------------------------------------------------------------------------------------


def holdings(seen: Holdings | OpsError, promised: house.Cluster, taken: datetime) -> dict[str, Any]:
    """The sections of a cluster that come from its repository; `promised` says what drills are held against."""
    if isinstance(seen, OpsError):
        parts = ("recovery", "backups", "packs", "drills", "schedules")
        return {**dict.fromkeys(parts, unknown(told(seen), taken)), "mirrors": {}}
    return {
        "recovery": _section(seen.continuity, lambda one: _recovery(one, seen, promised)),
        "backups": _section(seen.backups, _backups),
        "packs": _section(seen.packs, _packs),
        "mirrors": {name: _section(part, _mirror) for name, part in seen.mirrors.items()},
        "drills": _drills(seen, promised),
        "schedules": _section(seen.runs, lambda runs: _schedules(promised.schedules, runs)),
    }


def _section(part: Part[Seen], shown: Callable[[Seen], Shown]) -> d.Section[Any]:
    if part.seen is None:
        return unknown(part.trouble, part.taken)
    return d.Section[Any](read_at=part.taken, good_for=STORED, value=shown(part.seen))


def _recovery(found: Continuity, seen: Holdings, promised: house.Cluster) -> d.Recovery:
    return d.Recovery(
        start=found.start,
        end=found.end,
        frontier=found.frontier,
        promised_days=seen.promised_days,
        rpo_promised_seconds=promised.rpo_seconds,
        gaps=[
            *(_gap(gap, "missing") for gap in found.gaps),
            *(_gap(bad.gap, "damaged") for bad in found.damaged if bad.gap),
            *(_gap(bad.gap, "foreign") for bad in found.foreign if bad.gap),
        ],
        missing_histories=list(found.histories),
        damaged=_files(found.damaged),
        foreign=_files(found.foreign),
        files=found.files,
        stored_bytes=found.stored_bytes,
        read=found.read,
    )


def _gap(gap: Gap, cause: Any) -> d.Gap:
    return d.Gap(cause=cause, first=gap.first, last=gap.last, segments=gap.segments, since=gap.since, until=gap.until)


def _files(bad: tuple[BadFile, ...]) -> list[str]:
    return [f"{one.name}: {one.detail}" for one in bad]


def _backups(found: Backups) -> d.Backups:
    return d.Backups(found=[_backup(one) for one in found.found], damaged=list(found.damaged))


def _backup(one: Backup) -> d.Backup:
    return d.Backup(
        id=one.id,
        started_at=one.start_time,
        stopped_at=one.stop_time,
        duration_seconds=(one.stop_time - one.start_time).total_seconds(),
        size=one.size,
        new_bytes=one.new_bytes,
        stored_bytes=one.stored_bytes,
        host=one.host,
        from_standby=one.from_standby,
        damaged_pages=one.damaged_pages,
    )


def _packs(found: Packs) -> d.Packs:
    return d.Packs(
        count=found.count,
        stored_bytes=found.stored_bytes,
        oldest_read=found.oldest,
        unread=found.unread,
        damaged=list(found.damaged),
    )


def _mirror(behind: Behind) -> d.Mirror:
    return d.Mirror(backups=behind.backups, objects=behind.objects, size=behind.size, seconds=behind.seconds)


def _drills(seen: Holdings, promised: house.Cluster) -> d.Section[Any]:
    """Both kinds in one: a restore and a failover are proven on the same page."""
    restores: Part[Drills] = seen.drills
    failovers: Part[Failovers] = seen.failovers
    if restores.seen is None or failovers.seen is None:
        return unknown(restores.trouble or failovers.trouble, restores.taken)
    value = d.Drills(
        rto_promised_seconds=promised.rto_seconds,
        rpo_promised_seconds=promised.rpo_seconds,
        restores=[_restore(one) for one in restores.seen.found],
        failovers=[_failover(one) for one in failovers.seen.found],
        damaged=[*restores.seen.damaged, *failovers.seen.damaged],
    )
    return d.Section[Any](read_at=restores.taken, good_for=STORED, value=value)


def _restore(one: Evidence) -> d.RestoreDrill:
    return d.RestoreDrill(
        id=one.id,
        started_at=one.started_at,
        finished_at=one.finished_at,
        proven=one.proven,
        why=one.why,
        asked=one.asked,
        target=_moment(one),
        backup=one.backup.id if one.backup else None,
        rto_seconds=one.rto.seconds if one.rto else None,
        rpo_seconds=one.rpo.seconds if one.rpo else None,
    )


def _moment(one: Evidence) -> datetime | None:
    """The moment that was restored to. The latest one is that of the newest commit."""
    try:
        target = parse(one.target) if one.target else None
    except ValueError:
        return None
    if isinstance(target, AtTime):
        return target.time.astimezone(UTC)
    return one.newest_commit.time if target and one.newest_commit else None


def _failover(one: Failover) -> d.FailoverDrill:
    return d.FailoverDrill(
        id=one.id,
        kind=one.kind,
        started_at=one.started_at,
        verdict=one.verdict,
        reasons=list(one.reasons),
        write_gap_seconds=one.write_gap,
        read_gap_seconds=one.read_gap,
        redundant_seconds=one.redundant,
        lost=one.lost,
        late=one.late,
    )


def _schedules(declared: Mapping[str, str], runs: Mapping[Job, datetime]) -> list[d.Schedule]:
    """What the leader does in the database leaves no trace in the store; metrics tell of it."""
    jobs = [job for job in JOBS if job in declared and job not in OF_THE_LEADER]
    return [d.Schedule(job=job, calendar=declared[job], last_run=runs.get(job)) for job in jobs]


def told(error: OpsError) -> str:
    """An error in a line or two."""
    return f"{error.message}: {error.detail}" if error.detail else error.message
