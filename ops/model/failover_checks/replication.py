"""Whether there is somebody to take over, and whether everybody would agree on it."""

from __future__ import annotations

from collections.abc import Iterator

from ops.model.failover_checks.words import age, names, size
from ops.model.readiness import Finding, Server, Snapshot, Verdict

SLOW_READ = 0.5  # seconds that a linearizable read may take; Patroni gives up after retry_timeout
LAG_LIMIT = 1024 * 1024  # bytes: Patroni's own maximum_lag_on_failover where the cluster sets none
LAG_WARNING, LAG_FAILED = 10.0, 60.0  # seconds that a replica's newest commit may be old
HEALTHY_STATES = ("running", "streaming")
SYNCHRONOUS_ROLES = ("sync_standby", "quorum_standby")


def etcd(snapshot: Snapshot) -> Iterator[Finding]:
    """A majority of etcd answers, and soon: without one nobody can become the leader."""
    view, runbook = snapshot.etcd, "EtcdNoQuorum"
    if view is None:
        yield Finding("etcd", "unknown", "the fleet map names no etcd", runbook=runbook)
        return
    away = {name: view.troubles.get(name, "does not answer") for name in view.members if name not in view.healthy}
    if not view.has_quorum:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in away.items())
        summary = f"{len(view.healthy)} of {len(view.members)} answer for a majority: {reasons}"
        yield Finding("etcd", "failed", summary, hint="systemctl status etcd, on each of them", runbook=runbook)
        return
    for name, reason in away.items():
        summary = f"{reason}; {names(view.healthy)} are the majority"
        yield Finding("etcd", "warning", summary, name, "systemctl status etcd (there)", "EtcdMemberDown")
    if view.latency is None:
        yield Finding("etcd", "unknown", "no member answered a read", hint="ops etcd members", runbook=runbook)
    elif view.latency > SLOW_READ:
        summary = f"a read takes {view.latency:.2f} s; Patroni steps down where etcd is slower than retry_timeout"
        yield Finding("etcd", "warning", summary, hint="look at the disks of etcd's members", runbook="EtcdSlow")
    elif not away:
        count = len(view.healthy)
        yield Finding("etcd", "ok", f"{count} of {len(view.members)} answer, a read takes {view.latency * 1e3:.0f} ms")


def leader(snapshot: Snapshot) -> Iterator[Finding]:
    """One leader, which accepts writes, and nobody else who does."""
    writable = [server.name for server in snapshot.servers if server.writable]
    if len(writable) > 1:
        hint = "find out who leads (patronictl list), and stop the other one's PostgreSQL at once"
        yield Finding("leader", "failed", f"{names(writable)} accept writes", hint=hint, runbook="SplitBrain")
    if snapshot.trouble:
        yield Finding("leader", "unknown", snapshot.trouble, hint="patronictl list", runbook="NoPrimary")
        return
    chief = snapshot.leader
    if chief is None:
        hint = "patronictl list; journalctl -u patroni, on each member"
        yield Finding("leader", "failed", "nobody leads", hint=hint, runbook="NoPrimary")
    elif chief.writable is None:
        summary = f"leads, and was not seen to accept writes: {chief.trouble}"
        yield Finding("leader", "unknown", summary, chief.name, "patronictl list", "NoPrimary")
    elif not chief.writable and chief.role == "leader":
        summary = "leads, and does not accept writes"
        yield Finding("leader", "failed", summary, chief.name, "patronictl list", "NoPrimary")
    elif len(writable) < 2:
        yield Finding("leader", "ok", "leads, and nobody else accepts writes", chief.name)


def members(snapshot: Snapshot) -> Iterator[Finding]:
    """Every member's PostgreSQL answers, and so does its Patroni, which takes part in the election."""
    for server in snapshot.servers:
        # Where nobody could tell of the cluster, what Patroni says of a member is not known rather than bad.
        is_fine = bool(snapshot.trouble) or server.state in HEALTHY_STATES
        if not server.reachable:
            summary, hint = f"its PostgreSQL does not answer: {server.trouble}", "journalctl -u patroni (there)"
        elif not is_fine:
            said = "it is no member" if server.role == "unknown" else f"{server.role}, {server.state}"
            summary, hint = f"Patroni says of it: {said}", "journalctl -u patroni (there)"
        elif server.api_trouble:
            summary, hint = f"its Patroni does not answer: {server.api_trouble}", "systemctl status patroni (there)"
        else:
            yield Finding("members", "ok", f"{server.role}, {server.state}", server.name)
            continue
        runbook = "ReplicaDisconnected" if server is not snapshot.leader else "NoPrimary"
        yield Finding("members", "failed", summary, server.name, hint, runbook)


def paused(snapshot: Snapshot) -> Iterator[Finding]:
    """Patroni acts by itself. While it is paused, nobody takes over."""
    if snapshot.paused is None:
        yield Finding("paused", "unknown", snapshot.trouble or "Patroni does not say", runbook="ClusterPaused")
    elif snapshot.paused:
        summary = "Patroni is paused: nobody takes over"
        yield Finding("paused", "failed", summary, hint="patronictl resume", runbook="ClusterPaused")
    else:
        yield Finding("paused", "ok", "Patroni acts by itself")


def candidates(snapshot: Snapshot) -> Iterator[Finding]:
    """Somebody may take over: a replica that is healthy and not tagged nofailover."""
    if snapshot.trouble:
        yield Finding("candidates", "unknown", snapshot.trouble, runbook="ReplicaDisconnected")
        return
    able = [server.name for server in replicas(snapshot) if may_lead(server)]
    if able:
        yield Finding("candidates", "ok", f"{names(able)} may take over")
    else:
        hint = "patronictl list: a member that is neither running nor tagged nofailover is missing"
        yield Finding("candidates", "failed", "nobody may take over", hint=hint, runbook="ReplicaDisconnected")


