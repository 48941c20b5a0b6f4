"""`ops import`: from the JSON files of the old server into the database, and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ops.cli.db import Meant, targeted
from ops.cli.host import as_json_flag
from ops.cli.output import Shown, Steps, emit_json, size, table
from ops.errors import Exit, OpsError, UsageError
from ops.importing import restoring
from ops.importing.keep import beside
from ops.importing.report import document, html
from ops.importing.run import run
from ops.importing.sample import Sample
from ops.importing.verify import verify as compare

REASONS = 15  # shown in a terminal; all of them are in the file of rejects

files_argument = click.argument("files", metavar="DIR", type=click.Path(path_type=Path))


@click.group("import")
def import_() -> None:
    """From the JSON files of the old server into the database, and back."""


@import_.command("json")
@targeted
@files_argument
@click.option("--keep", "kept", type=click.Path(path_type=Path), help="Where copies are kept; beside DIR by default.")
@click.option("--html", "page", type=click.Path(path_type=Path), help="Write the report as a page, too.")
@click.pass_context
def json_(ctx: click.Context, *, files: Path, kept: Path | None, page: Path | None, meant: Meant) -> None:
    """Import the files below DIR. A run that was killed is gone on with; a second one does nothing.

    Every record is in the database afterwards, or among the rejects with the reason. Exit 1 where the database does
    not hold what was read.
    """
    target = meant.to_change()
    if target is None:
        ctx.exit(Exit.UNKNOWN)
    with _files():
        outcome = run(target, files, kept or beside(files), Shown(Steps(quiet=meant.as_json)))
        found = document(outcome)
        if page:
            page.write_text(html(found), encoding="utf-8")
    if meant.as_json:
        emit_json({"database": target.database, **found})
    else:
        _show(found)
    ctx.exit(Exit.OK if outcome.equal else Exit.NO)


@import_.command()
@targeted
@click.option("--keep", "kept", type=click.Path(path_type=Path), help="Where the copies are, if not where they were.")
@click.option("--first", type=click.IntRange(1), default=20, show_default=True, help="Differences to name.")
@click.pass_context
def verify(ctx: click.Context, *, kept: Path | None, first: int, meant: Meant) -> None:
    """Compare the kept files with the database, row by row. Exit 1 with a difference.

    At any time after the import. What the application has written since is a difference, too.
    """
    target = meant.to_change()
    if target is None:
        ctx.exit(Exit.UNKNOWN)
    with _files():
        found = compare(target, kept, first, Shown(Steps(quiet=meant.as_json)))
    if meant.as_json:
        emit_json(
            {
                "database": target.database,
                "equal": found.equal,
                "tables": [asdict(one) for one in found.tables],
                "differences": [asdict(one) for one in found.differences],
                "problems": found.problems,
            }
        )
    else:
        rows = [(one.table, one.rows, one.missing, one.changed, one.added) for one in found.tables]
        figures = ("rows read", "missing", "changed", "added")
        click.echo(table(rows, ("table", *figures), right=figures))
        if found.differences:
            shown = [(one.table, one.key, one.column or "", one.words) for one in found.differences]
            click.echo(f"\nthe first differences\n{table(shown, ('table', 'key', 'column', 'difference'))}")
        for words in found.problems:
            click.echo(words)
        click.echo(f"\n{'the database holds what was imported' if found.equal else 'the database differs'}")
    ctx.exit(Exit.OK if found.equal else Exit.NO)


@import_.command()
@targeted
@files_argument
@click.option("--keep", "kept", type=click.Path(path_type=Path), help="Where the copies are, if not where they were.")
@click.option("--force", is_flag=True, help="Write over files that are there.")
@click.pass_context
def rollback(ctx: click.Context, *, files: Path, kept: Path | None, force: bool, meant: Meant) -> None:
    """Give the files back into DIR: byte for byte where nothing has changed since, else with what was written.

    The database is only read. What the files have no place for is counted, table by table.
    """
    target = meant.to_change()
    if target is None:
        ctx.exit(Exit.UNKNOWN)
    with _files():
        outcome = restoring.rollback(target, files, kept, Shown(Steps(quiet=meant.as_json)), force=force)
    if meant.as_json:
        emit_json({"database": target.database, "folder": str(files), **asdict(outcome)})
        return
    rows = [
        (one.file, "as it was" if one.same else "written anew", one.changed, one.removed, one.added, size(one.bytes))
        for one in outcome.files
    ]
    figures = ("changed", "removed", "added", "size")
    click.echo(table(rows, ("file", "content", *figures), right=figures))
    for one in (one for one in outcome.files if one.duplicates or one.lost):
        click.echo(f"{one.file}: left out {one.duplicates} second records of a key, {one.lost} bytes that are no JSON")
    for name, count in outcome.left.items():
        click.echo(f"no place in the files: {count} rows of {name}")


@import_.command()
@as_json_flag
@files_argument
@click.option("--times", type=click.FloatRange(0, min_open=True), default=1, show_default=True, help="Of the volume.")
@click.option("--dirt/--clean", "dirty", default=True, help="With the dirt that such files have, or without.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same bytes.")
def sample(*, files: Path, times: float, dirty: bool, seed: int, as_json: bool) -> None:
    """Write files like those of the old server into DIR: 139 wallets, 74,000 blocks, 8 assets, or any multiple."""
    steps = Steps(quiet=as_json)
    with _files(), steps.step(f"write a sample into {files}"):
        written = Sample(times, seed, dirty=dirty).write(
            files, lambda done, total: steps.note(f"{done:,} of {total:,} records")
        )
    if as_json:
        emit_json({"folder": str(files), **asdict(written)})
        return
    click.echo(
        table(
            [(title, f"{count:,}") for title, count in written.records.items()],
            ("section", "records"),
            right=("records",),
        )
    )
    if written.dirt:
        click.echo(f"\n{table(sorted(written.dirt.items()), ('dirt', 'records'), right=('records',))}")
    click.echo(f"\n{size(written.bytes)} in {files}")


@contextmanager
def _files() -> Iterator[None]:
    """Files that cannot be read or written, in our words."""
    try:
        yield
    except OpsError:
        raise
    except OSError as error:
        raise UsageError(
            f"{error.filename or 'a file'}: {error.strerror}",
            hint="The command runs as PostgreSQL's user, who has to read DIR, and to write beside it or to --keep.",
        ) from error


def _show(found: dict[str, Any]) -> None:
    sections = [
        (
            one["file"],
            one["section"],
            f"{one['records']:,}",
            f"{one['records'] - one['rejected']:,}",
            f"{one['rejected']:,}",
        )
        for one in found["sections"]
    ]
    figures = ("records", "imported", "rejected")
    click.echo(table(sections, ("file", "section", *figures), right=figures))
    tables = [
        (one["table"], f"{one['read']['rows']:,}", f"{one['database']['rows']:,}", one["read"]["sum"],
         one["database"]["sum"], "agree" if one["equal"] else "DIFFER")
        for one in found["tables"]
    ]  # fmt: skip
    figures = ("rows read", "rows there", "sum read", "sum there")  # type: ignore[assignment]
    click.echo(f"\n{table(tables, ('table', *figures, 'checksums'), right=figures)}")
    reasons = [(one["file"], one["section"], one["reason"], one["records"]) for one in found["reasons"]]
    if reasons:
        click.echo(f"\n{table(reasons[:REASONS], ('file', 'section', 'reason', 'records'), right=('records',))}")
        if len(reasons) > REASONS:
            click.echo(f"and {len(reasons) - REASONS} more reasons")
    click.echo("")
    for one in (one for one in found["files"] if one["problem"]):
        click.echo(f"{one['file']} {one['problem']}; what comes before was imported")
    for one in (one for one in found["files"] if one["not_imported"]):
        click.echo(f"{one['file']}: plain values, not imported: {', '.join(one['not_imported'])}")
    rejected = sum(one["rejected"] for one in found["sections"])
    click.echo(f"{rejected:,} records were rejected, each with its reason: {found['rejects']}")
    click.echo("the database holds what was read" if found["equal"] else "the database DIFFERS from what was read")
