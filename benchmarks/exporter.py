"""What a scrape takes, and what it takes of the database: `ops exporter host` beside Debian's postgres_exporter.

    python -m benchmarks.exporter [--json] [--databases 50] [--tables 500] [--scrapes 10]

The same server with as many databases and tables, scraped in turn; the database's own time is by pg_stat_statements.
The two do not tell the same: ours has WAL, PgBouncer and each database's sequences, the peer has statistics of every
table (`--auto-discover-databases`, as one would run it to see all databases). It keeps a connection for each database.
"""

from __future__ import annotations

import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from benchmarks import peers
from benchmarks.report import OURS, Result, publish
from tests.integration.fix_archiver import Archiver
from tests.integration.fix_exporter import Site, Watched, exporting
from tests.integration.fix_postgres import as_postgres, new_hosts, new_workspace
from tests.waiting import free_port, wait_until

PEER = "postgres_exporter"
Scrape = Callable[[], str]


def fill(watched: Watched, databases: int, tables: int) -> None:
    """Databases and tables, with sequences that are looked at."""
    watched.host.configure(max_connections=databases + 50)
    watched.host.stop()
    watched.host.start()
    for number in range(databases):
        watched.host.sql(f"CREATE DATABASE db{number}")
    with watched.host.connect("app") as connection:
        for number in range(tables):
            connection.execute(f"CREATE TABLE t{number} (id bigserial PRIMARY KEY, said text)".encode())
    watched.host.sql("CREATE ROLE peer LOGIN IN ROLE pg_monitor")


def database_time(watched: Watched, role: str) -> float:
    """Milliseconds that the server has spent on a role's statements."""
    query = f"""
        SELECT coalesce(sum(total_exec_time + total_plan_time), 0)::float8
        FROM pg_stat_statements JOIN pg_roles ON pg_roles.oid = userid WHERE rolname = '{role}'
    """  # noqa: S608  our own names
    return float(watched.host.value(query))


def memory(pid: int) -> float:
    """MiB that a process has in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def processor(pid: int) -> float:
    """Milliseconds of processor that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def measure(tool: str, role: str, pid: int, scrape: Scrape, *, watched: Watched, scrapes: int) -> list[Result]:
    """As many scrapes, one after the other, after one that nobody counts."""
    first = scrape()
    before, worked, times = database_time(watched, role), processor(pid), []
    for _ in range(scrapes):
        began = time.monotonic()
        scrape()
        times.append((time.monotonic() - began) * 1000)
    return [
        Result(tool, "scrape, wall time", "ms", tuple(times)),
        Result(tool, "database time of a scrape", "ms", ((database_time(watched, role) - before) / scrapes,)),
        Result(tool, "processor of the exporter for a scrape", "ms", ((processor(pid) - worked) / scrapes,)),
        Result(tool, "memory of the exporter", "MiB", (memory(pid),)),
        Result(tool, "samples", "", (float(sum(not line.startswith("#") for line in first.splitlines())),)),
    ]


@contextmanager
def peer(watched: Watched) -> Iterator[tuple[int, Scrape]]:
    """postgres_exporter, by the socket and without TLS, which is in its favour."""
    port = free_port()
    source = f"host={watched.host.base} port={watched.host.port} user=peer dbname=postgres sslmode=disable"
    command = [peers.postgres_exporter(), f"--web.listen-address=127.0.0.1:{port}", "--auto-discover-databases"]
    with (watched.host.base / "peer.log").open("wb") as log:
        running = subprocess.Popen(
            as_postgres(command), env={"PATH": "/usr/bin:/bin", "DATA_SOURCE_NAME": source}, stdout=log, stderr=log
        )

    def scrape() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            return str(answer.read().decode())

    try:
        wait_until("the peer answers", scrape, despite=OSError)
        yield running.pid, scrape
    finally:
        running.terminate()
        with suppress(subprocess.TimeoutExpired):
            running.wait(timeout=20)


@click.command()
@click.option("--json", "as_json", is_flag=True)
@click.option("--databases", default=50)
@click.option("--tables", default=500)
@click.option("--scrapes", default=10)
def main(as_json: bool, databases: int, tables: int, scrapes: int) -> None:
    results: list[Result] = []
    with new_workspace() as workspace, new_hosts(workspace) as make:
        host = make("pg1")
        watched = Watched(host, Archiver(host), Site(host.base / "site"))
        try:
            watched.prepare()
            watched.start_pooler()
            fill(watched, databases, tables)
            with exporting(watched, "host", "--name", "pg1") as ours:
                ours.wait_until_all_was_read()
                scrape = lambda: ours.prometheus.page().text  # noqa: E731
                results += measure(OURS, "monitor", ours.pid, scrape, watched=watched, scrapes=scrapes)
            with peer(watched) as (pid, scrape_peer):
                results += measure(PEER, "peer", pid, scrape_peer, watched=watched, scrapes=scrapes)
        finally:
            watched.stop_pooler()
            watched.archiver.kill()
    publish(sorted(results, key=lambda result: result.metric != results[0].metric), as_json=as_json)


if __name__ == "__main__":
    main()
