"""`ops db`: the databases of applications, by their migrations."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, TextIO

import click

from ops.cli.host import as_json_flag, begin, configured
from ops.cli.lazy import LazyGroup
from ops.cli.output import Steps, emit_json, seconds, table, timestamp
from ops.database import migrations as runs
from ops.database import partitions as months
from ops.database import views
from ops.database.target import Target, acts, given, local
from ops.database.validate import validate as compare
from ops.errors import Exit, UsageError
from ops.model.impact import Impact
from ops.model.migrations import APPLICATION, File, refusals

# Whether it can be read shows in reading: click asks access(2), which says no where only a capability says yes.
FOLDER = click.Path(path_type=Path, readable=False)


@dataclass(frozen=True)
class Meant:
    """Which database a command means, by its options, and how it is to answer."""

    database: str
    server: str | None
    folder: Path | None
    config_file: Path | None
    as_json: bool

    def to_read(self) -> Target:
        """The database that was named, or the one of this host's own server, replica or not."""
        if self.server:
            return given(self.server, self.folder)
        return local(begin(self.config_file), self.database, self.folder)

    def to_change(self) -> Target | None:
        """The same; None, and a word about it, where this host's server is a replica."""
        if self.server or acts(begin(self.config_file)):
            return self.to_read()
        if self.as_json:
            emit_json({"leads": False})
        else:
            click.echo("this member is a replica: the one that leads does it")
        return None