def streaming(snapshot: Snapshot) -> Iterator[Finding]:
    """Each replica that answers streams from its primary."""
    for server in replicas(snapshot):
        if server.streaming:
            yield Finding("streaming", "ok", "streams", server.name)
        elif server.reachable and server.streaming is None:
            yield Finding("streaming", "unknown", "does not say whether it streams", server.name)
        elif server.reachable:
            since = "" if server.lag_seconds is None else f"; its newest commit is {age(server.lag_seconds)} old"
            summary, hint = f"has lost its primary{since}", "patronictl list; journalctl -u patroni (there)"
            yield Finding("streaming", "failed", summary, server.name, hint, "ReplicaDisconnected")


def lag(snapshot: Snapshot) -> Iterator[Finding]:
    """Each replica that answers is close: by position, and by the age of what it has replayed."""
    limit = _number(snapshot.settings.get("maximum_lag_on_failover"), LAG_LIMIT)
    for server in replicas(snapshot):
        if not server.reachable:
            continue  # `members` says so
        bytes_, seconds = server.lag_bytes, server.lag_seconds
        verdict, hint = _lag(bytes_, seconds, limit)
        if bytes_ is None:
            summary = "how far it is behind is not known: the primary's position could not be read"
        else:
            summary = f"is {size(bytes_)} behind" + ("" if seconds is None else f"; newest commit {age(seconds)} old")
        yield Finding("lag", verdict, summary, server.name, hint, "" if verdict == "ok" else "ReplayLag")


def _lag(bytes_: int | None, seconds: float | None, limit: int) -> tuple[Verdict, str]:
    if bytes_ is not None and bytes_ > limit:
        return "failed", f"Patroni does not promote beyond maximum_lag_on_failover, {size(limit)}"
    if seconds is not None and seconds > LAG_FAILED:
        return "failed", "look for what holds its replay up: ops cluster show; pg_stat_activity (there)"
    if bytes_ is None:
        return "unknown", "ops cluster show"
    if seconds is not None and seconds > LAG_WARNING:
        return "warning", "look for what holds its replay up: pg_stat_activity (there)"
    return "ok", ""


def timelines(snapshot: Snapshot) -> Iterator[Finding]:
    """Everybody is on the leader's timeline."""
    chief = snapshot.leader
    if chief is None or chief.timeline is None:
        yield Finding("timelines", "unknown", "the leader's timeline is not known", runbook="TimelineMismatch")
        return
    different = [server for server in replicas(snapshot) if server.timeline not in (None, chief.timeline)]
    for server in different:
        summary = f"is on timeline {server.timeline}, the leader on {chief.timeline}"
        hint = f"if it does not follow within a minute: patronictl reinit {snapshot.cluster} {server.name}"
        yield Finding("timelines", "failed", summary, server.name, hint, "TimelineMismatch")
    for server in replicas(snapshot):
        if server.timeline is None and server.reachable:
            yield Finding("timelines", "unknown", "its timeline is not known", server.name, runbook="TimelineMismatch")
    if not different:
        yield Finding("timelines", "ok", f"everybody is on timeline {chief.timeline}")


def synchronous(snapshot: Snapshot) -> Iterator[Finding]:
    """As many replicas confirm commits as Patroni promises, and the primary counts on those that Patroni names."""
    runbook, mode = "SyncStandbyMissing", snapshot.settings.get("synchronous_mode")
    if snapshot.trouble:
        yield Finding("synchronous", "unknown", snapshot.trouble, runbook=runbook)
        return
    if mode in (None, False, "off"):
        hint = "the platform declares synchronous_mode quorum: ops cluster apply (on the leader)"
        summary = "commits wait for nobody: a failover may lose some"
        yield Finding("synchronous", "warning", summary, hint=hint, runbook=runbook)
        return
    wanted = _number(snapshot.settings.get("synchronous_node_count"), 1)
    named = [server.name for server in replicas(snapshot) if server.role in SYNCHRONOUS_ROLES]
    counted = [server.name for server in replicas(snapshot) if server.sync_state in ("sync", "quorum")]
    strict = bool(snapshot.settings.get("synchronous_mode_strict"))
    if len(named) < wanted:
        then = "commits wait for ever" if strict else "commits no longer wait for a replica"
        summary, hint = f"{len(named)} of {wanted} replicas confirm commits: {then}", "ops cluster show"
        yield Finding("synchronous", "failed", summary, hint=hint, runbook=runbook)
    elif snapshot.leader is None or not snapshot.leader.reachable:
        yield Finding("synchronous", "unknown", "whom the primary waits for could not be read", runbook=runbook)
    elif not set(named) <= set(counted):
        summary, hint = f"Patroni counts on {names(named)}, the primary on {names(counted)}", "patronictl list"
        yield Finding("synchronous", "failed", summary, hint=hint, runbook=runbook)
    else:
        yield Finding("synchronous", "ok", f"{wanted} of {names(named)} confirm each commit")


def replicas(snapshot: Snapshot) -> list[Server]:
    """Everybody but who leads."""
    return [server for server in snapshot.servers if server is not snapshot.leader]


def may_lead(server: Server) -> bool:
    """Whether Patroni would let it take over, as far as it itself goes."""
    return server.reachable and server.state in HEALTHY_STATES and not server.nofailover


def _number(value: object, default: int) -> int:
    return int(value) if isinstance(value, int | float | str) and str(value).isdecimal() else default
