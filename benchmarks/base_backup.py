"""Base backups into object storage and back: ours against pgBackRest and barman-cloud.

    python -m benchmarks.base_backup [--json] [--gib 2] [--only ops ...]

The same database, half of it noise that no compression makes smaller, the same S3 server with TLS, the same cores, one
tool after the other: a full backup, its restore, then 1 % of the clustered rows changed and a second backup. Ours is
encrypted; pgBackRest runs with and without its cipher. Peak memory is that of all processes of a tool together;
processor time is the tool's alone, without that of the store, which shares the cores.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import psutil

from benchmarks import processor
from benchmarks.peers import barman_program, pgbackrest
from benchmarks.report import OURS, Result, publish
from benchmarks.wal_push import running_weed
from tests.integration.fix_archiver import Archiver
from tests.integration.fix_postgres import OPS, Host, as_postgres, new_hosts, new_workspace
from tests.integration.fix_store import USER, Weed

MIB = 1 << 20
ROW = 2000  # bytes
CHANGED = 0.01


@dataclass(frozen=True)
class Commands:
    """How a tool archives a segment, backs up, and restores into a directory; shell words for PostgreSQL's user."""

    archive: str
    backup: str
    restore: Callable[[Path], str]
    setup: str = "true"
    end: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Tool:
    """A tool to be measured, over a new bucket."""

    name: str
    commands: Callable[[Host, Weed, str], Commands]


def ours(host: Host, weed: Weed, bucket: str) -> Commands:
    archiver = Archiver(host)
    host.write_config(weed.settings(bucket), wal=archiver.settings())
    archiver.start()
    ops = f"OPS_CONFIG={host.config_file} {OPS}"
    return Commands(
        archiver.command("push %p"),
        f"{ops} backup create",
        lambda to: f"{ops} backup restore latest --to {to}",
        end=archiver.kill,
    )


def _pgbackrest(*, cipher: bool) -> Callable[[Host, Weed, str], Commands]:
    def commands(host: Host, weed: Weed, bucket: str) -> Commands:
        home = Path(tempfile.mkdtemp(prefix="pgbackrest-", dir=host.base))
        sealed = "repo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=a-pass-phrase-of-some-length\n" if cipher else ""
        host.write(
            home / "pgbackrest.conf",
            f"""[global]
repo1-type=s3
repo1-path=/repo
repo1-s3-bucket={bucket}
repo1-s3-endpoint=localhost
repo1-s3-region=us-east-1
repo1-s3-key={USER[0]}
repo1-s3-key-secret={USER[1]}
repo1-s3-uri-style=path
repo1-storage-host=localhost
repo1-storage-port={weed.ports["https"]}
repo1-storage-ca-file={weed.ca_file}
{sealed}compress-type=zst
process-max=2
start-fast=y
spool-path={home}
lock-path={home}
log-path={home}
log-level-console=error
[main]
pg1-path={host.data_dir}
pg1-port={host.port}
pg1-socket-path={host.base}
pg1-user=postgres
""",
        )
        os.chmod(home, 0o777)  # noqa: PTH101, S103  made by root, used by PostgreSQL's user
        command = f"{pgbackrest()} --config={home}/pgbackrest.conf --stanza=main"
        return Commands(
            f"{command} archive-push %p",
            # The first is full, as there is none before it.
            f"{command} --type=incr backup",
            lambda to: f"mkdir -m 700 {to} && {command} --pg1-path={to} restore",
            setup=f"{command} stanza-create",
        )

    return commands


