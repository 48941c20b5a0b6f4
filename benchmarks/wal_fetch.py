"""How much a distant store slows replay: ours, 30 ms away from S3, beside a restore_command that copies from a folder.

    python -m benchmarks.wal_fetch [--json] [--segments 64] [--runs 3] [--latency 30]

The same base backup and the same WAL of a real PostgreSQL, one after the other; the seconds are those between the lines
of the server's own log that say when recovery began and when it reached its target.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click

from benchmarks.latency import Distance
from benchmarks.report import OURS, Result, publish
from benchmarks.wal_push import running_weed
from ops.config import S3Repository
from tests.integration.fix_archiver import Archiver
from tests.integration.fix_postgres import USER, Host, new_hosts, new_workspace
from tests.integration.fix_store import Weed
from tests.waiting import wait_until

LOCAL = "copy from a local folder"
METRIC = "replay, wall time"
_BEGUN = re.compile(r"^(\S+ \S+) UTC .*starting point-in-time recovery", re.MULTILINE)
_ENDED = re.compile(r'^(\S+ \S+) UTC .*recovery stopping at restore point "end"', re.MULTILINE)


@dataclass(frozen=True)
class Archived:
    """What there is to recover: a base backup, and WAL up to a restore point, in a folder and in a bucket."""

    base: Path
    folder: Path
    settings: S3Repository


def archived(host: Host, weed: Weed, segments: int) -> Archived:
    """A database that has written so much since its base backup; its server is stopped."""
    found = Archived(host.base / "backup", host.base / "folder", weed.settings(weed.make_bucket()))
    found.folder.mkdir()
    shutil.chown(found.folder, USER, USER)
    host.initdb()
    host.configure(archive_mode="on", archive_command=f"cp %p {found.folder}/%f", max_wal_size="64GB",
                   checkpoint_timeout="1h", log_timezone="UTC", fsync="off", synchronous_commit="off")  # fmt: skip
    host.start()
    host.pg("pg_basebackup", "--checkpoint=fast", "--wal-method=none", "--no-sync", "-h", host.base,
            "-p", str(host.port), "-U", "postgres", "-D", found.base)  # fmt: skip
    # Half of it is a bulk load, half are small transactions on what was loaded: quick to make, and both are replayed.
    scale = str(max(1, segments // 2))
    host.pg("pgbench", "-i", "-q", "-s", scale, "-h", host.base, "-p", str(host.port), "-U", "postgres", "postgres")
    while len(_names(found.folder)) < segments:
        host.pg("pgbench", "-n", "-c4", "-T2", "-h", host.base, "-p", str(host.port), "-U", "postgres", "postgres")
    host.sql("select pg_create_restore_point('end')")
    last = host.value("select pg_walfile_name(pg_switch_wal())")
    wait_until(f"{last} is archived", (found.folder / last).exists)
    host.stop()
    _push(host, found)
    return found


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if len(path.name) == 24)


def _push(host: Host, found: Archived) -> None:
    archiver = Archiver(host)
    host.write_config(found.settings, wal=archiver.settings())
    archiver.start()
    try:
        for name in _names(found.folder):
            outcome = archiver.client("push", found.folder / name)
            if outcome.returncode:
                raise click.ClickException(outcome.stderr)
    finally:
        archiver.kill()


Ready = Callable[[Host], Iterator[str]]


def ours(found: Archived, port: int) -> Ready:
    """The deployed restore_command, and a service of ours that begins anew."""

    def ready(host: Host) -> Iterator[str]:
        archiver = Archiver(host)
        settings = found.settings.model_copy(update={"endpoint": f"https://localhost:{port}"})
        host.write_config(settings, wal=archiver.settings())
        archiver.start()
        try:
            yield archiver.restore_command()
            fetched = archiver.status()
            click.echo(f"{fetched['fetched_total']} fetched, {fetched['prefetched_total']} of them ahead", err=True)
        finally:
            archiver.kill()

    return ready


def local(found: Archived) -> Ready:
    def ready(_: Host) -> Iterator[str]:
        yield f"cp {found.folder}/%f %p"

    return ready


@contextmanager
def prepared(ready: Ready, host: Host) -> Iterator[str]:
    """The restore_command, for as long as it is needed."""
    steps = ready(host)
    try:
        yield next(steps)
    finally:
        next(steps, None)


def replay(host: Host, found: Archived, ready: Ready) -> float:
    """Seconds of recovery to the restore point, in a new copy of the base backup."""
    host.clone(found.base)
    host.log.unlink(missing_ok=True)
    with prepared(ready, host) as command:
        host.configure(
            archive_mode="off",
            shared_buffers="256MB",
            restore_command=command,
            recovery_target_name="end",
            recovery_target_action="shutdown",
            log_line_prefix="%m ",
        )
        host.write(host.data_dir / "recovery.signal", "")
        host.start(check=False)
        wait_until("the end of recovery", host.log_text, deadline=600, until=lambda log: "is shut down" in log)
    log = host.log_text()
    begun, ended = _BEGUN.search(log), _ENDED.search(log)
    if not begun or not ended:
        raise click.ClickException(f"it did not recover to the end:\n{log[-4000:]}")
    shutil.rmtree(host.data_dir)
    return (datetime.fromisoformat(ended[1]) - datetime.fromisoformat(begun[1])).total_seconds()


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--segments", default=64, type=click.IntRange(1), help="How many segments of 16 MiB are replayed.")
@click.option("--runs", default=3, type=click.IntRange(1), help="How often each is measured.")
@click.option("--latency", default=30.0, type=click.FloatRange(0), help="Milliseconds there and back.")
def main(as_json: bool, segments: int, runs: int, latency: float) -> None:
    """Seconds of replay from a distant object storage, for us, and from a folder on the same disk."""
    times: dict[str, list[float]] = {OURS: [], LOCAL: []}
    with running_weed() as weed, new_workspace() as space, new_hosts(space) as make:
        found = archived(make("primary"), weed, segments)
        distance = Distance(weed.ports["https"], latency / 1000)
        tools = {LOCAL: local(found), OURS: ours(found, distance.port)}
        restored = make("restored")
        for _ in range(runs):
            for name, ready in tools.items():
                times[name].append(replay(restored, found, ready))
                click.echo(f"{name}: {times[name][-1]:.2f} s", err=True)
        distance.close()
        count = len(_names(found.folder))
    metric = f"{METRIC} of {count} segments at {latency:.0f} ms"
    publish([Result(name, metric, "s", tuple(values)) for name, values in times.items()], as_json=as_json)


if __name__ == "__main__":
    main()
