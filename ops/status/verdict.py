"""What is wrong with what a document shows. Pure.

Only facts are held against what is promised: how old a backup may be, or how full a disk, is for the alerts to say, and
what they say is shown first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from ops.model.readiness import Verdict
from ops.status.document import (
    Alerts,
    Cluster,
    Drills,
    Finding,
    Problem,
    Readiness,
    Recovery,
    Redis,
    Section,
    Severity,
)
from ops.status.words import clock, counted, duration, span

# From the worst to the best: in this order somebody should look at them.
ORDER: tuple[Verdict, ...] = ("failed", "unknown", "warning", "ok")
_OF_ALERT: dict[Severity, Verdict] = {"page": "failed", "ticket": "warning", "info": "ok"}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The one to act on; ok for none."""
    return min(verdicts, key=ORDER.index, default="ok")


def problems(
    *,
    alerts: Section[Alerts] | None,
    clusters: Iterable[Cluster],
    redis: Mapping[str, Section[Redis]],
    now: datetime,
) -> list[Problem]:
    """What is wrong, and what could not be found out, in the order in which to look at it; the same thing once."""
    found = [*_of_alerts(alerts, now)]
    for cluster in clusters:
        found += _of_cluster(cluster, now)
    for name, group in redis.items():
        found += _of_redis(name, group, now)
    once = {(problem.where, problem.what): problem for problem in reversed(found)}
    wrong = [problem for problem in reversed(once.values()) if problem.verdict != "ok"]
    return sorted(wrong, key=lambda problem: ORDER.index(problem.verdict))


def _sections(where: str, sections: Mapping[str, Section[Any]], now: datetime) -> Iterator[Problem]:
    """Parts that are unknown, those for the same reason together, and those too old to go by."""
    reasons: dict[str, list[str]] = {}
    for what, section in sections.items():
        if section.is_unknown:
            reasons.setdefault(section.trouble or "not read", []).append(what)
    for trouble, parts in reasons.items():
        yield Problem(verdict="unknown", where=where, what=f"{_listed(parts)} unknown: {trouble}")
    for what, section in sections.items():
        if not section.is_unknown and section.is_stale(now):
            age = span(section.read_at, now)
            yield Problem(verdict="unknown", where=where, what=f"{what}: what is known is {age} old")


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _of_alerts(section: Section[Alerts] | None, now: datetime) -> Iterator[Problem]:
    if section is None:
        return
    yield from _sections("", {"alerts": section}, now)
    if section.value is None:
        return
    for alert in section.value.firing:
        yield Problem(
            verdict=_OF_ALERT[alert.severity],
            where=alert.where,
            what=f"{alert.name}: {alert.summary}",
            hint=alert.hint,
            runbook=alert.runbook,
            alert=alert.name,
        )
    if section.value.heartbeat is False:
        yield Problem(
            verdict="failed",
            where="",
            what="the alert that always fires does not: nobody would be told of any other",
            hint="See that Prometheus evaluates its rules, and reaches the Alertmanager.",
        )


def _of_cluster(cluster: Cluster, now: datetime) -> Iterator[Problem]:
    parts: dict[str, Section[Any]] = {
        "members": cluster.topology,
        "readiness": cluster.readiness,
        "recovery window": cluster.recovery,
        "backups": cluster.backups,
        "packs": cluster.packs,
        "drills": cluster.drills,
        "schedules": cluster.schedules,
        **{f"copy {name}": mirror for name, mirror in cluster.mirrors.items()},
    }
    yield from _sections(cluster.name, parts, now)
    yield from _of_readiness(cluster.name, cluster.readiness.value)
    if cluster.recovery.value:
        yield from _of_recovery(cluster.name, cluster.recovery.value, cluster.recovery.read_at)
    for damaged in cluster.backups.value.damaged if cluster.backups.value else ():
        yield Problem(verdict="failed", where=cluster.name, what=damaged, hint="ops backup verify")
    if cluster.packs.value and cluster.packs.value.damaged:
        what = f"{counted(len(cluster.packs.value.damaged), 'pack')} of backups are damaged in the store"
        yield Problem(verdict="failed", where=cluster.name, what=what, hint="ops backup verify")
    if cluster.drills.value:
        yield from _of_drills(cluster.name, cluster.drills.value)


def _of_readiness(cluster: str, readiness: Readiness | None) -> Iterator[Problem]:
    for finding in readiness.findings if readiness else ():
        if finding.verdict != "ok":
            yield Problem(
                verdict=finding.verdict,
                where=cluster,
                what=_subject(finding),
                hint=finding.hint,
                runbook=finding.runbook,
            )


def _subject(finding: Finding) -> str:
    if not finding.subject or finding.subject in finding.summary:
        return finding.summary
    return f"{finding.subject}: {finding.summary}"


def _of_recovery(cluster: str, recovery: Recovery, now: datetime) -> Iterator[Problem]:
    if recovery.start is None or recovery.end is None:
        yield Problem(
            verdict="failed",
            where=cluster,
            what="nothing can be recovered: there is no base backup with the WAL that it needs",
            hint="ops backup create",
        )
        return
    for gap in recovery.gaps:
        names = gap.first if gap.segments == 1 else f"{gap.first} to {gap.last}"
        since = clock(gap.since) or clock(recovery.start)
        until = f"{clock(gap.until)} UTC" if gap.until else "now: no backup lies behind it yet"
        what = f"WAL {names} is {gap.cause}: no recovery to a moment from {since} to {until}"
        yield Problem(verdict="failed", where=cluster, what=what, hint="ops wal gaps")
    for history in recovery.missing_histories:
        what = f"{history} is missing: a recovery cannot follow that timeline"
        yield Problem(verdict="failed", where=cluster, what=what, hint="ops wal gaps")
    late = (now - recovery.end).total_seconds()
    if late > recovery.rpo_promised_seconds and not any(gap.until is None for gap in recovery.gaps):
        promised = duration(recovery.rpo_promised_seconds)
        what = f"the newest WAL that can be recovered came {duration(late)} ago; {promised} are promised"
        yield Problem(verdict="failed", where=cluster, what=what, hint="ops wal status")


def _of_drills(cluster: str, drills: Drills) -> Iterator[Problem]:
    for damaged in drills.damaged:
        yield Problem(verdict="warning", where=cluster, what=damaged)
    if not drills.restores:
        yield Problem(
            verdict="warning", where=cluster, what="no restore was ever tried", hint="ops drill restore --target random"
        )
    for restore in drills.restores[-1:]:
        if not restore.proven:
            what, hint = f"the last restore drill failed: {restore.why}", f"ops drill show {restore.id}"
            yield Problem(verdict="failed", where=cluster, what=what, hint=hint)
        elif restore.rto_seconds and restore.rto_seconds > drills.rto_promised_seconds:
            took, promised = duration(restore.rto_seconds), duration(drills.rto_promised_seconds)
            what = f"the last restore drill took {took}; {promised} are promised"
            yield Problem(verdict="failed", where=cluster, what=what)
    newest = {drill.kind: drill for drill in drills.failovers}
    for kind, drill in newest.items():
        if drill.verdict != "passed":
            why = "; ".join(drill.reasons)
            what = f"the last {kind} drill did not pass: {why}"
            yield Problem(verdict="failed" if drill.verdict == "failed" else "unknown", where=cluster, what=what)


def _of_redis(name: str, section: Section[Redis], now: datetime) -> Iterator[Problem]:
    yield from _sections(name, {"servers": section}, now)
    yield from _of_readiness(name, section.value.readiness if section.value else None)
