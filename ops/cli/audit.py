"""`ops audit`: whether the audit trail of a database is what was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from ops.cli.db import Meant, targeted
from ops.cli.host import begin, repository_of
from ops.cli.output import emit_json, table
from ops.database import audit as trails
from ops.database import evidence
from ops.database.evidence import Anchor
from ops.errors import Exit, UsageError
from ops.model.audit import Verdict
from ops.store.repository import Repository

NEWEST = "latest"


@click.group()
def audit() -> None:
    """Whether the audit trail of a database is what was written."""


@audit.command()
@targeted
@click.option(
    "--anchor",
    metavar="FILE",
    help=f"What `ops audit anchor` has said before, from elsewhere; `{NEWEST}`: the newest in the repository.",
)
@click.option(
    "--keep",
    is_flag=True,
    help="Judge by the newest anchor in the repository, if there is one, and keep the verdict there; where it is"
    " good, a new anchor too. What a timer calls.",
)
@click.pass_context
def verify(ctx: click.Context, *, anchor: str | None, keep: bool, meant: Meant) -> None:
    """Read the whole trail, and name the first bad record of each chain. Exit 1 where there is one.

    Bad is what was altered, removed, inserted or put elsewhere, and a guard of the trail that is switched off. With an
    anchor, also what was cut off or written anew since. Changes nothing in the database: a replica will do.
    """
    target = meant.to_read()
    repository = _repository(meant) if keep or anchor == NEWEST else None
    by = _anchor(anchor, repository, target.database)
    verdict, guards = trails.judge(target, by.heads if by else {}), trails.open_guards(target)
    good = not verdict.flaws and not guards
    if meant.as_json:
        emit_json({"database": target.database, "good": good, **asdict(verdict), "open_guards": guards})
    else:
        _tell(verdict, guards)
    if keep and repository:
        evidence.put_verdict(repository, target.database, verdict, guards, by)
        if good:
            evidence.put_anchor(repository, trails.anchor(target))
    ctx.exit(Exit.OK if good else Exit.NO)


@audit.command()
@targeted
@click.option("--keep", is_flag=True, help="Keep it in the repository, too: the next `verify --keep` goes by it.")
def anchor(*, keep: bool, meant: Meant) -> None:
    """Say where every chain ends, to be kept where nobody who rules the database can reach it.

    One JSON document, with --json or without: it is for `ops audit verify --anchor`.
    """
    target = meant.to_read()
    document = trails.anchor(target)
    if keep:
        evidence.put_anchor(_repository(meant), document)
    emit_json(document)


def _anchor(wanted: str | None, repository: Repository | None, database: str) -> Anchor | None:
    """What to go by: a file, or else the newest that was kept in the repository that we look into, or nothing."""
    if wanted and wanted != NEWEST:
        return Anchor(wanted, trails.read_anchor(Path(wanted), database))
    found = evidence.newest_anchor(repository, database) if repository else None
    if wanted and found is None:
        raise UsageError(
            f"the repository has no anchor of the audit trail of {database}", hint="ops audit anchor --keep"
        )
    return found


def _repository(meant: Meant) -> Repository:
    """Of this host's own cluster. Another server's trail has no place in it."""
    if meant.server:
        raise UsageError("the repository is of this host's own databases, and --server names another one")
    return repository_of(begin(meant.config_file), None)


def _tell(verdict: Verdict, guards: Sequence[str]) -> None:
    if verdict.flaws:
        rows = [(one.chain, one.position, one.kind, one.words) for one in verdict.flaws]
        click.echo(table(rows, ["chain", "position", "verdict", "what"], right=["chain", "position"]))
    for guard in guards:
        click.echo(f"not guarded: {guard} is missing or switched off")
    click.echo(f"{verdict.records} records in {verdict.chains} chains are as they were written")
