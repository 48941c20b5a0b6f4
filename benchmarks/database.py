"""The application's database at the future scale, beside the JSON files of the old server: `ops db bench` on a server.

    python -m benchmarks.database [--json] [options of ops db bench]

A new PostgreSQL on this machine with the settings that a deploy would give it here, and nothing else to do. The peer is
the way of the old server: files that are read and parsed for each request. Exit 1 where a target is missed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import click

from benchmarks.report import OURS, Result, publish
from ops.model.sizing import sizes
from tests.integration.fix_database import bench_command
from tests.integration.fix_postgres import Host, new_hosts, new_workspace

FILES = "JSON files"


def start(host: Host) -> None:
    """A durable server of this machine's size; what is left is PostgreSQL's default, work_mem above all."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    host.initdb()
    host.configure(fsync="on", max_wal_size="4GB", **sizes(memory, os.cpu_count() or 1).settings())
    host.start()


def results(report: Mapping[str, Any]) -> list[Result]:
    """The medians of each question, ours and the files'; and our 99th percentiles, which are what is judged."""
    found = []
    for row in report["rows"]:
        found.append(Result(OURS, row["question"], "ms", (row["p50"],)))
        if row["parsed"] is not None:
            found.append(Result(FILES, row["question"], "ms", (row["parsed"],)))
        found.append(Result(OURS, f"{row['question']}, p99", "ms", (row["p99"],)))
    return found


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def main(*, as_json: bool, options: tuple[str, ...]) -> None:
    """`ops db bench` on a server of this machine."""
    with new_workspace() as space, new_hosts(space) as make:
        host = make("database")
        start(host)
        command = bench_command(host, *options, *(["--json"] if as_json else []))
        done = subprocess.run(command, cwd="/", text=True, check=False, stdout=subprocess.PIPE)
    if not as_json or done.returncode not in (0, 1):
        click.echo(done.stdout, nl=False)
    else:
        publish(results(json.loads(done.stdout)), as_json=True)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
