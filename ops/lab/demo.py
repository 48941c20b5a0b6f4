"""The demonstration: a fleet from nothing, a restore that is proven under load, and a change of everybody who leads."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ops.errors import OpsError
from ops.failover.clients import RATE, writing
from ops.failover.ways import through_router
from ops.lab import drive, fleet, inventory, paths
from ops.lab.drive import Deployed
from ops.model.segment import Segment

MEMBERS_GROUP, REDIS_GROUP, DRILL_GROUP = "pg_main", "redis_cache", "drill"
DATABASE = "pend_production"
LOAD = "demo_load"  # the database of pgbench and the unit that runs it: no table of theirs stays in the Pend's
LOAD_RATE = 300  # transactions a second: a busy evening, and a segment of WAL every few seconds
STATISTICS = f"FROM pg_stat_database WHERE datname = '{LOAD}'"
SENTINEL_PORT = 26379


class Show(Protocol):
    """How progress is told: a step has a title and is timed; a note says how far the running step is."""

    def step(self, title: str) -> AbstractContextManager[None]: ...

    def note(self, text: str) -> None: ...


@dataclass(frozen=True)
class Again:
    """A deploy of what is there already. `services` were looked at, `restarted` of them should be none."""

    deployed: Deployed
    services: int
    restarted: tuple[str, ...]


@dataclass(frozen=True)
class Switched:
    """A switchover, as a client of the router saw it: rows confirmed, the longest time between two, and rows lost."""

    old: str
    new: str
    rows: int
    gap: float
    lost: int


@dataclass(frozen=True)
class Story:
    """Everything that the summary tells, as it was measured or read from the fleet. Documents are those of --json."""

    hosts: int
    first: Deployed
    second: Again
    third: Again
    switched: Switched
    masters: tuple[str, str]
    left_out: tuple[str, ...]
    differences: int
    members: list[dict[str, Any]]
    postgres: str
    transactions: int
    backup: dict[str, Any]
    wal: dict[str, Any]
    gaps: dict[str, Any]
    evidence: dict[str, Any]


def play(logs: Path, show: Show) -> Story:
    """From whatever is there to a proven restore. The lab is left up, also when something fails."""
    lab = paths.from_environment()
    hosts = inventory.read(lab)
    names = [host.name for host in hosts]
    members, caches, drills = (
        [host.name for host in hosts if group in host.groups] for group in (MEMBERS_GROUP, REDIS_GROUP, DRILL_GROUP)
    )
    with show.step("take down what an earlier lab left"):
        fleet.down(lab, report=show.note)
    with show.step(f"boot {len(hosts)} hosts"):
        fleet.up(lab, hosts, show.note)
    with show.step("deploy the fleet"):
        first = drive.deploy(logs / "deploy-1.log", progress=show.note)
    leader = drive.leader(members)
    with _load(leader, show):
        with show.step(f"take a base backup of {DATABASE} and its cluster"):
            backup = drive.ask_json(leader, "ops backup create --json", deadline=300)
        # What follows a backup takes its time, and so do Sentinels that agree: there is other work meanwhile.
        with show.step("let WAL be archived beyond it, and meanwhile deploy again"), ThreadPoolExecutor() as pool:
            archived = pool.submit(_wait_for_wal, leader, backup["last_segment"], beyond=2)
            second = _deploy_again(names, logs / "deploy-2.log", show)
            archived.result()
        with (
            show.step(f"restore to a random moment on {drills[0]}, and prove it; let Sentinel fail the cache over"),
            ThreadPoolExecutor() as pool,
        ):
            failed_over = pool.submit(_fail_over, caches)
            evidence = _drill(drills[0], logs / "drill.json")
            masters = failed_over.result()
        transactions = int(drive.sql(leader, f"SELECT xact_commit {STATISTICS}"))
    with show.step(f"switch over while a client writes {RATE} rows a second through the router"):
        switched = _switch_over(leader)
    # Both only look, where all is well: neither disturbs the other.
    with (
        show.step("deploy once more, and ask every host whether anything differs from what is declared"),
        ThreadPoolExecutor() as pool,
    ):
        asked = pool.submit(drive.controller_json, "drift")
        third = _deploy_again(names, logs / "deploy-3.log", show)
        drift = asked.result()
    return Story(
        hosts=len(hosts),
        first=first,
        second=second,
        third=third,
        switched=switched,
        masters=masters,
        left_out=tuple(sorted(set(drive.controller_json("preflight")["left_out"].values()))),
        differences=len(drift["findings"]),
        members=drive.ask_json(switched.new, "ops cluster show --json")["members"],
        postgres=drive.sql(switched.new, "SHOW server_version").split()[0],
        transactions=transactions,
        backup=backup,
        wal=drive.ask_json(switched.new, "ops wal list --json"),
        gaps=drive.ask_json(switched.new, "ops wal gaps --json"),
        evidence=evidence,
    )


def _deploy_again(names: list[str], log: Path, show: Show) -> Again:
    before = drive.start_times(names)
    deployed = drive.deploy(log, progress=show.note)
    after = drive.start_times(names)
    restarted = tuple(name for name, moment in before.items() if after.get(name) != moment)
    return Again(deployed, len(before), restarted)


def _switch_over(leader: str) -> Switched:
    dsn = through_router(DATABASE)
    with writing(dsn) as journal:
        changed = drive.ask_json(leader, "ops cluster switchover --json")
        time.sleep(2)  # whatever the change still does to the writer is part of it
    return Switched(leader, changed["new"], len(journal.confirmed), journal.longest_gap(), len(journal.lost(dsn)))


def _fail_over(caches: list[str]) -> tuple[str, str]:
    """The master before and after; returns once every Sentinel and every server goes by it."""
    before = _master(caches[0])
    _sentinel(caches[0], f"SENTINEL FAILOVER {REDIS_GROUP}")
    deadline = time.monotonic() + 60
    while (after := _master(caches[0])) == before or not _agreed(caches, after):
        if time.monotonic() > deadline:
            raise OpsError(
                "Sentinel did not fail the cache over within 60 s",
                hint=f"ops lab ssh {caches[0]} journalctl -u redis-sentinel",
            )
        time.sleep(0.5)
    return before, after


def _agreed(caches: list[str], master: str) -> bool:
    followed = f"master_host:{master}\n"
    replicas = [drive.ask(host, "redis-operator INFO replication | tr -d '\\r'") for host in caches if host != master]
    return all(_master(host) == master for host in caches) and all(
        followed in replica and "master_link_status:up" in replica for replica in replicas
    )


def _master(host: str) -> str:
    """Who that is for the Sentinel on `host`."""
    return _sentinel(host, f"SENTINEL GET-MASTER-ADDR-BY-NAME {REDIS_GROUP}").split()[0]


def _sentinel(host: str, question: str) -> str:
    return drive.ask(host, f"redis-operator -h {host} -p {SENTINEL_PORT} {question}")


@contextmanager
def _load(leader: str, show: Show) -> Iterator[None]:
    """pgbench at a steady rate, from now to the end."""
    as_postgres, bench = "cd / && runuser -u postgres --", f"pgbench -c 2 -R {LOAD_RATE} -T 1800 {LOAD}"
    with show.step(f"start a load: pgbench, {LOAD_RATE} transactions a second"):
        drive.ask(leader, f"{as_postgres} createdb {LOAD}")
        # By amcheck a drill looks at the tables and indexes of each database.
        drive.ask(leader, f"{as_postgres} psql -qc 'CREATE EXTENSION amcheck' {LOAD}")
        drive.ask(leader, f"{as_postgres} pgbench -q -i -s 10 {LOAD}")
        drive.ask(leader, f"systemd-run -q --collect --unit={LOAD} -p User=postgres {bench}")
    try:
        yield
    finally:
        drive.run(leader, f"systemctl stop {LOAD}; {as_postgres} dropdb --force {LOAD}")


def _wait_for_wal(leader: str, segment: str, *, beyond: int) -> None:
    """Until the archive holds `beyond` segments after `segment`: the moments to choose from."""
    deadline = time.monotonic() + 150
    while True:
        document = drive.ask_json(leader, "ops wal list --json")
        newest = max((timeline["newest"] for timeline in document["timelines"]), default="")
        ahead = Segment.parse(newest).number - Segment.parse(segment).number if newest else 0
        if ahead >= beyond:
            return
        if time.monotonic() > deadline:
            raise OpsError(
                "WAL is not being archived",
                detail=f"the backup ends in {segment}; 150 s later the newest segment in the store is {newest}",
                hint=f"ops lab ssh {leader} journalctl -u patroni",
            )
        time.sleep(1)


def _drill(host: str, log: Path) -> dict[str, Any]:
    outcome = drive.run(host, "ops drill restore --target random --json", deadline=600)
    log.write_text(outcome.stdout + outcome.stderr)
    if outcome.returncode:
        raise OpsError(
            f"the drill proved nothing (exit {outcome.returncode})",
            detail=outcome.stderr.strip()[-3000:],
            hint=f"its words: {log}",
        )
    return dict(json.loads(outcome.stdout))
