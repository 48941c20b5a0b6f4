"""`ops wal`: what PostgreSQL calls to archive and to recover, and what the archive holds.

`push` and `fetch` answer to PostgreSQL, which reads a meaning into every exit code (docs/adr/0001-exit-codes.md).
So nothing leaves them but through `ContractCommand`. What they need they import inside, under that guard: an
import that failed out here would exit with 1, by which a recovery is told that the WAL ends. It also keeps
boto3 out of the start of everything else.
"""

from __future__ import annotations

import os
import sys
import textwrap
import traceback
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ops.cli.heap import lean
from ops.cli.host import as_json_flag, begin, chosen, configured, identified, repository_of
from ops.cli.lazy import LazyGroup
from ops.cli.output import emit_json, pairs, print_error, seconds, size, table, timestamp
from ops.errors import Exit, OpsError
from ops.wal.contract import FetchExit, PushExit, push_exit

if TYPE_CHECKING:
    from ops.model.room import Room
    from ops.wal.archiver.status import Status

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


class WalGroup(LazyGroup):
    """Leaves with STOP for a verb that there is not: a misspelt restore_command must not end a recovery."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            with suppress(Exception):
                error.show()
            sys.exit(FetchExit.STOP)


@click.group(cls=WalGroup, elsewhere={verb: f"ops.cli.continuity.{verb}" for verb in ("catchup", "gaps", "mirror")})
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
    from ops.wal.access import Access  # noqa: PLC0415
    from ops.wal.answer import Offered  # noqa: PLC0415
    from ops.wal.push import Pushed  # noqa: PLC0415

    offered = Offered(path.absolute(), Path.cwd(), data_dir)
    config = begin(config_file)
    pushed = offered.pusher(Access(config)).push(offered.path)
    if pushed is Pushed.ALREADY_THERE:
        click.echo(f"{path.name} is in the repository already, with the same contents", err=True)


@wal.command(cls=FetchCommand)
@click.argument("name")
@click.argument("destination", type=click.Path(path_type=Path))
@click.option("--tail", is_flag=True, help="At the end of the archive, go on with the live tail: for a recovery.")
@chosen
@at_data_dir
@identified
@configured
def fetch(
    *,
    name: str,
    destination: Path,
    tail: bool,
    repository_name: str | None,
    data_dir: Path | None,
    system_identifier: int | None,
    config_file: Path | None,
) -> None:
    """Bring WAL file NAME back to DESTINATION: restore_command = 'ops wal fetch %f %p'.

    Exit 0: it is there, complete and verified. 44: the store answered that it has no such file. 200: anything else,
    at which a recovery stops; a standby, which asks its primary and then again, gets 44 after wal.standby_patience.
    """
    from ops.wal.access import Access  # noqa: PLC0415
    from ops.wal.answer import Wanted  # noqa: PLC0415
    from ops.wal.answer import fetch as answer  # noqa: PLC0415
    from ops.wal.fetch import Placing  # noqa: PLC0415

    wanted = Wanted(name, destination.absolute(), Path.cwd(), data_dir, system_identifier, tail)
    sys.exit(
        answer(
            wanted, lambda: Access(begin(config_file, repository=repository_name)), Placing(wanted.destination), _tell
        )
    )


@wal.command("archiver")
@click.option("--socket", type=click.Path(path_type=Path), help="Listen here instead of at wal.socket.")
@configured
def archiver_command(socket: Path | None, config_file: Path | None) -> None:
    """Serve PostgreSQL's archive_command and restore_command on this host, ahead of its questions.

    For systemd. SIGTERM ends it: what has begun is finished, and what is left is done by whoever asks for it.
    """
    from ops.cli.signals import Stop  # noqa: PLC0415
    from ops.config import DEFAULT_PATH  # noqa: PLC0415
    from ops.wal.archiver.server import run  # noqa: PLC0415
    from ops.wal.archiver.service import Service  # noqa: PLC0415

    lean()
    config = begin(config_file)
    source = Path(config_file or os.environ.get("OPS_CONFIG") or DEFAULT_PATH).absolute()
    stop = Stop()
    place = socket or config.wal.socket
    service = Service(config, source)
    click.echo(f"archiver: serving at {place}", err=True)
    run(place, service, stop)
    click.echo("archiver: stopped", err=True)


@wal.command("status")
@click.option("--socket", type=click.Path(path_type=Path), help="Of the service, instead of wal.socket.")
@configured
@as_json_flag
@click.pass_context
def status_command(ctx: click.Context, socket: Path | None, config_file: Path | None, as_json: bool) -> None:
    """How archiving on this host is doing.

    Exit 0: the service runs, and nothing that waits has failed. 1: it is down, or something has. 3: could not find out.
    """
    from ops.wal.archiver.status import status  # noqa: PLC0415

    config = begin(config_file)
    found = status(socket or config.wal.socket, config.postgres.data_dir)
    if as_json:
        emit_json(found.as_dict())
    else:
        _print_status(found)
    ctx.exit(Exit.OK if found.healthy else Exit.NO)


def _print_status(found: Status) -> None:
    fields = found.as_dict()
    waiting = f"{fields['queue']} files"
    if found.oldest is not None:
        waiting += f", the oldest {fields['oldest_unarchived']} for {seconds(found.oldest_age)}"
    service = f"up since {_moment(fields['started'])}" if found.service else f"down: {found.trouble}"
    rows: list[tuple[str, object]] = [("service", service), ("waiting", waiting)]
    if found.room:
        rows.append(("pg_wal", _room(found.room)))
    if found.service:
        last = fields["last_archived"]
        rows += [
            ("in flight", fields["in_flight"]),
            ("last archived", f"{last} at {_moment(fields['last_archived_at'])}" if last else "nothing yet"),
            ("throughput", f"{size(fields['bytes_per_second'])}/s, {fields['segments_per_second']} files/s"),
            ("live tail", f"to {fields['tail']['lsn']}" if fields["tail"] else "none: no primary, or turned off"),
            ("archived", f"{fields['archived_total']} files, {size(fields['archived_bytes_total'])}"),
            ("fetched", f"{fields['fetched_total']} files, {fields['prefetched_total']} of them ahead"),
        ]
    click.echo(pairs(rows))
    for duty, trouble in fields["troubles"].items():
        click.echo(f"\nTROUBLE  {duty}\n" + textwrap.indent(trouble, " " * 9))
    for failure in fields["failures"]:
        click.echo(f"\nFAILED  {failure['file']} at {_moment(failure['at'])}\n        {failure['reason']}")


def _room(room: Room) -> str:
    text = f"{size(room.used)}, {size(room.free)} free"
    if room.lasts is None:
        return text
    return f"{text}: full in {seconds(room.lasts)} at {size(room.rate or 0)}/s of WAL, if nothing is archived"


def _moment(text: str) -> str:
    return timestamp(datetime.fromisoformat(text).replace(microsecond=0))


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


def _tell(error: BaseException | str) -> None:
    """What went wrong, on stderr, which ends up in PostgreSQL's log."""
    if isinstance(error, str):
        click.echo(error, err=True)
    elif isinstance(error, OpsError):
        print_error(error)
    elif isinstance(error, click.ClickException):
        error.show()
    elif isinstance(error, KeyboardInterrupt):
        click.echo("interrupted", err=True)
    else:
        traceback.print_exception(error)
