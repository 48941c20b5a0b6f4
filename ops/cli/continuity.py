"""`ops wal gaps`, `catchup` and `mirror`: is the archive whole, and what can still be done about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ops.backup.catalog import backups
from ops.backup.expire import policy_of
from ops.backup.holdings import starts_of
from ops.cli.host import as_json_flag, begin, chosen, configured, identified, repository_of
from ops.cli.output import Steps, emit_json, pairs, print_error, size, table, timestamp
from ops.errors import Exit, OpsError, Unreachable, UsageError
from ops.wal.access import Access
from ops.wal.archive import survey
from ops.wal.catchup import catch_up, wait_for_promotion
from ops.wal.gaps import Report, examine
from ops.wal.ledger import Ledger, verify
from ops.wal.mirror import Behind, Copied, behind
from ops.wal.mirror import mirror as copy_wal
from ops.wal.push import Source

if TYPE_CHECKING:
    from ops.config import Config
    from ops.store.repository import Repository

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


class Budget(click.ParamType[int | None]):
    """How many stored bytes to read: `all`, `none`, or a number with an optional unit (1GiB, 500M)."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        if value in ("all", None):
            return None
        if value == "none":
            return 0
        match = re.fullmatch(r"([0-9]+) ?([kmgt]?)(i?b)?", str(value).lower())
        if not match:
            self.fail(f"{value!r} is neither 'all' nor 'none' nor a number of bytes such as 1GiB", param, ctx)
        return int(match[1]) * _UNITS[match[2]]