def targeted(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which database is meant; the command gets them as `meant`."""

    @as_json_flag
    @configured
    @click.option("--folder", type=FOLDER, help="Of the migrations, if not below /opt/ops/sql.")
    @click.option("--server", metavar="URI", help="Another server's database, as libpq reads it, without a password.")
    @click.option("--database", default=APPLICATION, show_default=True, help="Of this host's server.")
    @wraps(command)
    def wrapped(
        *arguments: Any,
        database: str,
        server: str | None,
        folder: Path | None,
        config_file: Path | None,
        as_json: bool,
        **options: Any,
    ) -> None:
        command(*arguments, meant=Meant(database, server, folder, config_file, as_json), **options)

    return wrapped


@click.group(cls=LazyGroup, elsewhere={"bench": "ops.cli.db_bench.bench"})
def db() -> None:
    """The databases of applications: migrations, whether they are as declared, views, how quick they are."""


@db.command()
@targeted
@click.option("--dry", is_flag=True, help="Only say what is pending: exit 0 for nothing, 1 for something.")
@click.option("--check", is_flag=True, help="As --dry, of what this member would do: nothing on a replica.")
@click.option(
    "--declared", type=click.File(), help="With --check: migrations and digests as JSON; - for standard input."
)
@click.option("--lock", type=float, default=0.5, show_default=True, help="Seconds that others may queue behind a lock.")
@click.option("--statement", type=float, default=600, show_default=True, help="Seconds that one statement may take.")
@click.option("--wait", type=float, default=120, show_default=True, help="Seconds to try again for a lock.")
@click.pass_context
def migrate(
    ctx: click.Context,
    *,
    dry: bool,
    check: bool,
    declared: TextIO | None,
    lock: float,
    statement: float,
    wait: float,
    meant: Meant,
) -> None:
    """Apply what is pending, each file in a transaction of its own. A second run does nothing.

    Safe on every member: the one that leads acts. A migration that does not get a lock at once steps back and tries
    again, so that nobody queues behind it.
    """
    if check:
        _show_pending(ctx, meant, declared)
    if declared:
        raise UsageError("--declared is for --check: what is applied is what lies in the folder")
    target = meant.to_read() if dry else meant.to_change()
    if target is None:
        return
    if dry:
        found = runs.status(target)
        pending = [one.name for one in found if one.state == "pending"]
        if meant.as_json:
            emit_json({"database": target.database, "pending": pending, "refused": refusals(found)})
        else:
            click.echo("\n".join([*pending, *refusals(found)]) or "nothing pending")
        ctx.exit(Exit.NO if pending or refusals(found) else Exit.OK)
    steps = Steps(quiet=meant.as_json)
    applied = runs.migrate(target, runs.Patience(lock, statement, wait), lambda text: steps.say(f"  {text}"))
    if meant.as_json:
        emit_json({"database": target.database, "applied": applied})
    elif not applied:
        click.echo(f"{target.database}: nothing pending")


def _show_pending(ctx: click.Context, meant: Meant, declared: TextIO | None) -> NoReturn:
    """What the deploy asks before it migrates, and `ops plan`: as `ops cluster apply --check` answers."""
    leads = meant.server or acts(begin(meant.config_file))
    target = meant.to_read()
    known = _declared(declared) if declared else runs.files(target.folder)
    found = [f"{target.database}: migration {name}" for name in runs.pending(target, known)] if leads else []
    if meant.as_json:
        emit_json({"pending": [{"what": what, "impacts": [Impact.NONE]} for what in found]})
    else:
        click.echo("\n".join(found) or "nothing pending")
    ctx.exit(Exit.NO if found else Exit.OK)


def _declared(file: TextIO) -> list[File]:
    try:
        return [File(name, digest) for name, digest in json.load(file).items()]
    except (ValueError, AttributeError) as error:
        raise UsageError("--declared takes a JSON object of migrations and their digests", detail=str(error)) from error


@db.command()
@targeted
@click.pass_context
def status(ctx: click.Context, *, meant: Meant) -> None:
    """Every migration: applied, pending, changed after it was applied, missing. Exit 1 unless all are applied."""
    target = meant.to_read()
    found = runs.status(target)
    if meant.as_json:
        emit_json({"database": target.database, "migrations": [asdict(one) for one in found]})
    else:
        rows = [
            (one.name, one.state, timestamp(one.applied_at) if one.applied_at else "", "yes" if one.undoes else "no")
            for one in found
        ]
        click.echo(table(rows, ["migration", "state", "applied", "can be undone"]))
    ctx.exit(Exit.OK if all(one.state == "applied" for one in found) else Exit.NO)


@db.command()
@targeted
@click.pass_context
def validate(ctx: click.Context, *, meant: Meant) -> None:
    """Compare the database with what its migrations make of an empty one. Exit 1 where it differs.

    The migrations are applied to a scratch database of the same server, which is dropped again: so it takes one that
    can be written to.
    """
    target = meant.to_change()
    if target is None:
        ctx.exit(Exit.UNKNOWN)
    with Steps(quiet=meant.as_json).step(f"compare {target.database} with its migrations"):
        found = compare(target)
    if meant.as_json:
        emit_json({"database": target.database, "differences": [asdict(one) for one in found]})
    elif found:
        click.echo(table([(one.verdict, one.kind, one.name) for one in found], ["verdict", "kind", "name"]))
        for one in (one for one in found if one.verdict == "different"):
            click.echo(f"\n{one.kind} {one.name}")
            click.echo(textwrap.indent(f"declared: {one.declared}\nactual:   {one.actual}", "  "))
    else:
        click.echo(f"{target.database} is as its migrations make it")
    ctx.exit(Exit.NO if found else Exit.OK)


@db.command()
@targeted
@click.option("--lock", type=float, default=0.5, show_default=True, help="Seconds that others may queue behind a lock.")
@click.option("--wait", type=float, default=120, show_default=True, help="Seconds to try again for a lock.")
def rollback(*, lock: float, wait: float, meant: Meant) -> None:
    """Undo the last migration, where it can be; otherwise say why not, and exit 1. What it made goes, rows and all."""
    target = meant.to_change()
    if target is None:
        return
    steps = Steps(quiet=meant.as_json)
    undone = runs.rollback(target, runs.Patience(lock=lock, total=wait), lambda text: steps.say(f"  {text}"))
    if meant.as_json:
        emit_json({"database": target.database, "undone": undone})
    else:
        click.echo(f"undone: {undone}")


@db.command()
@targeted
@click.argument("view", nargs=-1)
@click.option("--due", is_flag=True, help="Only those that are older than they may be; what a timer calls.")
def refresh(*, view: tuple[str, ...], due: bool, meant: Meant) -> None:
    """Refresh materialized views, all of them unless some are named, beside those who read them.

    Safe on every member: the one that leads acts.
    """
    target = meant.to_change()
    if target is None:
        return
    done = views.refresh(target, view, only_due=due)
    if meant.as_json:
        emit_json({"database": target.database, "refreshed": [asdict(one) for one in done]})
    else:
        for one in done:
            click.echo(f"refreshed {one.name} in {seconds(one.seconds)}")
        if not done and sys.stdout.isatty():  # a timer asks each minute: nothing to say is nothing in the journal
            click.echo("nothing is due")


@db.command()
@targeted
@click.option("--ahead", type=click.IntRange(0, 36), default=3, show_default=True, help="Months after this one.")
@click.pass_context
def partitions(ctx: click.Context, *, ahead: int, meant: Meant) -> None:
    """Make the monthly partitions that are missing, and show where the months end. Exit 1 where rows went astray.

    Safe on every member: the one that leads acts.
    """
    target = meant.to_change()
    if target is None:
        return
    made, found = months.make(target, ahead)
    if meant.as_json:
        emit_json({"database": target.database, "made": made, "tables": [asdict(one) for one in found]})
    else:
        rows = [(one.table, timestamp(one.covered_until), one.stray_rows) for one in found]
        click.echo(table(rows, ["table", "months until", "stray rows"], right=["stray rows"]))
        click.echo(f"\nmade: {', '.join(made) or 'nothing'}")
    ctx.exit(Exit.NO if any(one.stray_rows for one in found) else Exit.OK)
