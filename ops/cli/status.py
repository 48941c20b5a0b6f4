"""`ops status`: everything that is known of the fleet, on one screen, as JSON, or as a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ops.cli.host import as_json_flag, begin_watching
from ops.errors import Exit, OpsError
from ops.model.readiness import Verdict
from ops.status.document import Certificate, Cluster, Document, Drills, Member, Problem, Readiness, Redis, Section
from ops.status.gather import gather
from ops.status.page import certificates, page, timeline_of
from ops.status.timeline import drawn
from ops.status.verdict import worst
from ops.status.words import clock, counted, duration, short_clock, size, span

_COLOURS: dict[Verdict, str] = {"ok": "green", "warning": "yellow", "failed": "red", "unknown": "magenta"}
_WORDS: dict[Verdict, str] = {"ok": "WELL", "warning": "WELL, WITH WARNINGS", "failed": "WRONG", "unknown": "UNKNOWN"}
_EXITS: dict[Verdict, Exit] = {"ok": Exit.OK, "warning": Exit.OK, "failed": Exit.NO, "unknown": Exit.UNKNOWN}
_READINESS: dict[str, Verdict] = {"ready": "ok", "not_ready": "failed", "unknown": "unknown"}
_SOON = 3  # certificates on the screen; the page has all of them
_NEWEST = 2  # restore drills on the screen
_WIDEST = 130
_LABELS = 26  # columns beside the picture of the window


@click.command()
@click.argument("clusters", nargs=-1, metavar="[CLUSTER]...")
@click.option("--html", "html_file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Write the status page there; - is standard output.")  # fmt: skip
@as_json_flag
@click.pass_context
def status(ctx: click.Context, clusters: Sequence[str], *, html_file: Path | None, as_json: bool) -> None:
    """What is wrong now; who leads and who follows; what can be recovered; what drills have proven; what expires next.

    On a database host this is about its own cluster; on a monitoring host about every cluster and Redis group, or those
    named. Nothing is changed. What cannot be read is said to be unknown, with the reason.

    Exit 0: all is well, warnings aside. 1: something is wrong. 3: nothing is known to be wrong, and something could not
    be found out.
    """
    document = gather(begin_watching(), clusters)
    if html_file:
        _write(html_file, page(document))
    if as_json:
        click.echo(document.model_dump_json(indent=2))
    elif html_file is None:
        console = Console(highlight=False)
        console.width = min(console.width, _WIDEST)
        with console.capture() as captured:
            _print(document, console)
        click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))
    ctx.exit(_EXITS[document.verdict])


def _write(file: Path, text: str) -> None:
    try:
        with click.open_file(str(file), "w", encoding="utf-8", atomic=str(file) != "-") as opened:
            opened.write(text)
    except OSError as error:
        raise OpsError(f"could not write {file}", detail=str(error)) from error


def _print(document: Document, console: Console) -> None:
    heading = Text(document.site, style="bold")
    heading.append("  ").append(_verdict(document.verdict))
    console.print(heading.append(f"  {clock(document.taken)} UTC, on {document.host}", style="not bold dim"))
    if document.problems:
        console.print()
    for problem in document.problems:
        console.print(_problem(problem))
    if document.alerts and document.alerts.value:
        console.print(Text(f"\n{_alerts(document)}", style="dim"))
    for cluster in document.clusters:
        console.print()
        console.print(_cluster(cluster, document, console))
    for name, group in document.redis.items():
        console.print()
        console.print(_redis(name, group, document))
    shown = certificates(document)[:_SOON]
    if shown:
        console.print(Text("\ncertificates", style="bold"))
        console.print(_indented(_certificates(shown, document.taken)))


def _verdict(verdict: Verdict) -> Text:
    return Text(_WORDS[verdict], style=f"bold {_COLOURS[verdict]}")


def _problem(problem: Problem) -> RenderableType:
    line = Text(f"{problem.verdict:<8}", style=_COLOURS[problem.verdict])
    told = Text(f"{problem.where}  " if problem.where else "", style="bold").append(problem.what, style="not bold")
    advice = [text for text in (problem.hint, problem.runbook) if text]
    for text in advice:
        told.append(f"\n{text}", style="dim not bold")
    grid = Table.grid(padding=(0, 1))
    grid.add_row(line, told)
    return grid


def _alerts(document: Document) -> str:
    assert document.alerts is not None
    assert document.alerts.value is not None
    alerts = document.alerts.value
    silenced = f", {alerts.silenced} silenced" if alerts.silenced else ""
    return f"{counted(len(alerts.firing), 'alert')} firing{silenced}, by {alerts.source}"


def _cluster(cluster: Cluster, document: Document, console: Console) -> Group:
    verdict = worst(one.verdict for one in document.problems if one.where == cluster.name)
    heading = Text(cluster.name, style="bold").append("  ").append(_verdict(verdict))
    parts: list[RenderableType] = [heading]
    if cluster.topology.value:
        parts.append(_indented(_members(cluster.topology.value.members)))
    parts.append(_indented(_facts(_about(cluster, document.taken, console))))
    return Group(*parts)


def _about(cluster: Cluster, now: datetime, console: Console) -> Iterator[tuple[str, Text]]:
    for name, section in (("members", cluster.topology), ("drills", cluster.drills)):
        if section.is_unknown:
            yield name, _unknown(section)
    yield "failover", _readiness(cluster.readiness.value) if cluster.readiness.value else _unknown(cluster.readiness)
    yield from _window(cluster, now, console)
    if cluster.backups.value:
        found = cluster.backups.value.found
        newest = f", the newest {span(found[-1].stopped_at, now)} old, {size(found[-1].size)}" if found else ""
        yield "backups", Text(counted(len(found), "backup") + newest)
    else:
        yield "backups", _unknown(cluster.backups)
    for name, mirror in cluster.mirrors.items():
        if mirror.value is None:
            yield f"copy {name}", _unknown(mirror)
        else:
            behind = f"behind by {duration(mirror.value.seconds)}, {size(mirror.value.size)}"
            yield f"copy {name}", Text(behind if mirror.value.objects else "complete")
    if cluster.drills.value:
        yield from _drills(cluster.drills.value, now)


def _window(cluster: Cluster, now: datetime, console: Console) -> Iterator[tuple[str, Text]]:
    recovery, line = cluster.recovery.value, timeline_of(cluster, now)
    if recovery is None:
        yield "window", _unknown(cluster.recovery)
    elif line is None or recovery.end is None or recovery.start is None:
        yield "window", Text("nothing can be recovered", style="red")
    else:
        plain = not console.encoding.lower().startswith("utf")
        yield "window", Text(drawn(line, max(20, console.width - _LABELS), plain=plain))
        reach = (
            f"{clock(recovery.start)} to {clock(recovery.end)} UTC, {span(recovery.end, cluster.recovery.read_at)} ago"
        )
        gaps = f", {counted(len(recovery.gaps), 'gap')}" if recovery.gaps else ""
        yield "", Text(reach).append(gaps, style="red")


def _readiness(readiness: Readiness) -> Text:
    lost = (
        "not known"
        if readiness.rpo_bytes is None
        else "nothing"
        if not readiness.rpo_bytes
        else size(readiness.rpo_bytes)
    )
    words = {"ready": "would go well", "not_ready": "would not go well", "unknown": "nobody knows how it would go"}
    cost = f"; would lose: {lost}; without writes: {duration(readiness.rto_seconds)}"
    return Text(words[readiness.verdict], style=_COLOURS[_READINESS[readiness.verdict]]).append(cost, style="default")


def _drills(drills: Drills, now: datetime) -> Iterator[tuple[str, Text]]:
    rto, rpo = duration(drills.rto_promised_seconds), duration(drills.rpo_promised_seconds)
    for one in reversed(drills.restores[-_NEWEST:]):
        told = [f"took {duration(one.rto_seconds)} of {rto}"] if one.rto_seconds is not None else []
        told += [f"would lose {duration(one.rpo_seconds)} of {rpo}"] if one.rpo_seconds is not None else []
        outcome = Text("proven", style="green") if one.proven else Text(f"failed: {one.why}", style="red")
        yield (
            "restore drill",
            Text(f"{short_clock(one.started_at, now)}  ").append(outcome).append(f"  {', '.join(told)}"),
        )
    for kind, last in {one.kind: one for one in drills.failovers}.items():
        cost = f"no writes for {duration(last.write_gap_seconds)}, {'?' if last.lost is None else last.lost} rows lost"
        outcome = Text(last.verdict, style="green" if last.verdict == "passed" else "red")
        yield f"{kind} drill", Text(f"{short_clock(last.started_at, now)}  ").append(outcome).append(f"  {cost}")


def _members(members: Sequence[Member]) -> Table:
    table = _table("member", "role", "state", "behind", "timeline")
    for one in members:
        behind = "" if one.role in ("leader", "standby_leader") else size(one.lag_bytes)
        if one.lag_seconds is not None:
            behind += f", {duration(one.lag_seconds)}"
        state = one.state if one.reachable else f"does not answer: {one.trouble}"
        timeline = "?" if one.timeline is None else str(one.timeline)
        table.add_row(one.name, one.role, state, behind, timeline, style="" if one.reachable else "red")
    return table


def _redis(name: str, section: Section[Redis], document: Document) -> RenderableType:
    verdict = worst(one.verdict for one in document.problems if one.where == name)
    heading = Text(name, style="bold").append("  ").append(_verdict(verdict))
    if section.value is None:
        return Group(heading, _indented(_unknown(section)))
    table = _table("server", "role", "link")
    for one in section.value.servers:
        role = one.role if one.reachable else f"does not answer: {one.trouble}"
        table.add_row(one.name, role, one.link or "", style="" if one.reachable and one.link != "down" else "red")
    return Group(heading, _indented(table))


def _certificates(found: Sequence[Certificate], now: datetime) -> Table:
    table = _table("expires", "service", "at")
    for one in found:
        left = "not seen: " + one.trouble if one.expires is None else f"in {span(now, one.expires)}"
        expired = one.expires is not None and one.expires <= now
        table.add_row("expired" if expired else left, one.service, one.target, style="red" if expired else "")
    return table


def _unknown(section: Section[Any]) -> Text:
    return Text(f"unknown: {section.trouble}", style=_COLOURS["unknown"])


def _facts(rows: Iterator[tuple[str, Text]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for label, value in rows:
        grid.add_row(Text(label, style="dim"), value)
    return grid


def _table(*columns: str) -> Table:
    table = Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.columns[-1].overflow = "fold"
    return table


def _indented(what: RenderableType) -> Padding:
    return Padding(what, (0, 0, 0, 2))
