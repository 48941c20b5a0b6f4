"""A failover drill: clients, a fault, what it cost them, and whether every row that they were promised is there."""

from __future__ import annotations

import json
import time
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import psycopg

from ops.deploys.inventory import Inventory
from ops.errors import Exit, Unreachable, UsageError
from ops.failover.clients import connect, forget, prepare, running, stored
from ops.failover.course import Course, Listener
from ops.failover.faults import Fault, Victim
from ops.failover.hosts import Hosts
from ops.failover.insider import CLIENT as INSIDER
from ops.failover.insider import insider
from ops.failover.watch import Watch
from ops.failover.ways import Ways, database_of, ways
from ops.model.drill_id import new_id
from ops.model.failover import Checked, Report, as_dict, compared, experiences, judge
from ops.model.journal import Journals

CHECK_WITHIN = 60.0
FOLLOWED_WITHIN = 30.0

Found = frozenset[tuple[str, int]]


@dataclass(frozen=True)
class Drill:
    """What is to be done to which cluster. `force`: although `ops failover check` says no, or cannot say."""

    hosts: Hosts
    cluster: str
    fault: Fault
    force: bool = False

    @property
    def inventory(self) -> Inventory:
        return self.hosts.inventory

    def refuse(self) -> None:
        """UsageError where this fault is not for these hosts, or nobody could take over."""
        if self.fault.lab_only and not self.hosts.is_lab:
            raise UsageError(
                f"{self.fault.name} is for the lab, and {self.inventory.path} is not what `ops lab up` has booted here",
                detail=f"Only the lab can bring this about, and undo it: {self.fault.what}.",
                hint="Anywhere: ops failover drill switchover, ops failover drill postgres-kill.",
            )
        if len(self.inventory.groups[self.cluster]) < 2:
            raise UsageError(f"{self.cluster} has one member: nobody could take over from it")


def run(drill: Drill, listener: Listener) -> Report:
    """Make the drill, and leave the cluster as it was but for who leads.

    The report says what came of it, also where something went wrong on the way. OpsError where nothing was broken:
    the drill is refused, or clients cannot even begin.
    """
    drill.refuse()
    hosts, started = drill.hosts, datetime.now(UTC)
    watch = Watch(drill.inventory, drill.cluster, hosts.addresses)
    database = database_of(drill.inventory, drill.cluster)
    to = ways(drill.inventory, database, addresses=hosts.addresses)
    before = watch.look()
    with listener.step(f"ask {before.leader} whether a failover would go well"):
        checked = check(drill, before.leader)
    run_id = uuid.uuid4()
    course = Course(drill.fault, Victim(hosts, drill.cluster, before.leader), watch, before, listener)
    prepare(to.write)
    with ExitStack() as stack:
        stack.callback(_forget, to, run_id, listener)
        beside = stack.enter_context(insider(hosts, before.leader, database, run_id)) if drill.fault.isolates else None
        with running(to.clients(), run_id) as clients:
            course.run(clients, beside)
        journals: Journals = {one.client: one.journal.entries for one in clients}
        if beside:
            journals = {**journals, INSIDER: beside.entries}
        with listener.step("compare every acknowledged row with what the members have"):
            new, old = _stored(to, course.after.leader if course.after else None, before.leader, run_id)
    report = Report(
        id=new_id(started),
        cluster=drill.cluster,
        kind=drill.fault.name,
        started_at=started,
        finished_at=datetime.now(UTC),
        check=checked,
        before=before,
        after=course.after,
        moments=course.moments(journals),
        clients=experiences(journals, began=course.began, fault=course.fault, ended=course.ended),
        rows=compared(journals, course.fault, new, old),
        error=course.error,
    )
    verdict, reasons = judge(report)
    return replace(report, verdict=verdict, reasons=reasons)


def check(drill: Drill, member: str) -> Checked:
    """What `ops failover check` says on a member. UsageError where it says no, Unreachable where it cannot say; with
    `force` neither."""
    answer = drill.hosts.run(member, f"ops failover check {drill.cluster} --json", deadline=CHECK_WITHIN)
    verdict, reasons = _said(answer.stdout) or ("unknown", (f"no answer: {answer.stderr.strip()[-300:]}",))
    if answer.returncode == Exit.OK and verdict == "ready":
        return Checked(verdict, reasons)
    if drill.force:
        return Checked(verdict, reasons, forced=True)
    detail, hint = "\n".join(reasons), "Mend that first. --force makes the drill all the same, and its report says so."
    if verdict == "not_ready":
        raise UsageError(f"{drill.cluster} is not ready for a failover", detail=detail, hint=hint)
    raise Unreachable(f"could not find out whether {drill.cluster} is ready for a failover", detail=detail, hint=hint)


def _said(text: str) -> tuple[str, tuple[str, ...]] | None:
    """The verdict and what speaks against a failover, from the check's JSON; None where it is nothing of the kind."""
    try:
        document = json.loads(text)
        if "error" in document:
            return "unknown", (str(document["error"]),)
        [cluster] = document["clusters"]
        against = [found for found in cluster["findings"] if found["verdict"] in ("failed", "unknown")]
        return str(document["verdict"]), tuple(
            f"{found['subject']}: {found['summary']}" if found["subject"] else str(found["summary"])
            for found in against
        )
    except (ValueError, KeyError, TypeError):
        return None


def store(hosts: Hosts, report: Report) -> str:
    """Put the report into the repository as evidence, beside the restore drills; its key.

    Done by a host that has credentials for that: the drill host of this cluster, or else its primary.
    """
    inventory = hosts.inventory
    provers = inventory.groups.get("drill", ())
    ours = provers and inventory.drill().cluster == report.cluster
    host = provers[0] if ours else (report.after or report.before).leader
    return hosts.ask(host, "ops drill record -", stdin=json.dumps(as_dict(report)))


def _stored(to: Ways, new: str | None, old: str, run_id: uuid.UUID) -> tuple[Found | None, Found | None]:
    """The rows on the new primary, and on the old one once it has replayed what the new one has. None: unread."""
    if new is None:
        return None, None
    try:
        on_new = stored(to.members[new], run_id)
    except psycopg.Error:
        return None, None
    try:
        return on_new, stored(to.members[old], run_id) if _follows(to.members[old], to.members[new]) else None
    except psycopg.Error:
        return on_new, None


def _follows(old: str, new: str) -> bool:
    """Whether the old primary replays the new one's WAL up to this moment, within a deadline."""
    with connect(new) as primary, connect(old) as replica:
        [position] = primary.execute("SELECT pg_current_wal_lsn()::text").fetchone() or [""]
        deadline = time.monotonic() + FOLLOWED_WITHIN
        while time.monotonic() < deadline:
            found = replica.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [position]).fetchone()
            if found and found[0]:
                return True
            time.sleep(0.1)
    return False


def _forget(to: Ways, run_id: uuid.UUID, listener: Listener) -> None:
    try:
        forget(to.write, run_id)
    except psycopg.Error as error:
        listener.say(f"  the rows of this drill could not be removed: {str(error).splitlines()[0]}")
