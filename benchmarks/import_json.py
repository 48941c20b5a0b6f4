"""`ops import json` beside a bare COPY of the same rows, into tables with the same indexes, keys and audit triggers.

    python -m benchmarks.import_json [--json] [--times 100] [--kills 10]

Files of so many times the seeds' volume, with all their dirt. Measured is reading and storing: from the first byte that
is parsed to the last commit; the copy of the files before and the comparison after come on top, and are told. COPY gets
text that the server itself has written. Audited tables get 5000 rows a statement on both sides: the records of one
statement are put together in memory.

Then the same import again, killed so many times at random moments: it has to end equal, table by table.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import click

from benchmarks.report import OURS, Result, publish
from ops.cli.output import Steps
from ops.database.migrations import Patience, migrate
from ops.database.target import Target, given
from ops.errors import OpsError
from ops.importing import state
from ops.importing.sample import Sample
from ops.model.json_files import TABLES
from tests.integration.fix_postgres import OPS, Host, new_hosts, new_workspace

PEER = "COPY"
SQL = Path(__file__).parents[1] / "sql" / "app"
BATCH = 5_000
_peak = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE).findall
# A server as one would run it, as far as the machine goes.
SETTINGS = {
    "fsync": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "maintenance_work_mem": "256MB",
}


@dataclass(frozen=True)
class Ran:
    """An import by the real command: its report, seconds in all, and the most memory its processes had (MiB)."""

    report: dict[str, Any]
    seconds: float
    memory: float


def database(host: Host, name: str) -> Target:
    """A new one, migrated."""
    host.sql(f"CREATE DATABASE {name}")
    target = given(f"postgresql://postgres@/{name}?host={host.base}&port={host.port}", SQL)
    migrate(target, Patience(), lambda _text: None)
    return target


def command(target: Target, files: Path, kept: Path) -> list[str]:
    return [
        *(str(OPS), "import", "json", str(files), "--keep", str(kept), "--json"),
        *("--server", target.uri, "--folder", str(target.folder)),
    ]


def import_files(target: Target, files: Path, kept: Path) -> Ran:
    """To its end."""
    began, said, memory = time.monotonic(), kept.with_suffix(".json"), 0
    with said.open("w") as out, subprocess.Popen(command(target, files, kept), stdout=out) as process:
        while process.poll() is None:
            memory = max(memory, most_memory(process.pid))
            time.sleep(0.1)
    if process.returncode:
        raise OpsError("ops import json has failed", detail=said.read_text()[-2000:])
    return Ran(json.loads(said.read_text()), time.monotonic() - began, memory / 1024)


def most_memory(pid: int) -> int:
    """The most that a process has had in memory so far, and that of each which it has started, in KiB, added up."""
    found = 0
    with suppress(OSError):  # it has ended meanwhile
        found += sum(map(int, _peak(Path(f"/proc/{pid}/status").read_text())))
        found += sum(map(most_memory, map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())))
    return found


def unload(target: Target, folder: Path) -> dict[str, Path]:
    """The rows of every table as COPY writes them, in the order in which they can be stored again."""
    folder.mkdir()
    with target.connect() as connection:
        for name, table in TABLES.items():
            query = f"COPY (SELECT {', '.join(table.names)} FROM {name}) TO STDOUT"  # noqa: S608  our own names
            with (folder / name).open("wb") as file, connection.cursor().copy(query.encode()) as copy:
                for part in copy:
                    file.write(part)
    return {name: folder / name for name in TABLES}


def bare_copy(target: Target, files: dict[str, Path]) -> float:
    """Seconds that COPY takes for the same rows."""
    began = time.monotonic()
    with target.connect() as connection:
        for name, path in files.items():
            audited = connection.execute(
                "SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND NOT tgisinternal"
                " AND tgname LIKE '%%audit_insert')",
                [f"public.{name}"],
            ).fetchone() == (True,)
            query = f"COPY {name} ({', '.join(TABLES[name].names)}) FROM STDIN".encode()
            with path.open("rb") as file:
                for part in _parts(file, audited=audited):
                    with connection.cursor().copy(query) as copy:
                        for data in part:
                            copy.write(data)
    return time.monotonic() - began


def _parts(file: Any, *, audited: bool) -> Iterator[Iterator[bytes]]:
    if not audited:
        yield iter(lambda: file.read(1 << 18), b"")
        return
    while lines := list(islice(file, BATCH)):
        yield iter([b"".join(lines)])


def kill_and_resume(target: Target, files: Path, kept: Path, *, seconds: float, kills: int) -> int:
    """Run the import, killed at random moments, so many times; then to its end. How often it was killed at work."""
    chance, hit = random.Random(11), 0  # noqa: S311
    for _ in range(kills):
        with kept.with_suffix(".killed.json").open("w") as out:
            process = subprocess.Popen(command(target, files, kept), stdout=out)
            try:
                process.wait(chance.uniform(1, max(2.0, 2 * seconds / (kills + 1))))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                hit += 1
    import_files(target, files, kept)
    return hit


def unequal(one: Target, two: Target) -> list[str]:
    """The tables that are not the same in both databases."""
    with one.connect() as left, two.connect() as right:
        found = [name for name, table in TABLES.items() if state.totals(left, table) != state.totals(right, table)]
        rejects = b"SELECT count(*), sum(('x' || left(md5(r::text), 15))::bit(60)::bigint) FROM ops.import_reject AS r"
        if left.execute(rejects).fetchone() != right.execute(rejects).fetchone():
            found.append("rejects")
    return found


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--times", default=100.0, show_default=True, help="Of the seeds' volume.")
@click.option("--kills", default=10, show_default=True, help="Of a second import, at random moments.")
def main(*, as_json: bool, times: float, kills: int) -> None:
    """Import generated files, beside a bare COPY of the same rows."""
    steps = Steps(quiet=as_json)
    with new_workspace() as workspace, new_hosts(workspace) as hosts:
        host = hosts("import")
        host.initdb()
        host.configure(**SETTINGS)
        host.start()
        files = workspace / "files"
        with steps.step(f"write {times:g} times the seeds' volume"):
            written = Sample(times, 1).write(files)
        ours, theirs = database(host, "ours"), database(host, "theirs")
        with steps.step("ops import json"):
            ran = import_files(ours, files, workspace / "kept")
        with steps.step("unload the rows"):
            rows = unload(ours, workspace / "rows")
        host.sql("CHECKPOINT")
        with steps.step("COPY"):
            bare = bare_copy(theirs, rows)
        torn = database(host, "torn") if kills else None
        hit, different = 0, list[str]()
        if torn:
            with steps.step(f"the import again, killed {kills} times"):
                hit = kill_and_resume(torn, files, workspace / "kept2", seconds=ran.report["seconds"], kills=kills)
            different = unequal(ours, torn)
    _report(ran, bare, sum(written.records.values()), written.bytes, as_json=as_json)
    accounted = sum(one["records"] for one in ran.report["sections"])
    words = [f"{accounted:,} records accounted for", f"checksums {'agree' if ran.report['equal'] else 'DIFFER'}"]
    if torn:
        words.append(f"killed {hit} times, {'DIFFERENT: ' + ', '.join(different) if different else 'ended equal'}")
    click.echo("; ".join(words), err=True)
    sys.exit(1 if different or not ran.report["equal"] or accounted != sum(written.records.values()) else 0)


def _report(ran: Ran, bare: float, records: int, size: int, *, as_json: bool) -> None:
    rows = sum(one["read"]["rows"] for one in ran.report["tables"])
    publish(
        [
            Result(OURS, "rows a second", "rows/s", (rows / ran.report["seconds"],)),
            Result(PEER, "rows a second", "rows/s", (rows / bare,)),
            Result(OURS, "with copies and comparison", "rows/s", (rows / ran.seconds,)),
            Result(OURS, "most memory, all processes", "MiB", (ran.memory,)),
            Result(OURS, "records in the files", "", (float(records),)),
            Result(OURS, "size of the files", "MiB", (size / 2**20,)),
        ],
        as_json=as_json,
    )


if __name__ == "__main__":
    main()
