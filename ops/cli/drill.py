"""`ops drill`: prove that a restore works, and look at what earlier drills have proved."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from ops.cli.host import as_json_flag, begin, chosen, configured, identified, repository_of
from ops.cli.lazy import LazyGroup
from ops.cli.output import Shown, Steps, emit_json, pairs, seconds, size, table, timestamp
from ops.cli.signals import clean_up_when_ended
from ops.drill import records
from ops.drill.evidence import Evidence, Promise
from ops.drill.restore import Job
from ops.drill.restore import restore as run_drill
from ops.errors import Exit, UsageError
from ops.model.oracle import Beat
from ops.model.plan import parse_wish

clustered = click.option("--cluster", help="Instead of the cluster that the configuration names.")


class Listener(Shown):
    """Stages as steps; how far they are in bytes or in words."""

    def __init__(self, steps: Steps) -> None:
        super().__init__(steps)
        self.note = steps.note


@click.group(
    cls=LazyGroup,
    elsewhere={
        "failovers": "ops.cli.drill_failovers.list_command",
        "record": "ops.cli.drill_failovers.record",
    },
)
def drill() -> None:
    """Prove that a restore works, against real data."""


@drill.command()
@click.option(
    "--target", default="random", show_default=True, metavar="latest|random|TIME", help="ISO 8601, UTC without a zone."
)
@click.option("--keep", is_flag=True, help="Leave the restored data and the server's log for a look.")
@clustered
@chosen
@identified
@configured
@as_json_flag
@click.pass_context
def restore(
    ctx: click.Context,
    *,
    target: str,
    keep: bool,
    cluster: str | None,
    repository_name: str | None,
    system_identifier: int | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Restore to a moment, beside everything else, and prove that it is that moment.

    Exit 0: all is proven, and the evidence is stored. 1: something is not, or the target cannot be reached.
    3: could not find out. Nothing is left on this host but what --keep asks for.
    """
    try:
        wish = parse_wish(target)
    except ValueError as error:
        raise UsageError(f"--target: {error}") from None
    config = begin(config_file, cluster, repository_name)
    repository = repository_of(config, system_identifier)
    clean_up_when_ended()  # so that all of it is cleaned up
    steps = Steps()
    evidence = run_drill(Job(config, repository, wish, keep), Listener(steps))
    if keep:
        steps.say(f"  kept    {config.drill.directory / evidence.id}  (remove it when you have seen enough)")
    try:
        with steps.step("store the evidence"):
            key = records.restores(repository).put(evidence.id, evidence.model_dump(mode="json"))
    finally:
        if not as_json:
            click.echo(_page(evidence))
    if as_json:
        emit_json(evidence.model_dump(mode="json"))
    else:
        click.echo(f"  evidence  {key} in {repository.store.name}")
    ctx.exit(Exit.OK if evidence.proven else evidence.failure.exit_code if evidence.failure else Exit.NO)


@drill.command("list")
@click.option("--last", default=20, show_default=True, type=click.IntRange(1), help="How many, from the newest back.")
@clustered
@chosen
@identified
@configured
@as_json_flag
def list_command(
    *,
    last: int,
    cluster: str | None,
    repository_name: str | None,
    system_identifier: int | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """The last drills, oldest first: what they proved, and what was measured."""
    config = begin(config_file, cluster, repository_name)
    found = records.restores(repository_of(config, system_identifier)).newest(last)
    if as_json:
        emit_json([evidence.model_dump(mode="json") for evidence in found])
    elif not found:
        click.echo("No drill yet. Run one on a drill host: ops drill restore", err=True)
    else:
        headers = ("id", "verdict", "target", "backup", "RTO", "RPO", "why")
        click.echo(table([_cells(evidence) for evidence in found], headers, right=("RTO", "RPO")))


@drill.command()
@click.argument("drill_id", metavar="ID|latest")
@clustered
@chosen
@identified
@configured
@as_json_flag
def show(
    *,
    drill_id: str,
    cluster: str | None,
    repository_name: str | None,
    system_identifier: int | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """What one drill proved, as it was stored."""
    config = begin(config_file, cluster, repository_name)
    evidence = records.restores(repository_of(config, system_identifier)).get(drill_id)
    if as_json:
        emit_json(evidence.model_dump(mode="json"))
    else:
        click.echo(_page(evidence))


def _page(evidence: Evidence) -> str:
    """One screen: what was asked, what was restored, the rows around the target, each check, and the verdict."""
    word, colour = ("PROVEN", "green") if evidence.proven else ("FAILED", "red")
    parts = [f"\ndrill {evidence.id}  {click.style(word, fg=colour, bold=True)}\n", pairs(_facts(evidence), indent=2)]
    if evidence.checks:
        parts.append("")
        width = max(len(check.name) for check in evidence.checks)
        for check in evidence.checks:
            word, colour = ("ok", "green") if check.proven else ("FAILED", "red")
            parts.append(f"  {click.style(word.ljust(6), fg=colour)}  {check.name.ljust(width)}  {check.detail}")
    if evidence.failure:
        failure = evidence.failure
        parts.append(f"\n  {click.style('ended early:', fg='red')} {failure.error}")
        parts += [f"    {line}" for text in (failure.detail, failure.hint) if text for line in text.splitlines()]
    return "\n".join([*parts, ""])


def _facts(evidence: Evidence) -> list[tuple[str, object]]:
    duration = (evidence.finished_at - evidence.started_at).total_seconds()
    facts: list[tuple[str, object]] = [
        ("cluster", f"{evidence.cluster} ({evidence.system_identifier})"),
        ("ran", f"{_clock(evidence.started_at)} on {evidence.host}, {seconds(duration)}"),
    ]
    if evidence.backup and evidence.window:
        backup = evidence.backup
        facts += [
            ("backup", f"{backup.id}, {size(backup.size)}, from {backup.host}"),
            ("window", f"{_clock(evidence.window[0])} to {_clock(evidence.window[1])}"),
            ("asked for", evidence.asked if evidence.asked == evidence.target else f"{evidence.asked}, which became:"),
        ]
    if evidence.oracle:
        facts.append(("row before", _beat(evidence.oracle.before)))
    target = evidence.target or evidence.asked
    if target == "latest" and evidence.newest_commit:
        target = f"{_exactly(evidence.newest_commit.time)}  the newest commit in the archive"
    facts.append(("target", click.style(target, bold=True)))
    if evidence.oracle and evidence.oracle.after:
        facts.append(("row after", _beat(evidence.oracle.after)))
    facts += [("RTO", _promise(evidence.rto)), ("RPO", _promise(evidence.rpo))]
    return facts + [("note", note) for note in evidence.notes]


def _beat(beat: Beat) -> str:
    return f"{_exactly(beat.committed_at) if beat.committed_at else 'unknown'}  row {beat.id}, written on {beat.host}"


def _promise(promise: Promise | None) -> str:
    return f"{seconds(promise.seconds)} of the {seconds(promise.promised)} promised" if promise else "not measured"


def _exactly(moment: datetime) -> str:
    """To the microsecond, as --target takes it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _clock(moment: datetime) -> str:
    return timestamp(moment.replace(microsecond=0))


def _cells(evidence: Evidence) -> tuple[str, ...]:
    return (
        evidence.id,
        evidence.verdict,
        evidence.target or evidence.asked,
        evidence.backup.id if evidence.backup else "",
        seconds(evidence.rto.seconds) if evidence.rto else "",
        seconds(evidence.rpo.seconds) if evidence.rpo else "",
        evidence.why[:80],
    )
