"""How fast a pile of WAL gets into object storage: ours against pgBackRest (async) and barman-cloud.

    python -m benchmarks.wal_push [--json] [--segments 64] [--runs 3]

The same segments of a real PostgreSQL, the same S3 server with TLS, the same cores, one tool after the other. What
PostgreSQL's archiver does is done by pgarch.py. The store shares the cores with the tools and takes most of them, so
that processor time is told too, of each tool and of the store.
"""

from __future__ import annotations

import itertools
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks import processor
from benchmarks.peers import barman, pgbackrest
from benchmarks.report import OURS, Result, publish
from tests.integration.fix_archiver import Archiver
from tests.integration.fix_postgres import Host, as_postgres, new_hosts, new_workspace
from tests.integration.fix_store import USER, Weed

MIB = 1 << 20
SEGMENT = 16 * MIB
KINDS = ("compressible", "incompressible")
_PGARCH = Path(__file__).with_name("pgarch.py")


@dataclass(frozen=True)
class Ready:
    """A tool over an empty bucket: its archive_command, and the id of its service where it has one."""

    command: str
    service: int | None = None


@dataclass(frozen=True)
class Tool:
    """A tool to be measured: what it is called, and what makes it ready for an empty bucket and ends it again."""

    name: str
    ready: Callable[[Host, Weed, str], Iterator[Ready]]


def ours(host: Host, weed: Weed, bucket: str) -> Iterator[Ready]:
    archiver = Archiver(host)
    host.write_config(weed.settings(bucket), wal=archiver.settings())
    archiver.start()
    try:
        time.sleep(2)  # it has just begun, and runs for weeks: what it opens first is open
        yield Ready(archiver.command("push %p"), archiver.pid)
        _memory.append(_peak(archiver.pid))
    finally:
        archiver.kill()


_memory: list[float] = []


def _peak(pid: int) -> float:
    """The most memory that a process ever had resident, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def async_pgbackrest(host: Host, weed: Weed, bucket: str) -> Iterator[Ready]:
    home = Path(tempfile.mkdtemp(prefix="pgbackrest-", dir=host.base))
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
compress-type=zst
process-max=2
archive-async=y
spool-path={home}
lock-path={home}
log-path={home}
log-level-console=error
[main]
pg1-path={host.data_dir}
""",
    )
    os.chmod(home, 0o777)  # noqa: PTH101, S103  made by root, used by PostgreSQL's user
    command = f"{pgbackrest()} --config={home}/pgbackrest.conf --stanza=main"
    _shell(host, f"{command} --no-online stanza-create")
    yield Ready(f"{command} archive-push %p")


def barman_cloud(host: Host, weed: Weed, bucket: str) -> Iterator[Ready]:
    environment = f"AWS_ACCESS_KEY_ID={USER[0]} AWS_SECRET_ACCESS_KEY='{USER[1]}' AWS_CA_BUNDLE={weed.ca_file}"
    yield Ready(f"{environment} {barman()} --endpoint-url {weed.endpoint} --zstd s3://{bucket}/repo main %p")


TOOLS = (Tool(OURS, ours), Tool("pgbackrest", async_pgbackrest), Tool("barman-cloud", barman_cloud))


def fill(host: Host, kind: str, segments: int) -> list[str]:
    """A database whose pg_wal holds so many full segments that wait to be archived; the server is stopped."""
    host.initdb()
    host.configure(archive_mode="on", archive_command="false", max_wal_size="64GB", checkpoint_timeout="1h",
                   wal_keep_size="64GB")  # fmt: skip
    host.start()
    with host.connect() as connection:
        connection.execute("create table filler (id bigint, at timestamptz, words text)")
        while len(_waiting(host)) < segments:
            if kind == "incompressible":
                connection.execute("select pg_logical_emit_message(false, 'bench', %b)", (os.urandom(8 * MIB),))
            else:
                connection.execute(
                    "insert into filler select i, now(), md5((i % 1000)::text) || repeat('pend ', i % 20) "
                    "from generate_series(1, 100000) i"
                )
    host.stop("immediate")
    return _waiting(host)[:segments]


def _waiting(host: Host) -> list[str]:
    return sorted(path.stem for path in (host.data_dir / "pg_wal" / "archive_status").glob("*.ready"))


def archive(host: Host, names: list[str], command: str) -> float:
    """What PostgreSQL's archiver does with these files; the seconds that it took."""
    status = host.data_dir / "pg_wal" / "archive_status"
    for path in status.iterdir():
        path.unlink()
    for name in names:
        host.write(status / f"{name}.ready", "")
    arguments = as_postgres(["/usr/bin/python3", "-I", "-S", _PGARCH, command])
    outcome = subprocess.run(
        arguments, cwd=host.data_dir, input="\n".join(names), capture_output=True, text=True, check=False
    )
    if outcome.returncode:
        raise click.ClickException(f"{command}\n{outcome.stdout}{outcome.stderr}")
    return float(outcome.stdout.split()[-1])


