"""Documents of the status page as a fleet like the lab's would show them: all well, and with much that is wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ops.model.readiness import Verdict
from ops.status import document as d
from ops.status.verdict import problems, worst

NOW = datetime(2026, 11, 22, 2, 14, 33, tzinfo=UTC)
GIB, MIB = 1 << 30, 1 << 20
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def well() -> d.Document:
    """Two clusters, Redis, certificates: nothing to do."""
    return _document(_alerts(), [_main(), _analytics()], {"redis_cache": part(_redis())})


def troubled() -> d.Document:
    """A gap, a failed drill, a member that is gone, alerts, parts that are unknown, and one that is stale."""
    firing = [
        d.Alert(
            name="WalGap", severity="page", where="pg_main", since=NOW - 9 * MINUTE,
            summary="WAL of pg_main is missing in the repository: moments behind it cannot be recovered",
            hint="ops wal gaps", runbook="docs/runbooks/WalGap.md",
        ),
        d.Alert(
            name="ReplicaNotStreaming", severity="ticket", where="pg3", since=NOW - 4 * MINUTE,
            summary="pg3 receives no WAL", hint="ops failover check pg_main",
            runbook="https://git.example.com/pend/docs/runbooks/ReplicaNotStreaming.md",
        ),
    ]  # fmt: skip
    analytics = _analytics().model_copy(
        update={
            "recovery": part(
                _recovery(30).model_copy(update={"end": NOW - 25 * MINUTE - timedelta(seconds=3)}),
                read_at=NOW - 25 * MINUTE,
            ),
            "topology": lost("ts1 and ts2 do not answer on port 8008: timed out after 5 s"),
            "readiness": lost("ts1 and ts2 do not answer on port 8008: timed out after 5 s"),
        }
    )
    wrong = d.Finding(
        check="redis_servers", verdict="failed", subject="r1", summary="it does not answer: connection refused",
        hint="Look at the host: ssh r1 systemctl status redis-server", runbook="docs/runbooks/RedisServerDown.md",
    )  # fmt: skip
    redis = _redis(NOW + 5 * DAY).model_copy(
        update={
            "servers": [
                d.RedisServer(name="r1", reachable=False, role="unknown", link=None, trouble="connection refused"),
                d.RedisServer(name="r2", reachable=True, role="master", link=None, trouble=""),
                d.RedisServer(name="r3", reachable=True, role="replica", link="up", trouble=""),
            ],
            "masters": ["r2"],
            "agreeing": 2,
            "readiness": d.Readiness(verdict="not_ready", findings=[wrong], rpo_bytes=None, rto_seconds=None),
        }
    )
    return _document(_alerts(firing, silenced=1), [_broken(_main()), analytics], {"redis_cache": part(redis)})


def hostile() -> d.Document:
    """Names and messages that a browser would make something else of, were they not escaped."""
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
    main = _main().model_copy(update={"topology": lost(evil), "packs": lost(evil)})
    alert = d.Alert(
        name=evil, severity="page", summary=evil, hint=evil, where=evil, since=NOW,
        runbook='https://git.example.com/"onmouseover="alert(3)',
    )  # fmt: skip
    return _document(_alerts([alert]), [main], {evil: lost(evil)})


def part(
    value: d.Value, *, read_at: datetime = NOW - timedelta(seconds=2), good_for: float = 600
) -> d.Section[d.Value]:
    return d.Section[d.Value](read_at=read_at, good_for=good_for, value=value)


def lost(trouble: str) -> d.Section[d.Value]:
    return d.Section(read_at=NOW, good_for=600, trouble=trouble)


def _document(alerts: d.Alerts, clusters: list[d.Cluster], redis: dict[str, d.Section[d.Redis]]) -> d.Document:
    section = part(alerts)
    found = problems(alerts=section, clusters=clusters, redis=redis, now=NOW)
    return d.Document(
        site="pend-lab", host="mon1", version="0.1.0", taken=NOW, verdict=worst(one.verdict for one in found),
        problems=found, alerts=section, clusters=clusters, redis=redis,
    )  # fmt: skip


def _alerts(firing: list[d.Alert] | None = None, silenced: int = 0) -> d.Alerts:
    return d.Alerts(source="Alertmanager on mon1", firing=firing or [], silenced=silenced, heartbeat=True)


def _main() -> d.Cluster:
    members = [_member("pg1", "leader"), _member("pg2", "quorum_standby"), _member("pg3", "replica", lag=24 * 1024)]
    return _cluster("pg_main", members, days=30, routers=["lb1", "lb2"])


def _analytics() -> d.Cluster:
    return _cluster(
        "pg_analytics", [_member("ts1", "leader"), _member("ts2", "sync_standby")], days=30, routers=["lb1"]
    )


def _broken(main: d.Cluster) -> d.Cluster:
    assert main.topology.value is not None
    gone = _member("pg3", "replica").model_copy(
        update={
            "reachable": False, "state": "unknown", "timeline": None, "lag_bytes": None, "streaming": False,
            "trouble": "connection timed out", "disk_free": None,
        }
    )  # fmt: skip
    router = d.Router(name="lb2", writes=["pg2"], reads=["pg1"], agrees=False, trouble="")
    topology = main.topology.value.model_copy(
        update={
            "members": [*main.topology.value.members[:2], gone],
            "routers": [main.topology.value.routers[0], router],
        }
    )
    assert main.drills.value is not None
    failed = _restore(0, rto=4720, why="it stopped at the target: replay ended 14 s before it, at a missing segment")
    drills = main.drills.value.model_copy(
        update={
            "restores": [*main.drills.value.restores[1:], failed],
            "failovers": [
                *main.drills.value.failovers,
                _failover("partition", 2, 31.4, lost=3, why="3 of 5120 acknowledged rows are lost"),
            ],
        }
    )
    gap = d.Gap(
        cause="missing", first="000000040000000A000000C4", last="000000040000000A000000C6", segments=3,
        since=NOW - 74 * HOUR, until=NOW - 48 * HOUR + 4 * MINUTE,
    )  # fmt: skip
    recovery = _recovery(30).model_copy(update={"gaps": [gap], "end": NOW - 14 * MINUTE})
    return main.model_copy(
        update={
            "topology": part(topology),
            "readiness": part(_not_ready()),
            "recovery": part(recovery),
            "drills": part(drills),
            "packs": lost("s3://pend-backup at https://s3:8334 did not answer: read timed out after 10 s"),
            "mirrors": {"offsite": part(d.Mirror(backups=1, objects=412, size=6 * GIB, seconds=5.2 * 3600))},
        }
    )


def _cluster(name: str, members: list[d.Member], *, days: int, routers: list[str]) -> d.Cluster:
    writer, *others = [member.name for member in members]
    views = [d.Router(name=one, writes=[writer], reads=others, agrees=True, trouble="") for one in routers]
    etcd = d.Etcd(members=["pg1", "pg2", "pg3"], healthy=["pg1", "pg2", "pg3"], has_quorum=True, read_seconds=0.004)
    found = [_backup(writer if age % 7 == 0 else others[0], age) for age in range(days, -1, -1)]
    return d.Cluster(
        name=name,
        topology=part(
            d.Topology(
                leader=writer, timeline=4, paused=False, synchronous_mode="quorum", members=members, routers=views,
                etcd=etcd,
            )
        ),
        readiness=part(_ready(members)),
        recovery=part(_recovery(days)),
        backups=part(d.Backups(found=found, damaged=[])),
        packs=part(d.Packs(count=612, stored_bytes=31 * GIB, oldest_read=NOW - 26 * DAY, unread=8, damaged=[])),
        mirrors={"offsite": part(d.Mirror(backups=0, objects=0, size=0, seconds=0))},
        drills=part(_drills()),
        schedules=part(
            [
                d.Schedule(job="backup", calendar="*-*-* 02:00:00", last_run=found[-1].stopped_at),
                d.Schedule(job="verify", calendar="*-*-* 05:00:00", last_run=NOW - 21 * HOUR),
                d.Schedule(job="expire", calendar="*-*-* 06:00:00", last_run=NOW - 20 * HOUR),
                d.Schedule(job="mirror", calendar="hourly", last_run=None),
            ]
        ),
        certificates=part(
            [
                d.Certificate(service=service, target=f"{one.name}:{port}", expires=NOW + 74 * DAY, trouble="")
                for one in members
                for service, port in (("postgresql", 5432), ("pgbouncer", 6432), ("patroni", 8008))
            ]
        ),
    )  # fmt: skip


def _member(name: str, role: str, lag: int = 0) -> d.Member:
    leads = role == "leader"
    return d.Member(
        name=name, reachable=True, trouble="", role=role, state="running" if leads else "streaming", timeline=4,
        streaming=None if leads else True, lag_bytes=None if leads else lag, lag_seconds=0.8 if lag else None,
        sync_state={"quorum_standby": "quorum", "sync_standby": "sync"}.get(role), nofailover=False, pending_restart=[],
        disk_free=148 * GIB, disk_size=220 * GIB, version="15.18",
    )  # fmt: skip


def _ready(members: list[d.Member]) -> d.Readiness:
    checks: list[tuple[str, Verdict, str]] = [
        ("etcd", "ok", "3 of 3 members answer, a linearizable read takes 4 ms"),
        ("leader", "ok", f"{members[0].name} leads, and nobody else accepts writes"),
        ("lag", "ok", "every replica is within 16 MiB of the primary"),
        ("timelines", "ok", "all are on timeline 4"),
        ("synchronous", "ok", "a commit waits for one replica, and there is one"),
        ("routers", "ok", "every router sends writes to the primary"),
    ]
    findings = [
        d.Finding(check=check, verdict=verdict, summary=summary, subject="", hint="", runbook="")
        for check, verdict, summary in checks
    ]
    return d.Readiness(verdict="ready", findings=findings, rpo_bytes=0, rto_seconds=22)


def _not_ready() -> d.Readiness:
    ready = _ready([_member("pg1", "leader")])
    wrong = [
        d.Finding(
            check="members", verdict="failed", subject="pg3", summary="it does not answer: connection timed out",
            hint="Look at the host first: ssh pg3 systemctl status patroni", runbook="docs/runbooks/MemberDown.md",
        ),
        d.Finding(
            check="routers", verdict="failed", subject="lb2", summary="it sends writes to pg2, and pg1 leads",
            hint="See what it says: ssh lb2 journalctl -u haproxy -n 50", runbook="docs/runbooks/RouterDisagrees.md",
        ),
        d.Finding(
            check="restart", verdict="warning", subject="pg2", summary="shared_buffers waits for a restart",
            hint="ops cluster restart pg_main", runbook="",
        ),
    ]  # fmt: skip
    return d.Readiness(verdict="not_ready", findings=[*wrong, *ready.findings[:3]], rpo_bytes=3 * MIB, rto_seconds=None)


def _recovery(days: int) -> d.Recovery:
    return d.Recovery(
        start=NOW - days * DAY - 11 * MINUTE, end=NOW - timedelta(seconds=5), frontier="000000040000000B00000021",
        promised_days=30, rpo_promised_seconds=120, gaps=[], missing_histories=[], damaged=[], foreign=[],
        files=43_411, stored_bytes=118 * GIB, read=43_002,
    )  # fmt: skip


def _backup(host: str, age: int) -> d.Backup:
    started = NOW - age * DAY - 14 * MINUTE
    return d.Backup(
        id=started.strftime("%Y%m%dT%H%M%SZ"), started_at=started, stopped_at=started + 3 * MINUTE,
        duration_seconds=174.2, size=212 * GIB, new_bytes=(900 + 37 * (age % 5)) * MIB, stored_bytes=31 * GIB,
        host=host, from_standby=True, damaged_pages=0,
    )  # fmt: skip


def _drills() -> d.Drills:
    return d.Drills(
        rto_promised_seconds=3600,
        rpo_promised_seconds=120,
        restores=[_restore(age, rto=2100 + 190 * (age % 3)) for age in (28, 23, 17, 12, 6, 1)],
        failovers=[
            _failover("switchover", 20, 1.12),
            _failover("postgres-kill", 13, 5.31),
            _failover("host-kill", 9, 17.8),
        ],
        damaged=[],
    )


def _restore(age: int, *, rto: float, why: str = "") -> d.RestoreDrill:
    started = NOW - age * DAY - 3 * HOUR
    return d.RestoreDrill(
        id=started.strftime("%Y%m%dT%H%M%SZ-1f0c"), started_at=started, finished_at=started + timedelta(seconds=rto),
        proven=not why, why=why, asked="random", target=started - 40 * HOUR, rto_seconds=rto,
        rpo_seconds=None if why else 31.5, backup=None,
    )  # fmt: skip


def _failover(kind: str, age: int, gap: float, *, lost: int = 0, why: str = "") -> d.FailoverDrill:
    return d.FailoverDrill(
        id=f"{kind}-{age}", kind=kind, started_at=NOW - age * DAY, verdict="failed" if why else "passed",
        reasons=[why] if why else [], write_gap_seconds=gap, read_gap_seconds=gap / 8, redundant_seconds=gap * 2,
        lost=lost, late=0,
    )  # fmt: skip


def _redis(soonest: datetime = NOW + 61 * DAY) -> d.Redis:
    return d.Redis(
        mode="sentinel",
        masters=["r1"],
        servers=[
            d.RedisServer(name="r1", reachable=True, role="master", link=None, trouble=""),
            d.RedisServer(name="r2", reachable=True, role="replica", link="up", trouble=""),
            d.RedisServer(name="r3", reachable=True, role="replica", link="up", trouble=""),
        ],
        sentinels=3,
        agreeing=3,
        readiness=_ready([_member("r1", "leader")]),
        certificates=[
            d.Certificate(service=service, target=f"r{number}:{port}", expires=soonest + number * DAY, trouble="")
            for number in (1, 2, 3)
            for service, port in (("redis", 6379), ("sentinel", 26379))
        ],
    )
