"""`ops wal`: what PostgreSQL calls to archive and to recover, and what the archive holds.

`push` and `fetch` answer to PostgreSQL, which reads a meaning into every exit code (docs/adr/0001-exit-codes.md).
So nothing leaves them but through `ContractCommand`. What they need they import inside, under that guard: an
import that failed out here would exit with 1, by which a recovery is told that the WAL ends. It also keeps
boto3 out of the start of everything else.
"""

from __future__ import annotations

import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ops.cli.host import as_json_flag, begin, configured, identified, repository_of
from ops.cli.output import emit_json, pairs, print_error, size, table, timestamp
from ops.errors import Exit, OpsError, UsageError
from ops.wal.contract import FetchExit, PushExit, fetch_exit, push_exit

if TYPE_CHECKING:
    from ops.config import Config
    from ops.store.repository import Repository
    from ops.wal.gaps import Report

at_data_dir = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="The data directory, when it is not the current directory."
)


class ContractCommand(click.Command):
    """A command whose every failure, wrong usage included, leaves with a code that PostgreSQL reads as meant."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        return self._guarded(super().make_context, *args, **kwargs)  # type: ignore[no-any-return]

    def invoke(self, ctx: click.Context) -> Any:
        return self._guarded(super().invoke, ctx)

    def exit_code(self, error: BaseException) -> int:
        raise NotImplementedError

    def _guarded(self, step: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return step(*args, **kwargs)
        except (click.exceptions.Exit, SystemExit):  # --help, or a command that has chosen its code
            raise
        except BaseException as error:
            with suppress(Exception):  # a closed stderr must not change the code
                _tell(error)
            sys.exit(self.exit_code(error))


class PushCommand(ContractCommand):
    def exit_code(self, error: BaseException) -> int:
        return PushExit.USAGE if isinstance(error, click.ClickException) else push_exit(error)


class FetchCommand(ContractCommand):
    def exit_code(self, error: BaseException) -> int:
        return FetchExit.STOP


class WalGroup(click.Group):
    """Leaves with STOP for a verb that there is not: a misspelt restore_command must not end a recovery."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            with suppress(Exception):
                error.show()
            sys.exit(FetchExit.STOP)


@click.group(cls=WalGroup)
def wal() -> None:
    """Archive and fetch WAL; what PostgreSQL calls."""


@wal.command(cls=PushCommand)
@click.argument("path", type=click.Path(path_type=Path))
@at_data_dir
@configured
def push(path: Path, data_dir: Path | None, config_file: Path | None) -> None:
    """Archive the WAL file PATH: archive_command = 'ops wal push %p'.

    Exit 0: the store has it. 1: refused: it is foreign, damaged, or another file of that name is stored. 2: wrong
    usage or configuration. 3: the store gave no answer. 4: interrupted, or an error of ops.
    """
    from ops.postgres.control import first_data_dir  # noqa: PLC0415
    from ops.store import open_store  # noqa: PLC0415
    from ops.wal.push import Pushed, Source, push_file  # noqa: PLC0415

    path, here = path.absolute(), Path.cwd()
    config = begin(config_file)
    place = first_data_dir([data_dir] if data_dir else [here, path.parent.parent, config.postgres.data_dir])
    source = Source(place or data_dir or here, config.postgres.bin_dir)
    store = open_store(config.repository)
    pushed = push_file(
        path,
        source,
        store,
        prefix=config.repository.prefix,
        cluster=config.cluster,
        level=config.wal.compression_level,
    )
    if pushed is Pushed.ALREADY_THERE:
        click.echo(f"{path.name} is in {store.name} already, with the same contents", err=True)


@wal.command(cls=FetchCommand)
@click.argument("name")
@click.argument("destination", type=click.Path(path_type=Path))
@at_data_dir
@identified
@configured
def fetch(
    name: str, destination: Path, data_dir: Path | None, system_identifier: int | None, config_file: Path | None
) -> None:
    """Bring WAL file NAME back to DESTINATION: restore_command = 'ops wal fetch %f %p'.

    Exit 0: it is there, complete and verified. 1: the store answered that it has no such file. 200: anything else,
    at which a recovery stops; a standby, which asks its primary and then again, gets 1 after wal.standby_patience.
    """
    from ops.model.segment import WalFile  # noqa: PLC0415
    from ops.postgres.control import first_data_dir  # noqa: PLC0415
    from ops.wal.fetch import fetch_for_recovery, fetch_for_standby, has_history, never_written  # noqa: PLC0415

    destination, here = destination.absolute(), Path.cwd()
    try:
        file = WalFile.parse(name)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if never_written(file):
        sys.exit(FetchExit.ABSENT)
    config = begin(config_file)
    place = first_data_dir([data_dir] if data_dir else [here, destination.parent.parent, config.postgres.data_dir])
    standby = place is not None and (place / "standby.signal").exists()
    try:
        repository = _repository_of_database(place, config, system_identifier, patient=not standby)
        if place is not None and standby:
            promoting = (place / "promote").exists
            found = fetch_for_standby(
                repository, file, destination, patience=config.wal.standby_patience, hurry=promoting, told=_tell
            )
        else:
            found = fetch_for_recovery(repository, file, destination)
    except Exception as error:
        own = has_history(file, destination.parent)
        if fetch_exit(error, standby=standby, own_history=own) is FetchExit.STOP:
            raise
        with suppress(Exception):
            _tell(error)
            instead = "uses its own copy" if own else "asks its primary, because this is a standby, and then again"
            click.echo(f"{name} was not fetched: PostgreSQL {instead}", err=True)
        sys.exit(FetchExit.ABSENT)
    sys.exit(FetchExit.FETCHED if found else FetchExit.ABSENT)


