"""Whether clients would be led to a new primary, and whether there is anything to fall back on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from ops.model.failover_checks.replication import may_lead, replicas
from ops.model.failover_checks.words import age, names
from ops.model.readiness import Certificate, Finding, RouterView, Snapshot

EXPIRES_SOON = timedelta(days=14)  # the deploy renews what has 30 days left


def routers(snapshot: Snapshot) -> Iterator[Finding]:
    """Every router leads writes to whom Patroni calls the leader, and reads to replicas."""
    for view in snapshot.routers:
        yield from _router(snapshot, view)


def _router(snapshot: Snapshot, view: RouterView) -> Iterator[Finding]:
    runbook, chief = "RouterDisagrees", snapshot.leader
    hint = "on the router: journalctl -u haproxy, for what its checks were answered"
    if view.writes is None or view.reads is None:
        hint = "systemctl status haproxy (there)"
        yield Finding("routers", "unknown", f"does not answer: {view.trouble}", view.name, hint, "RouterDown")
        return
    if chief is None:
        summary = f"leads writes to {names(view.writes)}; Patroni names no leader"
        yield Finding("routers", "unknown", summary, view.name, "patronictl list", runbook)
        return
    if view.writes != (chief.name,):
        summary = f"leads writes to {names(view.writes)}, and Patroni says {chief.name} leads"
        yield Finding("routers", "failed", summary, view.name, hint, runbook)
        return
    expected = {server.name for server in replicas(snapshot) if may_lead(server)}
    if missing := expected - set(view.reads):
        summary = f"leads no reads to {names(sorted(missing))}"
        yield Finding("routers", "warning", summary, view.name, hint, runbook)
        return
    yield Finding("routers", "ok", f"leads writes to {chief.name}, reads to {names(view.reads)}", view.name)


def certificates(snapshot: Snapshot) -> Iterator[Finding]:
    """No certificate on the wire has expired, or is about to."""
    yield from judge_certificates("certificates", snapshot.certificates, snapshot.taken)


def judge_certificates(check: str, shown: tuple[Certificate, ...], now: datetime) -> Iterator[Finding]:
    """The same for the certificates of anything. In a line each: the good ones, and a host's that could not be read."""
    yield from _unread(check, shown)
    hint = "run the deploy: it renews certificates, and reloads who shows them"
    left = {f"{one.service} {one.target}": one.expires - now for one in shown if one.expires is not None}
    for subject, span in left.items():
        if span <= timedelta():
            yield Finding(check, "failed", f"expired {age(-span)} ago", subject, hint, "CertificateExpiry")
        elif span < EXPIRES_SOON:
            yield Finding(check, "warning", f"expires in {age(span)}", subject, hint, "CertificateExpiry")
    if good := [span for span in left.values() if span >= EXPIRES_SOON]:
        yield Finding(check, "ok", f"{len(good)} are good for {age(min(good))} at least")


def _unread(check: str, shown: tuple[Certificate, ...]) -> Iterator[Finding]:
    hosts: dict[str, list[Certificate]] = {}
    for one in shown:
        if one.expires is None:
            hosts.setdefault(one.target.rpartition(":")[0], []).append(one)
    for host, unread in hosts.items():
        summary = f"could not be read: {names(one.service for one in unread)} ({unread[0].trouble})"
        yield Finding(check, "unknown", summary, host, runbook="CertificateUnreadable")


@dataclass(frozen=True)
class Proof:
    """What is to be proven again and again: the words for it, how old it may be, and what to do about it."""

    check: str
    what: str
    words: str
    limit: timedelta
    hint: str
    runbook: str


# A segment a minute is archived, however little is written.
ARCHIVE = Proof(
    "archive", "archived WAL", "WAL was archived", timedelta(minutes=5), "ops wal status, on the primary", "ArchiveLag"
)
BACKUP = Proof(
    "backup", "backup", "the newest backup was taken", timedelta(hours=36), "ops backup create", "BackupTooOld"
)
RESTORE_DRILL = Proof(
    "restore_drill",
    "restore drill",
    "a restore was proven",
    timedelta(days=8),
    "ops drill restore, on a drill host",
    "DrillTooOld",
)
FAILOVER_DRILL = Proof(
    "failover_drill",
    "failover drill",
    "a failover drill passed",
    timedelta(days=35),
    "ops failover drill switchover, from the controller",
    "DrillTooOld",
)


def archive(snapshot: Snapshot) -> Iterator[Finding]:
    """WAL has come to the repository just now."""
    yield _aged(snapshot, ARCHIVE, snapshot.proof.wal_archived)


def backup(snapshot: Snapshot) -> Iterator[Finding]:
    """There is a backup, and it is not old."""
    yield _aged(snapshot, BACKUP, snapshot.proof.backup)


def restore_drill(snapshot: Snapshot) -> Iterator[Finding]:
    """Not long ago a restore was proven."""
    yield _drilled(snapshot, RESTORE_DRILL, snapshot.proof.restore_drill, snapshot.proof.restore_proven)


def failover_drill(snapshot: Snapshot) -> Iterator[Finding]:
    """Not long ago a failover went well, on purpose."""
    yield _drilled(snapshot, FAILOVER_DRILL, snapshot.proof.failover_drill, snapshot.proof.failover_passed)


def _drilled(snapshot: Snapshot, proof: Proof, moment: datetime | None, went_well: bool | None) -> Finding:
    if moment is not None and went_well is None:
        summary = "the newest drill's outcome could not be read"
        return Finding(proof.check, "unknown", summary, hint=proof.hint, runbook=proof.runbook)
    if moment is not None and not went_well:
        summary = f"the newest drill, {age(snapshot.taken - moment)} ago, failed"
        return Finding(proof.check, "warning", summary, hint=proof.hint, runbook="DrillFailed")
    return _aged(snapshot, proof, moment)


def _aged(snapshot: Snapshot, proof: Proof, moment: datetime | None) -> Finding:
    """Old proof is a warning: a failover would go no worse for it today."""
    if moment is None and snapshot.proof.trouble:
        return Finding(proof.check, "unknown", snapshot.proof.trouble, hint=proof.hint, runbook=proof.runbook)
    if moment is None:
        return Finding(proof.check, "warning", f"there is no {proof.what} yet", hint=proof.hint, runbook=proof.runbook)
    span = max(snapshot.taken - moment, timedelta())
    summary = f"{proof.words} {age(span)} ago"
    if span > proof.limit:
        return Finding(proof.check, "warning", summary, hint=proof.hint, runbook=proof.runbook)
    return Finding(proof.check, "ok", summary)