def _shell(host: Host, command: str) -> None:
    outcome = subprocess.run(
        as_postgres(["/bin/sh", "-c", command]), cwd=host.data_dir, capture_output=True, text=True, check=False
    )
    if outcome.returncode:
        raise click.ClickException(f"{command}\n{outcome.stdout}{outcome.stderr}")


@contextmanager
def running_weed() -> Iterator[Weed]:
    """The S3 server, with TLS."""
    with tempfile.TemporaryDirectory(prefix="ops-weed-") as directory:
        os.chmod(directory, 0o755)  # noqa: PTH101, S103  its certificate is read by PostgreSQL's user
        weed = Weed(Path(directory))
        weed.start()
        try:
            yield weed
        finally:
            weed.kill()


@contextmanager
def prepared(tool: Tool, host: Host, weed: Weed) -> Iterator[Ready]:
    """The tool, over a new bucket."""
    steps = tool.ready(host, weed, weed.make_bucket())
    try:
        yield next(steps)
    finally:
        next(steps, None)


def overhead(host: Host, weed: Weed, name: str, times: int) -> list[float]:
    """Milliseconds that archive_command takes for a segment that was pushed ahead."""
    host.write(host.data_dir / "pg_wal" / "archive_status" / f"{name}.ready", "")
    with prepared(TOOLS[0], host, weed) as tool:
        asked = tool.command.replace("%p", f"pg_wal/{name}")
        _shell(host, asked)
        # In one shell, so that the change of user, which PostgreSQL has behind it, does not count.
        loop = f"for i in $(seq {times}); do date +%s%N; {asked} 2>/dev/null; done; date +%s%N"
        arguments = as_postgres(["/bin/sh", "-c", loop])
        outcome = subprocess.run(arguments, cwd=host.data_dir, capture_output=True, text=True, check=True)
    moments = [int(line) for line in outcome.stdout.split()]
    return [(after - before) / 1e6 for before, after in itertools.pairwise(moments)]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--segments", default=64, type=click.IntRange(1), help="How many segments of 16 MiB wait.")
@click.option("--runs", default=3, type=click.IntRange(1), help="How often each tool is measured.")
@click.option("--only", multiple=True, type=click.Choice([tool.name for tool in TOOLS]), help="Leave the others out.")
def main(as_json: bool, segments: int, runs: int, only: tuple[str, ...]) -> None:
    """MiB/s of WAL into the same object storage, for us and for others."""
    chosen = [tool for tool in TOOLS if not only or tool.name in only]
    measured: dict[tuple[str, str], list[_Run]] = {}
    with running_weed() as weed, new_workspace() as space, new_hosts(space) as make:
        for kind in KINDS:
            host = make(kind)
            names = fill(host, kind, segments)
            for _ in range(runs):
                for tool in chosen:
                    with prepared(tool, host, weed) as ready:
                        with processor.measured(weed.pid, ready.service) as used:
                            seconds = archive(host, names, ready.command)
                        run = _Run(len(names) / seconds, 1000 * used.tool / len(names), 1000 * used.store / len(names))
                    measured.setdefault((kind, tool.name), []).append(run)
                    click.echo(f"{kind}, {tool.name}: {run.rate * SEGMENT / MIB:.0f} MiB/s", err=True)
        times = overhead(host, weed, names[0], 200)
    publish(_results(measured, times), as_json=as_json)


@dataclass(frozen=True)
class _Run:
    """Segments a second, and milliseconds of processor time for each: the tool's, and the store's."""

    rate: float
    tool: float
    store: float


_METRICS: tuple[tuple[str, str, Callable[[_Run], float]], ...] = (
    ("WAL, MiB/s", "MiB/s", lambda run: run.rate * SEGMENT / MIB),
    ("WAL, segments/s", "segments/s", lambda run: run.rate),
    ("WAL, processor time of the tool, a segment", "ms", lambda run: run.tool),
    ("WAL, processor time of the store, a segment", "ms", lambda run: run.store),
)


def _results(measured: dict[tuple[str, str], list[_Run]], times: list[float]) -> list[Result]:
    found = [
        Result(tool, f"{kind} {metric}", unit, tuple(value(run) for run in runs))
        for kind in KINDS
        for metric, unit, value in _METRICS
        for (of, tool), runs in measured.items()
        if of == kind
    ]
    found.append(Result(OURS, "archive_command, pushed ahead: median", "ms", (statistics.median(times),)))
    found.append(Result(OURS, "archive_command, pushed ahead: p99", "ms", (statistics.quantiles(times, n=100)[98],)))
    if _memory:
        found.append(Result(OURS, "peak memory of the service", "MiB", tuple(_memory)))
    return found


if __name__ == "__main__":
    main()