@wal.command("list")
@identified
@configured
@as_json_flag
def list_command(system_identifier: int | None, config_file: Path | None, as_json: bool) -> None:
    """The timelines in the archive: how much WAL of each, from where to where."""
    from ops.wal.archive import survey  # noqa: PLC0415

    repository = repository_of(begin(config_file), system_identifier)
    found = survey(repository)
    if as_json:
        emit_json({
            "cluster": repository.layout.cluster,
            "system_identifier": repository.system_identifier,
            "segment_size": found.archive.segment_size,
            "timelines": [timeline.as_dict() for timeline in found.timelines],
        })  # fmt: skip
        return
    if not found.timelines:
        click.echo("No WAL yet. PostgreSQL archives a segment when it is full, or after archive_timeout.", err=True)
        return
    headers = ("timeline", "segments", "oldest", "newest", "stored", "newest stored at (UTC)")
    rows = [
        (t.number, t.segments, t.oldest.name, t.newest.name, size(t.stored_bytes), timestamp(t.newest_stored))
        for t in found.timelines
    ]
    click.echo(table(rows, headers, right=("timeline", "segments", "stored")))


@wal.command("gaps")
@identified
@configured
@as_json_flag
@click.pass_context
def gaps_command(ctx: click.Context, system_identifier: int | None, config_file: Path | None, as_json: bool) -> None:
    """Each segment that is missing between the oldest base backup and the newest WAL.

    Asks only the store, by name. Exit 0: none is missing. 1: some are. 3: the store gave no answer.
    """
    from ops.backup.catalog import backups  # noqa: PLC0415
    from ops.model.continuity import Start  # noqa: PLC0415
    from ops.wal.archive import survey  # noqa: PLC0415
    from ops.wal.gaps import examine  # noqa: PLC0415

    repository = repository_of(begin(config_file), system_identifier)
    # The backups first: what they need was there before they were, whatever is archived in the meantime.
    starts = [Start(backup.timeline, backup.start_lsn, backup.stop_lsn) for backup in backups(repository)]
    report = examine(survey(repository), starts)
    if as_json:
        identity = {"cluster": repository.layout.cluster, "system_identifier": repository.system_identifier}
        emit_json(identity | report.as_dict())
    else:
        _print_report(report)
    ctx.exit(Exit.OK if report.complete else Exit.NO)


def _print_report(report: Report) -> None:
    reached = f"{report.frontier.name}, which ends at {report.frontier.end}" if report.frontier else "no WAL"
    click.echo(pairs([("from", report.origin), ("to", reached), ("segments stored", report.segments)]))
    for hole in report.holes:
        click.echo(f"\nMISSING  {hole}")
        click.echo(f"         no recovery to a position from {hole.first.start} {report.until(hole)}")
    for timeline in report.unexplained:
        click.echo(f"\nMISSING  {timeline:08X}.history")
        click.echo(f"         a recovery cannot follow timeline {timeline}")
    for key in report.strangers:
        click.echo(f"\nUNKNOWN  {key}")
        click.echo("         not a name that PostgreSQL gives; nobody reads it")
    if report.complete:
        click.echo("no gaps")


def _repository_of_database(
    data_dir: Path | None, config: Config, system_identifier: int | None, *, patient: bool
) -> Repository:
    """The repository of the database in `data_dir`, taken to exist; without a database the one that is asked for.

    `patient` False: the store's own retries are off, because the caller has better ones.
    """
    from ops.model.layout import Layout  # noqa: PLC0415
    from ops.postgres.control import ControlData  # noqa: PLC0415
    from ops.store import open_store  # noqa: PLC0415
    from ops.store.repository import Repository, current  # noqa: PLC0415

    settings = config.repository
    if settings.type == "s3" and not patient:
        settings = settings.model_copy(update={"attempts": 1})
    store = open_store(settings)
    if data_dir is None or system_identifier is not None:
        return current(store, settings.prefix, config.cluster, system_identifier)
    identifier = ControlData.read(data_dir).system_identifier
    return Repository(store, Layout(settings.prefix, config.cluster, identifier))


def _tell(error: BaseException) -> None:
    """What went wrong, on stderr, which ends up in PostgreSQL's log."""
    if isinstance(error, OpsError):
        print_error(error)
    elif isinstance(error, click.ClickException):
        error.show()
    elif isinstance(error, KeyboardInterrupt):
        click.echo("interrupted", err=True)
    else:
        traceback.print_exception(error)
