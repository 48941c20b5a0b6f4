"""`ops backup`: take base backups, see them, restore their files."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ops.backup import catalog
from ops.backup.create import create as create_backup
from ops.backup.reach import newest_before, reach
from ops.backup.recovery import fetching, write_recovery
from ops.backup.restore import default_tablespaces, restore_files
from ops.cli.clone import clone
from ops.cli.host import as_json_flag, begin, chosen, configured, identified, repository_of
from ops.cli.output import Steps, emit_json, pairs, seconds, size, table, timestamp
from ops.config import Config
from ops.errors import UsageError
from ops.model.backup import Backup
from ops.model.target import EXAMPLES, Latest, Target, parse
from ops.postgres.conf import render
from ops.store import open_store

_COLUMNS = ("id", "from", "taken (UTC)", "duration", "database", "stored", "ratio", "WAL", "timeline")
_FIGURES = ("duration", "database", "stored", "ratio", "timeline")


class Shown:
    """Stages as steps, progress with rate and time left."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._start = self._shown = time.monotonic()

    def stage(self, title: str) -> AbstractContextManager[None]:
        self._start = time.monotonic()
        return self._steps.step(title)

    def progress(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._shown < 0.2 or not done:
            return
        self._shown = now
        rate = done / (now - self._start)
        left = seconds(max(0, total - done) / rate)
        self._steps.note(f"{size(done)} of {size(total)}, {size(rate)}/s, {left} left")


@click.group()
def backup() -> None:
    """Take, list and restore base backups."""


backup.add_command(clone)


@backup.command("create")
@chosen
@configured
@as_json_flag
def create_command(repository_name: str | None, config_file: Path | None, as_json: bool) -> None:
    """Take a base backup of the PostgreSQL server on this host, primary or standby.

    It exists once all its blocks and all the WAL that it needs are in the store. On a standby the last segment
    comes from the primary, when that has filled it or its archive_timeout has passed.
    """
    config = begin(config_file, repository=repository_name)
    taken = create_backup(config, open_store(config.repository), Shown(Steps()))
    if as_json:
        emit_json(_as_json(taken))
    else:
        click.echo(table([_cells(taken)], _COLUMNS, right=_FIGURES))


@backup.command("list")
@chosen
@configured
@identified
@as_json_flag
def list_command(
    repository_name: str | None, config_file: Path | None, system_identifier: int | None, as_json: bool
) -> None:
    """All base backups, oldest first. Exits with 1 when one of them is damaged, after the others are shown."""
    found, wrong = catalog.survey(repository_of(begin(config_file, repository=repository_name), system_identifier))
    if as_json and not wrong:
        emit_json([_as_json(backup) for backup in found])
    elif found and not as_json:
        _print_list(found)
    elif not wrong:
        click.echo("No base backup yet. Take one on a database host: ops backup create", err=True)
    if wrong:
        raise wrong[0]


def _print_list(found: list[Backup]) -> None:
    click.echo(table([_cells(backup) for backup in found], _COLUMNS, right=_FIGURES))
    stored = size(sum(backup.new_bytes for backup in found))
    age = seconds(max(0, (datetime.now(UTC) - found[-1].stop_time).total_seconds()))
    click.echo(f"\n{len(found)} in all, {stored} stored; the newest is {age} old.")


@backup.command("show")
@click.argument("backup_id", metavar="ID|latest")
@chosen
@configured
@identified
@as_json_flag
def show_command(
    *,
    backup_id: str,
    repository_name: str | None,
    config_file: Path | None,
    system_identifier: int | None,
    as_json: bool,
) -> None:
    """Everything that is known of one base backup."""
    config = begin(config_file, repository=repository_name)
    found = catalog.get(repository_of(config, system_identifier), backup_id)
    if as_json:
        emit_json(_as_json(found))
        return
    click.echo(pairs(_details(found)))
    for title, values in (("tablespaces", found.tablespaces), ("settings", found.settings)):
        if values:
            click.echo(f"\n{title}")
            click.echo(pairs(sorted(values.items()), indent=2))


@backup.command("restore")
@click.argument("backup_id", metavar="ID|latest")
@click.option("--to", "directory", required=True, type=click.Path(path_type=Path), help="Empty, or not there yet.")
@click.option("--target", "wish", help=f"Recover to this when the server starts: {EXAMPLES}.")
@click.option("--tablespace", "tablespaces", multiple=True, metavar="OID=DIR", help="Where a tablespace goes.")
@click.option("--workers", type=click.IntRange(1, 64), help="Threads that read packs; backup.workers by default.")
@chosen
@configured
@identified
@as_json_flag
def restore_command(
    *,
    backup_id: str,
    directory: Path,
    wish: str | None,
    tablespaces: tuple[str, ...],
    workers: int | None,
    repository_name: str | None,
    config_file: Path | None,
    system_identifier: int | None,
    as_json: bool,
) -> None:
    """Write the files of a base backup into a new directory, each block checked on the way.

    The server there is not started. With --target it is told how to recover when it is, with archiving off, and
    `latest` is the newest backup from before the target. With --repository the WAL too comes from
    that one alone, else from whichever has it.
    """
    directory = directory.absolute()
    spaces = dict(_tablespace(text) for text in tablespaces)
    target = _target(wish) if wish else None
    config = begin(config_file, repository=repository_name)
    repository = repository_of(config, system_identifier)
    if target and backup_id == catalog.LATEST:
        found = newest_before(repository, target)
    else:
        found = catalog.get(repository, backup_id)
    timeline = reach(repository, found, target).timeline if target else found.timeline
    shown, start = Shown(Steps()), time.monotonic()
    with shown.stage(f"restore {found.id} to {directory}"):
        count = restore_files(
            repository,
            found,
            directory,
            workers=workers or config.backup.workers,
            progress=shown.progress,
            tablespaces=spaces,
        )
        if target:
            source = config_file or os.environ.get("OPS_CONFIG")
            fetch = fetching(config.wal.socket, Path(source).absolute() if source else None, repository_name)
            _tell(directory, target, timeline, fetch)
    duration = time.monotonic() - start
    if as_json:
        placed = default_tablespaces(found, directory) | spaces
        emit_json(
            {
                "backup": found.id,
                "directory": str(directory),
                "target": str(target) if target else None,
                "timeline": timeline,
                "tablespaces": {oid: str(path) for oid, path in placed.items()},
                "bytes": count,
                "seconds": round(duration, 3),
            }
        )
    else:
        click.echo(f"{size(count)} in {seconds(duration)}, {size(count / duration)}/s\n")
        click.echo(_next_step(directory, target, config))


def _tell(directory: Path, target: Target, timeline: int, fetch: str) -> None:
    """Recovery settings; and archiving off, so that this server cannot write where the cluster that it copies does."""
    write_recovery(directory, target, timeline, fetch)
    with (directory / "postgresql.auto.conf").open("a") as file:
        file.write(render({"archive_mode": "off"}))


# Where a restored server is looked at: beside a live one, without its port, its network or its certificates.
_LOOK_PORT = 5499


def _next_step(directory: Path, target: Target | None, config: Config) -> str:
    """Commands for root that work as they stand, beside a live server and on a drill host."""
    if target is None:
        return (
            "Nothing says yet how far to recover. Restore with --target, or set restore_command and a\n"
            f"recovery_target in {directory}/postgresql.auto.conf and touch {directory}/recovery.signal."
        )
    user = config.postgres.user
    control = f"runuser -u {user} -- {config.postgres.bin_dir}/pg_ctl -D {directory}"
    own = f"-c hba_file={directory}/pg_hba.conf -c ident_file={directory}/pg_ident.conf"
    private = f"-p {_LOOK_PORT} -c listen_addresses= -c ssl=off {own}"
    end = "to the end of the WAL in the store" if isinstance(target, Latest) else f"to {target}, and wait there"
    steps = [
        ("look at it", f'cd / && {control} -l {directory}/startup.log -o "{private}" start'),
        ("", f"runuser -u {user} -- psql -p {_LOOK_PORT}"),
        ("end it", f"{control} stop"),
    ]
    return (
        f"It will recover {end}. Next, as root:\n\n{pairs(steps, indent=2)}\n\n"
        "archive_mode is off in its postgresql.auto.conf, so that it cannot write where its cluster does.\n"
        "How to copy rows from it, or to put it in the cluster's place: docs/runbooks/restore.md."
    )


def _target(wish: str) -> Target:
    try:
        return parse(wish)
    except ValueError as error:
        raise UsageError(f"--target {wish!r} cannot be understood", detail=str(error)) from None


def _tablespace(text: str) -> tuple[str, Path]:
    oid, equals, path = text.partition("=")
    if not (equals and oid.isdecimal() and path):
        raise UsageError(f"--tablespace {text!r} is not OID=DIR, such as 16400=/srv/space")
    return oid, Path(path).absolute()


def _duration(backup: Backup) -> float:
    return (backup.stop_time - backup.start_time).total_seconds()


def _ratio(backup: Backup) -> float:
    return backup.size / backup.stored_bytes


def _as_json(backup: Backup) -> dict[str, Any]:
    return backup.as_dict() | {"duration_seconds": _duration(backup), "ratio": round(_ratio(backup), 2)}


def _cells(backup: Backup) -> tuple[str, ...]:
    return (
        backup.id,
        f"{'standby' if backup.from_standby else 'primary'} {backup.host}",
        f"{backup.stop_time.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
        seconds(_duration(backup)),
        size(backup.size),
        size(backup.stored_bytes),
        f"{_ratio(backup):.1f}",
        f"{backup.start_lsn} - {backup.stop_lsn}",
        str(backup.timeline),
    )


def _details(backup: Backup) -> list[tuple[str, object]]:
    version = backup.postgres_version
    return [
        ("id", backup.id),
        ("cluster", backup.cluster),
        ("system identifier", backup.system_identifier),
        ("taken on", f"{backup.host}, a {'standby' if backup.from_standby else 'primary'}"),
        ("PostgreSQL", f"{version // 10000}.{version % 10000}"),
        ("started", timestamp(backup.start_time)),
        ("consistent from", timestamp(backup.stop_time)),
        ("duration", seconds(_duration(backup))),
        ("database", f"{size(backup.size)} in {backup.files} files"),
        ("stored", f"{size(backup.stored_bytes)} in {backup.packs} packs, {size(backup.new_bytes)} of it new"),
        ("ratio", f"{_ratio(backup):.2f}"),
        ("block size", size(backup.block_size)),
        ("timeline", backup.timeline),
        ("LSN", f"{backup.start_lsn} - {backup.stop_lsn}"),
        ("WAL needed", f"{backup.first_segment} - {backup.last_segment}"),
    ]
