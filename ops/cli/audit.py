"""`ops audit`: whether the audit trail of a database is what was written."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from ops.cli.db import Meant, targeted
from ops.cli.output import emit_json, table
from ops.database import audit as trails
from ops.errors import Exit


@click.group()
def audit() -> None:
    """Whether the audit trail of a database is what was written."""


@audit.command()
@targeted
@click.option(
    "--anchor", type=click.Path(path_type=Path), help="What `ops audit anchor` has said before, from elsewhere."
)
@click.pass_context
def verify(ctx: click.Context, *, anchor: Path | None, meant: Meant) -> None:
    """Read the whole trail, and name the first bad record of each chain. Exit 1 where there is one.

    Bad is what was altered, removed, inserted or put elsewhere, and a guard of the trail that is switched off. With an
    anchor, also what was cut off or written anew since. Reads only: a replica will do.
    """
    target = meant.to_read()
    verdict, guards = trails.judge(target, anchor), trails.open_guards(target)
    good = not verdict.flaws and not guards
    if meant.as_json:
        emit_json({"database": target.database, "good": good, **asdict(verdict), "open_guards": guards})
    else:
        if verdict.flaws:
            rows = [(one.chain, one.position, one.kind, one.words) for one in verdict.flaws]
            click.echo(table(rows, ["chain", "position", "verdict", "what"], right=["chain", "position"]))
        for guard in guards:
            click.echo(f"not guarded: {guard} is missing or switched off")
        click.echo(f"{verdict.records} records in {verdict.chains} chains are as they were written")
    ctx.exit(Exit.OK if good else Exit.NO)


@audit.command()
@targeted
def anchor(*, meant: Meant) -> None:
    """Say where every chain ends, to be kept where nobody who rules the database can reach it.

    One JSON document, with --json or without: it is for `ops audit verify --anchor`.
    """
    target = meant.to_read()
    emit_json(trails.anchor(target))
