"""`ops failover check`: whether a failover would go well, with reasons."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import click

from ops.cli.host import as_json_flag, begin_watching
from ops.cli.output import emit_json, seconds, size, table
from ops.errors import Exit
from ops.model.failover_checks import judge
from ops.model.readiness import Finding, Readiness
from ops.readiness import look

_BADNESS = {"failed": 0, "unknown": 1, "warning": 2, "ok": 3}
_COLOURS = {"failed": "red", "unknown": "magenta", "warning": "yellow", "ok": "green"}
_VERDICTS = {"ready": ("READY", "green"), "not_ready": ("NOT READY", "red"), "unknown": ("UNKNOWN", "magenta")}


@click.command()
@click.argument("clusters", nargs=-1, metavar="[CLUSTER]...")
@click.option("--all", "show_all", is_flag=True, help="What is well, too.")
@as_json_flag
@click.pass_context
def check(ctx: click.Context, clusters: Sequence[str], *, show_all: bool, as_json: bool) -> None:
    """Whether a failover of each CLUSTER would go well just now. Nothing is changed, and it takes less than 2 s.

    On a database host this is about its own cluster; on a monitoring host about every cluster, and every group of Redis
    servers, or those named. A warning does not stand in the way of a failover today.

    Exit 0: all are ready. 1: some are not. 3: it could not be found out.
    """
    fleet = begin_watching()
    found = [judge(snapshot) for snapshot in look(fleet, clusters)]
    if as_json:
        emit_json({"verdict": _worst(found), "clusters": [_as_dict(one) for one in found]})
    else:
        click.echo("\n\n".join(_in_words(one, show_all=show_all) for one in found))
    ctx.exit({"ready": Exit.OK, "not_ready": Exit.NO, "unknown": Exit.UNKNOWN}[_worst(found)])


def _worst(found: Iterable[Readiness]) -> str:
    verdicts = {one.verdict for one in found}
    return next((verdict for verdict in ("not_ready", "unknown") if verdict in verdicts), "ready")


def _as_dict(one: Readiness) -> dict[str, Any]:
    counts = {verdict: sum(f.verdict == verdict for f in one.findings) for verdict in _BADNESS}
    return asdict(one) | {"counts": counts}


def _in_words(one: Readiness, *, show_all: bool) -> str:
    """The verdict on a cluster in a line, what is wrong with what to do about it, and what is well."""
    label, colour = _VERDICTS[one.verdict]
    lines = [f"{click.style(one.cluster, bold=True)}  {click.style(label, fg=colour, bold=True)}  {_cost(one)}"]
    problems = sorted((f for f in one.findings if f.verdict != "ok"), key=lambda f: _BADNESS[f.verdict])
    well = [f for f in one.findings if f.verdict == "ok"]
    shown = problems + (well if show_all else [])
    if shown:
        lines += ["", _table(shown)]
    if well and not show_all:
        checks = textwrap.wrap(", ".join(dict.fromkeys(f.check for f in well)), 96)
        lines += ["", f"{click.style('ok', fg='green')}  " + "\n    ".join(checks)]
    return "\n".join(lines)


def _cost(one: Readiness) -> str:
    lost = "not known" if one.rpo_bytes is None else "nothing" if one.rpo_bytes == 0 else size(one.rpo_bytes)
    without = "not known" if one.rto_seconds is None else f"{seconds(one.rto_seconds)} at most"
    return f"a failover now would lose: {lost}; without a primary: {without}"


def _table(found: Sequence[Finding]) -> str:
    """One line for each finding; below those that ask for it what to type and where to read on."""
    rows = [(f.verdict, f.check, f.subject, f.summary) for f in found]
    head, rule, *lines = table(rows, ("verdict", "check", "subject", "summary")).splitlines()
    column = max(len("verdict"), *(len(f.verdict) for f in found)) + 2
    out = [head, rule]
    for finding, line in zip(found, lines, strict=True):
        coloured = click.style(finding.verdict, fg=_COLOURS[finding.verdict])
        out.append(coloured + line[len(finding.verdict) :])
        if finding.verdict == "ok":
            continue
        advice = [("do", finding.hint), ("read", finding.runbook and f"docs/runbooks/{finding.runbook}.md")]
        out += [f"{'':{column}}{click.style(f'{word:<5}', dim=True)}{text}" for word, text in advice if text]
    return "\n".join(out)