def barman_cloud(host: Host, weed: Weed, bucket: str) -> Commands:
    environment = f"AWS_ACCESS_KEY_ID={USER[0]} AWS_SECRET_ACCESS_KEY='{USER[1]}' AWS_CA_BUNDLE={weed.ca_file}"
    where = f"--endpoint-url {weed.endpoint}"

    def program(name: str) -> str:
        return f"{environment} {barman_program(name)} {where}"

    def restore(to: Path) -> str:
        listing = f"{program('barman-cloud-backup-list')} --format json s3://{bucket}/repo main"
        newest = (
            f"{listing} | python3 -c \"import json, sys; print(json.load(sys.stdin)['backups_list'][-1]['backup_id'])\""
        )
        return f"{program('barman-cloud-restore')} s3://{bucket}/repo main $({newest}) {to}"

    return Commands(
        f"{program('barman-cloud-wal-archive')} --zstd s3://{bucket}/repo main %p",
        f"{program('barman-cloud-backup')} --immediate-checkpoint --jobs 2 --lz4 -h {host.base} -p {host.port} "
        f"-U postgres s3://{bucket}/repo main",
        restore,
    )


TOOLS = (
    Tool(OURS, ours),
    Tool("pgbackrest-cipher", _pgbackrest(cipher=True)),
    Tool("pgbackrest", _pgbackrest(cipher=False)),
    Tool("barman-cloud", barman_cloud),
)


def fill(host: Host, gib: float) -> int:
    """A database of so many GiB in a clustered table, half noise and half words; the number of rows."""
    host.initdb()
    host.configure(archive_mode="on", archive_command="true", max_wal_size="16GB", autovacuum="off", wal_keep_size="0")
    host.start()
    rows = int(gib * 1024 * MIB / ROW)
    host.sql("create table data (i int primary key, noise bytea, words text)")
    host.sql("alter table data alter noise set storage plain, alter words set storage plain")
    for first in range(0, rows, 50_000):
        host.sql(
            "insert into data select i, "  # noqa: S608  numbers of our own
            "(select string_agg(sha512((i * 100 + k)::text::bytea), ''::bytea) from generate_series(1, 14) k), "
            "repeat(md5((i % 500)::text) || ' pend ', 24) "
            f"from generate_series({first}, {min(first + 50_000, rows) - 1}) i"
        )
    host.sql("vacuum (freeze, analyze) data")
    host.sql("checkpoint")
    return rows


def use(host: Host, commands: Commands) -> None:
    """Make the tool the server's archiver, and see that it works."""
    _run(host, commands.setup)
    host.configure(archive_command=commands.archive)
    host.sql("select pg_reload_conf()")
    time.sleep(1)
    host.sql("checkpoint")


@dataclass(frozen=True)
class Run:
    """What a command took: seconds, seconds of processor time, the most memory that its processes held, in MiB."""

    seconds: float
    processor: float
    memory: float


def run(host: Host, weed: Weed, command: str) -> Run:
    """Run a command to its end; ClickException with what it said where it fails."""
    with processor.measured(weed.pid, None) as used:
        seconds, memory = _run(host, command)
    return Run(seconds, used.tool, memory)


