"""`ops failover drill`: break a cluster on purpose, and see what that costs those who use it. On the controller."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ops.cli.output import Steps, emit_json, pairs, seconds, table, timestamp
from ops.cli.signals import clean_up_when_ended
from ops.config import nearest
from ops.deploys.inventory import Inventory, load
from ops.errors import Exit, UsageError
from ops.failover.drill import Drill, run, store
from ops.failover.faults import FAULTS, Fault, find
from ops.failover.hosts import reach
from ops.failover.page import html
from ops.lab.paths import DEFAULT_INVENTORY
from ops.model.failover import Experience, Leadership, Report, as_dict

_CODES = {"passed": Exit.OK, "failed": Exit.NO, "unknown": Exit.UNKNOWN}
_COLOURS = {"passed": "green", "failed": "red", "unknown": "yellow"}


@click.command()
@click.argument("kind", type=click.Choice([fault.name for fault in FAULTS]))
@click.option("--cluster", default="pg_main", show_default=True, help="The PostgreSQL cluster, by its group.")
@click.option(
    "--inventory",
    type=click.Path(path_type=Path, exists=True),
    default=DEFAULT_INVENTORY,
    help="The inventory that declares it. [default: inventories/lab of this checkout]",
)
@click.option("--yes", is_flag=True, help="Do not ask for the cluster's name.")
@click.option("--force", is_flag=True, help="Although `ops failover check` says no, or cannot say.")
@click.option("--html", "page", type=click.Path(path_type=Path, dir_okay=False), help="Write a page with a timeline.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def drill(
    ctx: click.Context,
    *,
    kind: str,
    cluster: str,
    inventory: Path,
    yes: bool,
    force: bool,
    page: Path | None,
    as_json: bool,
) -> None:
    """Break the primary of a cluster while clients write and read, and report what that cost them.

    Exit 0: nothing was lost, nobody but the new primary acknowledged anything, and redundancy is back. 1: not so.
    2: refused. 3: could not find out. The clients write to a table of their own, and leave it empty. Whatever happens,
    Ctrl-C included, a host that was killed or cut off is brought back.
    """
    fault, declared = find(kind), load(inventory)
    _known(declared, cluster)
    the_drill = Drill(reach(declared), cluster, fault, force)
    the_drill.refuse()
    if not yes:
        _ask(cluster, fault)
    clean_up_when_ended()  # so that hosts are brought back
    steps = Steps()
    report = run(the_drill, steps)
    if page:
        page.write_text(html(report))
        steps.say(f"  page    {page}")
    try:
        with steps.step("store the evidence"):
            key = store(the_drill.hosts, report)
    finally:
        if not as_json:
            click.echo(screen(report))
    if as_json:
        emit_json(as_dict(report))
    else:
        click.echo(f"  evidence  {key}")
    ctx.exit(_CODES[report.verdict])


def _known(declared: Inventory, cluster: str) -> None:
    if cluster not in declared.clusters:
        guess = nearest(cluster, list(declared.clusters))
        raise UsageError(
            f"{declared.path} has no cluster {cluster!r}" + (f"; did you mean {guess!r}?" if guess else ""),
            detail=f"Clusters: {', '.join(declared.clusters) or 'none'}.",
        )


def _ask(cluster: str, fault: Fault) -> None:
    """Go on only if the name is typed in: a yes is too easily given, and says nothing about what it is given to."""
    if not sys.stdin.isatty():
        raise UsageError(
            f"nobody is here to say that {cluster} may be broken: {fault.what}",
            hint="Run it in a terminal and type the name, or say --yes.",
        )
    click.echo(f"{fault.name}: {fault.what}. Who uses {cluster} will notice.", err=True)
    if click.prompt("Type the name of the cluster to go on", default="", show_default=False, err=True) != cluster:
        raise UsageError("that is not its name; nothing was changed")


def screen(report: Report) -> str:
    """One screen: what was done, what each client saw, what was lost, and the verdict."""
    word = click.style(report.verdict.upper(), fg=_COLOURS[report.verdict], bold=True)
    parts = [f"\nfailover drill {report.id}  {word}", *(f"  {reason}" for reason in report.reasons), ""]
    rows = [_cells(seen) for seen in report.clients]
    figures = ("gap", "acknowledged", "refused", "longest wait")
    clients = table(rows, ("client", *figures, "errors"), right=figures)
    parts += [pairs(_facts(report), indent=2), "", *(f"  {line}" for line in clients.splitlines()), ""]
    return "\n".join(parts)


def _facts(report: Report) -> list[tuple[str, object]]:
    moments, rows, wanted = report.moments, report.rows, report.before.redundancy
    forced = ", overruled with --force" if report.check.forced else ""
    stream = f"{wanted.streaming} stream, {wanted.synchronous} of them count for commits"
    old = f"on the old primary {_count(rows.lost_on_old)}"
    return [
        ("cluster", report.cluster),
        ("fault", f"{report.kind}: {find(report.kind).what}"),
        ("ran", f"{timestamp(report.started_at.replace(microsecond=0))}, for {seconds(moments.ended - moments.began)}"),
        ("checked before", f"{report.check.verdict}{forced}"),
        ("primary", f"{_leader(report.before)} → {_leader(report.after) if report.after else 'nobody'}"),
        ("write gap", f"{_time(report.gap('write'))} through the router, {_time(report.gap('direct'))} straight"),
        ("read gap", _time(report.gap("read"))),
        ("old sessions", f"waited {seconds(report.longest_hang)} at most"),
        ("redundancy", f"{'back after ' if moments.redundant else ''}{_time(moments.redundant)}: {stream}"),
        ("lost", f"{_count(rows.lost)} of {rows.acknowledged} acknowledged rows; {old}"),
        ("two primaries", f"{rows.late} rows by the old one after the new one's first"),
    ]


def _cells(seen: Experience) -> tuple[object, ...]:
    errors = ", ".join(f"{count} {kind}" for kind, count in seen.errors.items())
    gap = "" if seen.use != "steady" else _time(seen.gap_seconds)
    return seen.name, gap, seen.acknowledged, seen.refused, seconds(seen.longest_wait), errors


def _leader(seen: Leadership) -> str:
    return f"{seen.leader} (timeline {seen.timeline})"


def _time(value: float | None) -> str:
    return "never" if value is None else seconds(value)


def _count(value: int | None) -> str:
    return "unread" if value is None else str(value)
