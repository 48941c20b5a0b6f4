"""A cluster that is lost whole, in the middle of writing: what its store alone brings back, and how much is missing."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from ops.config import S3Repository
from ops.errors import Exit

from ..waiting import wait_until
from .fix_archiver import Archiver
from .fix_drill import SQL, Fleet, failed, fleet
from .fix_postgres import Host
from .fix_store import Weed

pytestmark = pytest.mark.integration

# What DESIGN.md promises (section 6, live tail), without any slack: the tail goes to the store once a second.
PROMISED = timedelta(seconds=2)


@dataclass
class Lost:
    """What is left: the drill host, when all else died, and when each row was acknowledged before that."""

    fleet: Fleet
    settings: S3Repository
    archiver: Archiver
    died: datetime
    acknowledged: dict[int, datetime]


@contextmanager
def writer(host: Host, acknowledged: dict[int, datetime]) -> Iterator[None]:
    """Commits row after row, and notes when it is told that they are safe, until the server is gone."""

    def write() -> None:
        with suppress(psycopg.Error), host.connect() as connection:
            for row in range(1_000_000):
                connection.execute("insert into proof values (%s, repeat('x', 2000))", (row,))
                acknowledged[row] = datetime.now(UTC)
                time.sleep(0.002)

    thread = threading.Thread(target=write)
    thread.start()
    yield
    thread.join(20)


@pytest.fixture(scope="module")
def lost(weed: Weed) -> Iterator[Lost]:
    settings = weed.settings(weed.make_bucket())
    acknowledged: dict[int, datetime] = {}
    with fleet(settings, scale=0) as found:
        service = Archiver(found.primary)
        restoring = Archiver(found.drill)
        found.primary.write_config(settings, wal=service.settings())
        drill = {"directory": found.drills, "checks_dir": SQL / "checks"}
        nothing = {"data_dir": None}  # a drill host has no database of its own
        found.drill.write_config(settings, drill=drill, wal=restoring.settings(), postgres=nothing)
        service.start()
        restoring.start()
        try:
            found.primary.sql("create table proof (row int, filler text)")
            found.backup()
            with writer(found.primary, acknowledged):
                wait_until("more than the tail to restore", lambda: len(acknowledged) > 2000, deadline=60)
                for _ in range(3):
                    found.primary.sql("select pg_switch_wal()")
                time.sleep(2.5)  # into the middle of a segment, at no particular moment of the tail's second
                died = datetime.now(UTC)
                service.kill()
                os.kill(int((found.primary.data_dir / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
            shutil.rmtree(found.primary.data_dir)
            yield Lost(found, settings, restoring, died, acknowledged)
        finally:
            service.kill()
            restoring.kill()


def test_a_restore_to_latest_has_every_row_that_was_acknowledged_two_seconds_before(lost: Lost) -> None:
    host = lost.fleet.drill
    outcome = host.ops("backup", "restore", "latest", "--to", host.data_dir, "--target", "latest", "--json")
    assert outcome.returncode == 0, outcome.stderr
    host.start()
    try:
        wait_until("recovery has ended", lambda: not host.value("select pg_is_in_recovery()"))
        restored = {row for (row,) in host.sql("select row from proof")}
        newest = host.value("select max(pg_xact_commit_timestamp(xmin)) from proof").astimezone(UTC)
    finally:
        host.stop()
    promised = {row for row, at in lost.acknowledged.items() if at <= lost.died - PROMISED}
    assert len(promised) > 1000
    assert promised - restored == set()
    missing = (lost.died - newest).total_seconds()
    said = f"{missing:.2f} s and {len(lost.acknowledged.keys() - restored)} rows are missing at the end"
    logging.getLogger(__name__).info(said)
    assert missing <= PROMISED.total_seconds(), said
    assert lost.archiver.status()["prefetched_total"] > 0


def test_a_drill_to_latest_proves_the_newest_commit_of_the_live_tail(lost: Lost) -> None:
    code, evidence = lost.fleet.run("latest")
    assert (code, failed(evidence), evidence["failure"]) == (Exit.OK, {}, None), json.dumps(evidence)
    newest = datetime.fromisoformat(evidence["newest_commit"]["time"])
    assert lost.died - newest <= PROMISED


def test_what_was_restored_goes_on_as_the_cluster(lost: Lost, archivers: Callable[[Host], Archiver]) -> None:
    """As docs/runbooks/restore.md says it of a new host, with archiving: no gap, and the next restore has it all."""
    host = lost.fleet.member("reborn")
    service = archivers(host)
    host.write_config(lost.settings, wal=service.settings())
    outcome = host.ops("backup", "restore", "latest", "--to", host.data_dir, "--target", "latest")
    assert outcome.returncode == 0, outcome.stderr
    settings = host.data_dir / "postgresql.auto.conf"
    host.write(settings, settings.read_text().replace("archive_mode = 'off'\n", ""))
    host.configure(archive_command=service.command("push %p"))
    host.start()
    try:
        service.start()
        wait_until("recovery has ended", lambda: not host.value("select pg_is_in_recovery()"))
        host.sql("insert into proof values (-1, 'on the new timeline')")
        host.archive_all()
        assert host.ops("backup", "create").returncode == 0
        gaps = host.ops("wal", "gaps", "--json")
        assert (gaps.returncode, json.loads(gaps.stdout)["holes"]) == (0, []), gaps.stdout
        newest = host.value("select max(pg_xact_commit_timestamp(xmin)) from proof")
    finally:
        host.stop()
    code, evidence = lost.fleet.run("latest")
    assert (code, failed(evidence), evidence["timeline"]) == (Exit.OK, {}, 2), json.dumps(evidence)
    assert datetime.fromisoformat(evidence["newest_commit"]["time"]) >= newest