def _run(host: Host, command: str) -> tuple[float, float]:
    start = time.perf_counter()
    process = subprocess.Popen(
        as_postgres(["/bin/sh", "-c", command]),
        cwd=host.base,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with _watched(process.pid) as peak:
        output, _ = process.communicate()
    if process.returncode:
        raise click.ClickException(f"{command}\n{output}")
    return time.perf_counter() - start, max(peak, default=0.0)


@contextmanager
def _watched(pid: int) -> Iterator[list[float]]:
    """The memory of a process and its children, looked at ten times a second: what is theirs alone, in MiB."""
    peak, over = [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            total = 0.0
            for process in _family(pid):
                try:
                    total += process.memory_full_info().uss / MIB
                except psutil.Error:
                    continue
            peak[0] = max(peak[0], total)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def _family(pid: int) -> Sequence[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return []


def stored(weed: Weed, bucket: str) -> int:
    """The bytes in a bucket, without WAL: names of archived segments, and ours of their pieces, are left out."""
    pages = weed.admin().get_paginator("list_objects_v2").paginate(Bucket=bucket)
    found = [item for page in pages for item in page.get("Contents", [])]
    return sum(
        item["Size"] for item in found if not any(part in item["Key"] for part in ("/wal/", "/wals/", "/archive/"))
    )


def change(host: Host, rows: int, turn: int) -> None:
    """Another value in 1 % of the rows, which lie together."""
    first = int(rows * (0.3 + 0.05 * turn))
    last = first + int(rows * CHANGED)
    host.sql(f"update data set noise = sha512(noise) || noise where i between {first} and {last - 1}")  # noqa: S608
    host.sql("checkpoint")


def measure(tool: Tool, host: Host, weed: Weed, rows: int, turn: int) -> dict[str, tuple[str, float]]:
    """One round of one tool: metric to unit and value."""
    bucket = weed.make_bucket()
    commands = tool.commands(host, weed, bucket)
    try:
        use(host, commands)
        size = sum(path.stat().st_size for path in (host.data_dir / "base").rglob("*") if path.is_file()) / MIB
        full = run(host, weed, commands.backup)
        full_bytes = stored(weed, bucket)
        target = host.base / f"restored-{tool.name}"
        restore = run(host, weed, commands.restore(target))
        shutil.rmtree(target)
        change(host, rows, turn)
        second = run(host, weed, commands.backup)
        more = stored(weed, bucket) - full_bytes
    finally:
        commands.end()
    return {
        "full backup": ("s", full.seconds),
        "restore": ("s", restore.seconds),
        "second backup": ("s", second.seconds),
        "full backup, processor time": ("s", full.processor),
        "restore, processor time": ("s", restore.processor),
        "second backup, processor time": ("s", second.processor),
        "full backup, rate": ("MiB/s", size / full.seconds),
        "restore, rate": ("MiB/s", size / restore.seconds),
        "full backup, stored": ("MiB", full_bytes / MIB),
        "second backup, stored": ("MiB", more / MIB),
        "second / full, stored": ("%", 100 * more / full_bytes),
        "second / full, time": ("%", 100 * second.seconds / full.seconds),
        "backup, peak memory": ("MiB", max(full.memory, second.memory)),
        "restore, peak memory": ("MiB", restore.memory),
    }


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--gib", default=2.0, type=click.FloatRange(0.05), help="The size of the database.")
@click.option("--runs", default=1, type=click.IntRange(1), help="How often each tool is measured.")
@click.option("--only", multiple=True, type=click.Choice([tool.name for tool in TOOLS]), help="Leave the others out.")
def main(as_json: bool, gib: float, runs: int, only: tuple[str, ...]) -> None:
    """Seconds, bytes and memory of base backups, for us and for others."""
    chosen = [tool for tool in TOOLS if not only or tool.name in only]
    found: dict[tuple[str, str, str], list[float]] = {}
    with running_weed() as weed, new_workspace() as space, new_hosts(space) as make:
        host = make("pg")
        rows = fill(host, gib)
        for turn in range(runs):
            for number, tool in enumerate(chosen):
                for metric, (unit, value) in measure(tool, host, weed, rows, turn * len(chosen) + number).items():
                    found.setdefault((metric, tool.name, unit), []).append(value)
                    click.echo(f"{tool.name}, {metric}: {value:.1f} {unit}", err=True)
    results = [Result(name, metric, unit, tuple(values)) for (metric, name, unit), values in found.items()]
    metrics = list(dict.fromkeys(result.metric for result in results))
    publish(sorted(results, key=lambda result: metrics.index(result.metric)), as_json=as_json)
    if not as_json:
        for metric in metrics[:3]:
            _print_ratios([result for result in results if result.metric == metric])


def _print_ratios(results: list[Result]) -> None:
    """How many times as fast as each other tool we are."""
    mine = next((result.median for result in results if result.tool == OURS), None)
    for result in results:
        if mine and result.tool != OURS:
            click.echo(f"{result.metric}: {result.median / mine:.2f} times as fast as {result.tool}")


if __name__ == "__main__":
    main()
