"""`ops backup create`, `list` and `show`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ops.backup import catalog, standing
from ops.backup.standing import Verified, Window
from ops.cli.heap import lean
from ops.cli.host import as_json_flag, begin, chosen, configured, identified, repository_of
from ops.cli.output import Shown, Steps, emit_json, pairs, print_error, seconds, size, table, timestamp
from ops.drill import records
from ops.errors import Exit, OpsError
from ops.model.backup import Backup
from ops.store import open_store
from ops.store.codec import Damaged
from ops.store.repository import Repository

_COLUMNS = ("id", "from", "taken (UTC)", "duration", "database", "new", "stored", "ratio", "WAL", "timeline")
_LISTED = (*_COLUMNS, "pages", "drilled (UTC)")
_FIGURES = ("duration", "database", "new", "stored", "ratio", "timeline")
_DRILLS = 50  # the newest drills, which tell of the newest backups


@click.command()
@click.option("--here", is_flag=True, help="Also on a primary: say nothing of a replica that could do the reading.")
@chosen
@configured
@as_json_flag
@click.pass_context
def create(
    ctx: click.Context, *, here: bool, repository_name: str | None, config_file: Path | None, as_json: bool
) -> None:
    """Take a base backup of the PostgreSQL server on this host, primary or standby.

    It exists once all its blocks and all the WAL that it needs are in the store. What an earlier backup has stored is
    not stored again, nor read where it cannot have changed. On a primary, a replica that could do the reading is named,
    and the backup goes on. On a standby the last segment comes from the primary, when that has filled it or its
    archive_timeout has passed. Exits with 1 when pages of the database are damaged: the backup is kept, and names them.
    """
    from ops.backup.create import create as create_backup  # noqa: PLC0415 - who only looks needs no psycopg

    lean()
    config = begin(config_file, repository=repository_name)
    taken = create_backup(config, open_store(config.repository), Shown(Steps()), here=here)
    if as_json:
        emit_json(_as_json(taken))
    else:
        click.echo(table([_cells(taken)], _COLUMNS, right=_FIGURES))
    if taken.damaged:
        print_error(_damage(taken))
        ctx.exit(Exit.NO)


def _damage(taken: Backup) -> OpsError:
    """The database has damaged pages: a finding about the server, not about the backup."""
    pages = taken.damaged_pages
    return OpsError(
        f"{pages} page{'s' if pages > 1 else ''} of the database failed their checksum; backup {taken.id} is kept, and "
        "holds them as they are",
        detail=_named(taken.damaged),
        hint="The disk has damaged them, and the server will refuse to read them. Which relation a file of\n"
        "base/<database> is: select pg_filenode_relation(0, <its number>) in the database with that oid.\n"
        "An earlier backup whose `pages` are good has them whole: ops backup list",
    )


def _named(damaged: dict[str, list[list[int]]], most: int = 20) -> str:
    """A line for each file: its damaged blocks, counted in this file from 0."""
    lines = [
        f"{path}: block {', '.join(str(first) if first == last else f'{first} to {last}' for first, last in stretches)}"
        for path, stretches in sorted(damaged.items())
    ]
    return "\n".join([*lines[:most], *([f"and {len(lines) - most} more files"] if len(lines) > most else [])])


@click.command("list")
@chosen
@configured
@identified
@as_json_flag
def list_command(
    repository_name: str | None, config_file: Path | None, system_identifier: int | None, as_json: bool
) -> None:
    """All base backups, oldest first. Exits with 1 when one of them is damaged, after the others are shown."""
    repository = repository_of(begin(config_file, repository=repository_name), system_identifier)
    found, wrong = catalog.survey(repository)
    drilled = _drilled(repository) if found else {}
    if as_json and not wrong:
        emit_json([_as_json(backup) | {"drilled": drilled.get(backup.id)} for backup in found])
    elif found and not as_json:
        _print_list(found, drilled)
    elif not wrong:
        click.echo("No base backup yet. Take one on a database host: ops backup create", err=True)
    if wrong:
        raise wrong[0]


def _drilled(repository: Repository) -> dict[str, datetime]:
    """When the last drill was that proved each backup."""
    try:
        newest = records.restores(repository).newest(_DRILLS)
    except Damaged:  # `ops drill list` names it
        return {}
    return {drill.backup.id: drill.finished_at for drill in newest if drill.proven and drill.backup}


def _print_list(found: list[Backup], drilled: dict[str, datetime]) -> None:
    rows = [(*_cells(backup), _pages(backup), _minute(drilled.get(backup.id))) for backup in found]
    click.echo(table(rows, _LISTED, right=_FIGURES))
    stored = size(sum(backup.new_bytes for backup in found))
    age = seconds(max(0, (datetime.now(UTC) - found[-1].stop_time).total_seconds()))
    click.echo(f"\n{len(found)} in all, {stored} stored; the newest is {age} old.")


@click.command()
@click.argument("backup_id", metavar="ID|latest")
@chosen
@configured
@identified
@as_json_flag
def show(
    *,
    backup_id: str,
    repository_name: str | None,
    config_file: Path | None,
    system_identifier: int | None,
    as_json: bool,
) -> None:
    """Everything that is known of one base backup."""
    repository = repository_of(begin(config_file, repository=repository_name), system_identifier)
    found = catalog.get(repository, backup_id)
    window, verified = standing.window(repository, found), standing.verified(repository, found)
    drilled = _drilled(repository).get(found.id)
    if as_json:
        emit_json(_as_json(found) | {"window": asdict(window), "verified": asdict(verified), "drilled": drilled})
        return
    click.echo(pairs([*_details(found), *_stands(found, window, verified, drilled)]))
    if found.damaged:
        click.echo(f"\ndamaged on the server's own disk, and so in this backup\n{_named(found.damaged)}")
    for title, values in (("tablespaces", found.tablespaces), ("settings", found.settings)):
        if values:
            click.echo(f"\n{title}")
            click.echo(pairs(sorted(values.items()), indent=2))


def _duration(backup: Backup) -> float:
    return (backup.stop_time - backup.start_time).total_seconds()


def _ratio(backup: Backup) -> float:
    return backup.size / backup.stored_bytes


def _pages(backup: Backup) -> str:
    if not backup.checked:
        return "not checked"
    return f"{backup.damaged_pages} damaged" if backup.damaged else "good"


def _minute(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}" if moment else "never"


def _stands(backup: Backup, window: Window, verified: Verified, drilled: datetime | None) -> list[tuple[str, object]]:
    """What has become of a backup since it was taken."""
    if window.last and window.stored:
        reach = f"from {timestamp(backup.stop_time)} to the end of {window.last}, stored {timestamp(window.stored)}"
    else:
        reach = "none: WAL that it needs is missing; see `ops wal gaps`"
    since = f" since {timestamp(verified.oldest)}" if verified.oldest else ""
    return [
        ("recovery", reach),
        ("pages", _pages(backup)),
        ("verified", f"{verified.good} of {verified.packs} packs{since}" if verified.good else "never"),
        ("drilled", timestamp(drilled) if drilled else "never"),
    ]


def _as_json(backup: Backup) -> dict[str, Any]:
    return backup.as_dict() | {"duration_seconds": _duration(backup), "ratio": round(_ratio(backup), 2)}


def _cells(backup: Backup) -> tuple[str, ...]:
    return (
        backup.id,
        f"{'standby' if backup.from_standby else 'primary'} {backup.host}",
        f"{backup.stop_time.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
        seconds(_duration(backup)),
        size(backup.size),
        size(backup.new_bytes),
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
        ("built on", backup.previous or "nothing: all is new"),
        ("block size", size(backup.block_size)),
        ("timeline", backup.timeline),
        ("LSN", f"{backup.start_lsn} - {backup.stop_lsn}"),
        ("WAL needed", f"{backup.first_segment} - {backup.last_segment}"),
    ]
