"""Whether each member could do the primary's work, and the old primary could follow."""

from __future__ import annotations

from collections.abc import Iterator

from ops.model.failover_checks.replication import replicas
from ops.model.failover_checks.words import names, size
from ops.model.readiness import Finding, Server, Slot, Snapshot, Verdict

# A replica with less of these than its primary stops replaying, or does not start.
AT_LEAST = (
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
)
# A new primary without the same here would do another job than the old one.
EQUAL = (
    "wal_level",
    "shared_preload_libraries",
    "synchronous_commit",
    "track_commit_timestamp",
    "wal_log_hints",
    "archive_mode",
)
IDLE_SLOT = 1024**3  # bytes of WAL that a slot may hold for somebody who is not there
SAFE_SHARE = 0.2  # of what a slot may hold: less than that left is a risk
DISK_WARNING, DISK_FAILED = 5 * 1024**3, 1024**3  # bytes free; max_wal_size is 4 GB


def slots(snapshot: Snapshot) -> Iterator[Finding]:
    """No slot of the primary has lost its WAL, or is about to, or holds it for nobody."""
    chief = snapshot.leader
    if chief is None or not chief.reachable:
        yield Finding("slots", "unknown", "there is no primary to ask", runbook="SlotRisk")
        return
    troubled = [finding for slot in chief.slots for finding in _slot(slot)]
    yield from troubled
    if not troubled:
        held = max((slot.retained for slot in chief.slots), default=0)
        yield Finding("slots", "ok", f"{len(chief.slots)} slots hold {size(held)} of WAL at most")


def _slot(slot: Slot) -> Iterator[Finding]:
    hint = f"if nobody needs it any more: SELECT pg_drop_replication_slot('{slot.name}')"
    if slot.status in ("lost", "unreserved"):
        summary = f"the slot's WAL is {slot.status}: who used it must be made anew"
        yield Finding("slots", "failed", summary, slot.name, hint, "SlotRisk")
    elif slot.safe is not None and slot.safe < SAFE_SHARE * (slot.safe + slot.retained):
        summary = f"holds {size(slot.retained)} of WAL, and loses it after {size(max(slot.safe, 0))} more"
        yield Finding("slots", "warning", summary, slot.name, hint, "SlotRisk")
    elif not slot.active and slot.retained > IDLE_SLOT:
        summary = f"holds {size(slot.retained)} of WAL for somebody who is not there"
        yield Finding("slots", "warning", summary, slot.name, hint, "SlotRisk")


def rewind(snapshot: Snapshot) -> Iterator[Finding]:
    """The old primary can be rewound and follow, without being made anew."""
    hint, runbook = "ops cluster apply (on the leader)", "FailoverNotReady"
    postgresql = snapshot.settings.get("postgresql")
    if isinstance(postgresql, dict) and not postgresql.get("use_pg_rewind"):
        summary = "use_pg_rewind is off: an old primary is made anew"
        yield Finding("rewind", "warning", summary, hint=hint, runbook=runbook)
    lacking = [server for server in snapshot.servers if server.can_rewind is False]
    for server in lacking:
        summary = f"could not be rewound: {names(server.rewind_lacks)}"
        yield Finding("rewind", "warning", summary, server.name, hint, runbook)
    unread = [server.name for server in snapshot.servers if server.reachable and server.can_rewind is None]
    if unread:
        yield Finding("rewind", "unknown", f"{names(unread)} did not say", runbook=runbook)
    elif not lacking:
        yield Finding("rewind", "ok", "an old primary can be rewound")


def settings(snapshot: Snapshot) -> Iterator[Finding]:
    """What a replica must have as large as its primary, and what must be the same, is."""
    chief = snapshot.leader
    if chief is None or not chief.settings:
        yield Finding("settings", "unknown", "the primary's settings could not be read", runbook="SettingsDiffer")
        return
    different = [finding for server in replicas(snapshot) for finding in _differences(chief, server)]
    yield from different
    if not different:
        yield Finding("settings", "ok", "what must be equal on all members is")


def _differences(chief: Server, server: Server) -> Iterator[Finding]:
    if not server.reachable:
        return  # `members` says so
    hint = "ops cluster apply; ops cluster restart"
    for name in (*AT_LEAST, *EQUAL):
        wanted, actual = chief.settings.get(name), server.settings.get(name)
        if wanted == actual:
            continue
        summary = f"{name} is {actual}, on the primary {wanted}"
        enough = name in AT_LEAST and actual is not None and wanted is not None and int(actual) > int(wanted)
        yield Finding("settings", "warning" if enough else "failed", summary, server.name, hint, "SettingsDiffer")


def libraries(snapshot: Snapshot) -> Iterator[Finding]:
    """Every member has the extensions that a database uses, in the versions that it uses."""
    if snapshot.extensions is None:
        summary = "there is no primary to ask which extensions are used"
        yield Finding("libraries", "unknown", summary, runbook="FailoverNotReady")
        return
    complete = True
    for server in snapshot.servers:
        missing = [name for name in snapshot.extensions if name not in server.libraries]
        if server.reachable and missing:
            complete = False
            hint = "run the deploy: it installs the packages of every member"
            yield Finding("libraries", "failed", f"has no {names(missing)}", server.name, hint, "FailoverNotReady")
    if complete:
        yield Finding("libraries", "ok", f"{len(snapshot.extensions)} extensions are there on every member")


def pending_restart(snapshot: Snapshot) -> Iterator[Finding]:
    """No member waits for a restart to take up its settings."""
    due = [server for server in snapshot.servers if server.pending_restart]
    for server in due:
        summary = f"waits for a restart: {names(server.pending_restart)}"
        yield Finding("pending_restart", "warning", summary, server.name, "ops cluster restart", "PendingRestart")
    if not due:
        yield Finding("pending_restart", "ok", "nobody waits for a restart")


def disk(snapshot: Snapshot) -> Iterator[Finding]:
    """Each member's disk has room for WAL that cannot be archived for a while."""
    for server in snapshot.servers:
        if server.disk_free is None:
            summary = server.disk_trouble or "its disk could not be seen"
            yield Finding("disk", "unknown", summary, server.name, "df (there)", "DiskFull")
        elif server.disk_free < DISK_WARNING:
            verdict: Verdict = "failed" if server.disk_free < DISK_FAILED else "warning"
            summary = f"{size(server.disk_free)} are free"
            yield Finding("disk", verdict, summary, server.name, "ops wal status; df (there)", "DiskFull")
        else:
            yield Finding("disk", "ok", f"{size(server.disk_free)} are free", server.name)