@click.command("gaps")
@click.option(
    "--verify", "budget", type=Budget(), default="1GiB", show_default=True, metavar="BYTES|all|none",
    help="How much of what is stored to read and verify, what was never verified first.",
)  # fmt: skip
@chosen
@identified
@configured
@as_json_flag
@click.pass_context
def gaps(  # noqa: PLR0917
    ctx: click.Context,
    budget: int | None,
    repository_name: str | None,
    system_identifier: int | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Each WAL segment that is missing, damaged or foreign, from the oldest base backup to the newest WAL.

    Asks only the store, never the server. What is verified is noted in the store, so that every run goes on where the
    last one ended; what has changed since is read at once. Exit 0: all is there. 1: something is missing or bad. 3: the
    store gave no answer.
    """
    config = begin(config_file, repository=repository_name)
    repository = repository_of(config, system_identifier)
    # The backups first: what they need was there before they were, whatever is archived in the meantime.
    found_backups = backups(repository)
    seen = survey(repository)
    policy = policy_of(config.repository.retention, offsite=repository_name not in (None, "main"))
    starts = starts_of(found_backups, seen, policy, datetime.now(UTC))
    ledger = Ledger.load(repository, repository.layout.ledger)
    steps = Steps(quiet=as_json or budget == 0)
    with steps.step("verify what is due"):
        found = verify(
            repository, seen.archive, seen.stored, ledger, budget=budget,
            progress=lambda done, total: steps.note(f"{done} of {total}"),
        )  # fmt: skip
    report = examine(seen, starts, ledger.entries | found)
    unnoted = _note(repository, ledger, found)
    if as_json:
        identity = {"cluster": repository.layout.cluster, "system_identifier": repository.system_identifier}
        this_run = {"verified_now": len(found), "noted": unnoted is None, "damaged_ledgers": list(ledger.damaged)}
        emit_json(identity | report.as_dict() | this_run)
    else:
        _print(report, ledger)
        if unnoted:
            click.echo("\nWhat was verified could not be noted in the store; the next run will do it again:", err=True)
            print_error(unnoted)
    ctx.exit(Exit.OK if report.complete else Exit.NO)


def _note(repository: Repository, ledger: Ledger, found: Any) -> OpsError | None:
    """Note in the store what was verified; the error where it cannot be, as with a credential that only reads."""
    try:
        ledger.record(repository, found)
    except OpsError as error:
        return error
    return None


def _print(report: Report, ledger: Ledger) -> None:
    reached = f"{report.frontier.name}, which ends at {report.frontier.end}" if report.frontier else "no WAL"
    done = report.verified
    verified = f"{done.objects} of {done.all_objects} files, {size(done.stored_bytes)} of {size(done.all_bytes)}"
    click.echo(
        pairs([
            ("from", report.origin),
            ("to", reached),
            ("segments stored", report.segments),
            ("verified", verified),
        ])
    )  # fmt: skip
    for hole in report.holes:
        click.echo(f"\nMISSING  {hole}")
        click.echo(f"         no recovery to a position from {hole.first.start} {report.until(hole)}")
    for bad in report.bad:
        click.echo(f"\n{bad.verdict.upper():<8} {bad.name}")
        click.echo("\n".join(f"         {line}" for line in bad.detail.splitlines()))
        if bad.hole:
            click.echo(f"         no recovery to a position from {bad.hole.first.start} {report.until(bad.hole)}")
    for timeline in report.unexplained:
        click.echo(f"\nMISSING  {timeline:08X}.history")
        click.echo(f"         a recovery cannot follow timeline {timeline}")
    for key in report.strangers:
        click.echo(f"\nUNKNOWN  {key}")
        click.echo("         not a name that PostgreSQL gives; nobody reads it")
    for key in ledger.damaged:
        click.echo(f"\nDAMAGED  {key}")
        click.echo("         a ledger of verifications; what it vouched for is verified again")
    if report.complete:
        click.echo("no gaps" if done.complete else "no gaps by name; the rest is verified by the next runs")


@click.command("catchup")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Instead of postgres.data_dir in the configuration.")
@click.option("--wait", type=float, default=0, metavar="SECONDS", help="Wait for a promotion to be through first.")
@click.argument("callback", nargs=-1)
@configured
@as_json_flag
@click.pass_context
def catchup(  # noqa: PLR0917
    ctx: click.Context,
    data_dir: Path | None,
    wait: float,
    callback: tuple[str, ...],
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Archive what an old primary never archived and this member still has.

    On any member, whenever it may be: after a failover, when an old primary has come back, or as Patroni's
    on_role_change, whose CALLBACK arguments are not looked at. Exit 0: nothing is left to do. 1: something was
    refused. 3: the store gave no answer.
    """
    config = begin(config_file)
    place = data_dir or config.postgres.data_dir
    if place is None:
        raise UsageError("where is the data directory?", hint="Name it with --data-dir, or as postgres.data_dir.")
    access, source = Access(config), Source(place, config.postgres.bin_dir)
    wait_for_promotion(source, wait)
    done = catch_up(access.repository(place), access.pusher(place), source)
    if as_json:
        emit_json({
            "timeline": done.timeline, "pushed": done.pushed, "refused": [error.as_dict() for error in done.refused]
        })  # fmt: skip
    else:
        for name in done.pushed:
            click.echo(f"archived  {name}")
        for error in done.refused:
            print_error(error)
        if not done.pushed and not done.refused:
            click.echo(f"nothing to catch up with before timeline {done.timeline}")
    ctx.exit(Exit.NO if done.refused else Exit.OK)


@click.command("mirror")
@click.option("--check", is_flag=True, help="Copy nothing; say how far each repository is behind.")
@identified
@configured
@as_json_flag
@click.pass_context
def mirror(
    ctx: click.Context, check: bool, system_identifier: int | None, config_file: Path | None, as_json: bool
) -> None:
    """Bring what the other repositories lack of the first one's WAL to them.

    The archiver service does it all the time. Exit 0: they have it all. 1: something is missing, or could not be
    copied. 3: a repository gave no answer (the others were still looked after).
    """
    config = begin(config_file)
    if not config.repositories:
        raise UsageError("there is one repository only", hint="Further ones are tables [repositories.<name>].")
    source = repository_of(config, system_identifier)
    access = Access(config)
    results = {
        name: _mirrored(source, other.place(source.system_identifier), config, check=check)
        for name, other in access.others().items()
    }
    if as_json:
        emit_json({name: result.as_dict() for name, result in results.items()})
    else:
        _print_mirrors(results)
    ctx.exit(max(result.exit_code for result in results.values()))


@dataclass(frozen=True)
class _Mirrored:
    """How one repository stands to the first one; `trouble` where it gave no answer."""

    copied: list[str]
    refused: list[OpsError]
    behind: Behind | None
    trouble: OpsError | None = None

    @property
    def exit_code(self) -> Exit:
        if self.behind is None:
            return Exit.UNKNOWN
        return Exit.NO if self.behind.missing or self.refused else Exit.OK

    def as_dict(self) -> dict[str, Any]:
        return {
            "copied": self.copied,
            "refused": [error.as_dict() for error in self.refused],
            "missing": None if self.behind is None else len(self.behind.missing),
            "missing_bytes": self.behind and self.behind.size,
            "oldest_missing_stored_at": self.behind and self.behind.oldest,
            "trouble": self.trouble and self.trouble.as_dict(),
        }


def _mirrored(source: Repository, target: Repository, config: Config, *, check: bool) -> _Mirrored:
    copied = Copied()
    try:
        if not check:
            copied = copy_wal(source, target, level=config.wal.compression_level)
        return _Mirrored(copied.names, copied.refused, behind(source, target))
    except Unreachable as error:
        return _Mirrored(copied.names, copied.refused, None, error)


def _print_mirrors(results: dict[str, _Mirrored]) -> None:
    rows = []
    for name, result in results.items():
        found = result.behind
        since = timestamp(found.oldest) if found and found.oldest else ""
        figures = (len(found.missing), size(found.size), since) if found else ("?", "?", "no answer")
        rows.append((name, len(result.copied), *figures))
    headers = ("repository", "copied", "missing", "bytes", "oldest missing since (UTC)")
    click.echo(table(rows, headers, right=headers[1:4]))
    for result in results.values():
        for error in [*result.refused, *([result.trouble] if result.trouble else [])]:
            print_error(error)
