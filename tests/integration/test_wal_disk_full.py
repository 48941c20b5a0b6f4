"""The disk of pg_wal fills up because the store is away: said long before, nothing is dropped, and all is caught up."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from ops.config import S3Repository
from ops.model.segment import is_segment

from ..waiting import wait_until
from .fix_archiver import Archiver
from .fix_postgres import USER, Host
from .fix_proxy import Proxy

pytestmark = pytest.mark.integration

MIB = 1 << 20
DISK, LARGER_DISK = 48, 96  # MiB
RATE = 2 * MIB  # bytes of WAL a second, of which each row makes 64 KiB


@contextmanager
def small_disk(place: Path) -> Iterator[None]:
    """A file system of its own at `place`, gone when the block ends."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}m,mode=0700", "ops-test", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.fixture
def server(hosts: Callable[[str], Host], proxy: Proxy, s3_settings: S3Repository) -> Iterator[Archiver]:
    """A server whose pg_wal is on a small disk, with its archiver and a base backup; the store is behind the proxy."""
    host = hosts("pg")
    archiver = Archiver(host)
    disk = host.base / "disk"
    with small_disk(disk):
        host.initdb("--wal-segsize=1")
        wal = disk / "wal"
        shutil.chown(disk, USER, USER)
        subprocess.run(["mv", host.data_dir / "pg_wal", wal], check=True)
        (host.data_dir / "pg_wal").symlink_to(wal)
        host.write_config(proxy.settings(s3_settings), wal=archiver.settings())
        command = archiver.command("push %p")
        host.configure(archive_mode="on", archive_command=command, wal_level="replica", max_wal_size="4MB",
                       min_wal_size="2MB", checkpoint_timeout="30s")  # fmt: skip
        try:
            archiver.start()
            host.start()
            yield archiver
        finally:
            archiver.kill()
            host.stop("immediate")


@dataclass
class Journal:
    """What a writer was told, and when it was told nothing any more."""

    acknowledged: list[int] = field(default_factory=list)
    ended: float | None = None


@contextmanager
def writing(host: Host) -> Iterator[Journal]:
    """Commits rows at a steady RATE of WAL until the server fails it."""
    journal, stop = Journal(), threading.Event()

    def write() -> None:
        due = time.monotonic()
        with suppress(psycopg.Error), host.connect() as connection:
            for row in range(1_000_000):
                if stop.wait(max(due - time.monotonic(), 0)):
                    return
                due += 64 * 1024 / RATE
                filler = "select pg_logical_emit_message(true, 'filler', repeat('x', 64 * 1024))"
                connection.execute(f"begin; insert into proof values ({row}); {filler}; commit")
                journal.acknowledged.append(row)
        journal.ended = time.monotonic()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield journal
    finally:
        stop.set()
        thread.join(60)


def numbered(paths: Iterator[Path]) -> set[int]:
    """The segments among some files, by number: there is one timeline, in the first 4 GiB."""
    return {int(path.stem[8:], 16) for path in paths if is_segment(path.stem)}


def test_a_full_disk_is_foretold_and_drops_nothing_and_archiving_resumes_alone(server: Archiver, proxy: Proxy) -> None:
    host, wal = server.host, server.host.data_dir / "pg_wal"
    host.sql("create table proof (row int)")
    assert host.ops("backup", "create").returncode == 0
    with writing(host) as journal:
        # The quiet before it counts at first.
        well = wait_until("the rate is known", lambda: server.status()["pg_wal"],
                          until=lambda room: (room["bytes_per_second"] or 0) > 0.75 * RATE)  # fmt: skip
        assert well["free_bytes"] > DISK * MIB / 2, "what is archived makes room"
        # A checkpoint that removes the notes of what is archived leaves the rate unknown until two more have ended.
        wait_until("it is told", lambda: host.ops("wal", "status").stdout,
                   until=lambda told: "of WAL, if nothing is archived" in told)  # fmt: skip
        proxy.fault = "refused"
        looks: list[tuple[float, dict[str, float]]] = []
        while journal.ended is None:
            at, status = time.monotonic(), server.status()
            # What was archived before may just have been removed with its notes; from a few new ones the rate is known.
            if status["queue"] >= 5:
                looks.append((at, status["pg_wal"]))
            time.sleep(0.5)
    full = journal.ended
    assert "No space left on device" in host.log_text()

    # It was foretold, and never later than it came.
    foretold = [(full - at, look["full_in_seconds"]) for at, look in looks if at < full]
    assert all(said <= 1.25 * left + 2 for left, said in foretold), foretold
    assert any(said < 10 and left > 5 for left, said in foretold), foretold
    assert foretold[0][1] > 2 * foretold[-1][1], foretold

    # Nothing was dropped: from the first segment that is not archived to the newest, all are there.
    ready = numbered((wal / "archive_status").glob("*.ready"))
    assert len(ready) > DISK / 2
    assert ready == set(range(min(ready), max(ready) + 1))
    assert ready <= numbered(wal.iterdir())
    assert server.status()["pg_wal"]["full_in_seconds"] == 0

    # The store comes back, and a person gives the disk more room and starts the server, if it has not come back itself.
    proxy.fault = ""
    subprocess.run(["mount", "-o", f"remount,size={LARGER_DISK}m", host.base / "disk"], check=True)
    if not host.running():
        host.start()
    wait_until("it accepts rows", lambda: host.sql("insert into proof values (-1) returning 1"), despite=psycopg.Error)
    host.archive_all()
    host.sql("checkpoint")
    wait_until("there is room again", lambda: server.status()["pg_wal"]["free_bytes"] > (LARGER_DISK - DISK / 2) * MIB)
    status = server.status()
    assert (status["healthy"], status["queue"]) == (True, 0)
    assert {row for (row,) in host.sql("select row from proof")} >= set(journal.acknowledged)
    gaps = host.ops("wal", "gaps", "--verify", "all", "--json")
    assert (gaps.returncode, json.loads(gaps.stdout)["holes"]) == (0, []), gaps.stdout
