"""`ops db bench`: whether the application's database answers as quickly as the requirements want it to."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from ops.cli.db import Meant, targeted
from ops.cli.output import Steps, emit_json, size, table
from ops.cli.signals import clean_up_when_ended
from ops.database.bench.run import Job, Report, run
from ops.errors import Exit
from ops.model.bench import CLASSES, Scale, targets

_CLASS = click.Choice([one.name for one in CLASSES])


@click.command()
@targeted
@click.option("--users", type=click.IntRange(20), default=10_000, show_default=True, help="Users to make.")
@click.option(
    "--transactions", type=click.IntRange(100), default=1_000_000, show_default=True, help="Transactions to make."
)
@click.option("--clients", type=click.IntRange(1, 90), default=4, show_default=True, help="Sessions that ask at once.")
@click.option("--rounds", type=click.IntRange(1), default=20, show_default=True, help="Rounds that each session asks.")
@click.option(
    "--file-rounds", type=click.IntRange(0), default=3, show_default=True, help="Rounds of the JSON files; 0: none."
)
@click.option(
    "--target", "given", type=(_CLASS, float), multiple=True, metavar="CLASS MS", help="Another target for a class."
)
@click.option(
    "--keep-plans", type=click.Path(path_type=Path, file_okay=False), help="Where plans of missed questions go."
)
@click.option("--beside-others", is_flag=True, help="Also on a server that has others to serve.")
@click.pass_context
def bench(
    ctx: click.Context,
    *,
    users: int,
    transactions: int,
    clients: int,
    rounds: int,
    file_rounds: int,
    given: tuple[tuple[str, float], ...],
    keep_plans: Path | None,
    beside_others: bool,
    meant: Meant,
) -> None:
    """Measure the requirements' questions at the future scale, beside the same ones asked of the JSON files.

    In a scratch database of its own, dropped in the end; the application's rows are not touched, but the server is
    busy meanwhile, and archives what is written: it is refused where others are served. Exit 1 where the 99th
    percentile of a question misses the target of its class; its plan is kept.
    """
    target = meant.to_change()
    if target is None:
        ctx.exit(Exit.UNKNOWN)
    clean_up_when_ended()  # so that the scratch database goes
    job = Job(Scale(users, transactions), clients, rounds, file_rounds, targets(dict(given)), keep_plans, beside_others)
    report = run(target, job, Steps(quiet=meant.as_json))
    if meant.as_json:
        emit_json(
            {"users": users, "transactions": transactions, "clients": clients, "met": report.met, **asdict(report)}
        )
    else:
        click.echo(_page(report, job))
    ctx.exit(Exit.OK if report.met else Exit.NO)


def _page(report: Report, job: Job) -> str:
    """The load table: each question, each class, and what it was measured on."""
    return "\n".join(["", _questions(report), "", _classes(report), "", *_foot(report, job)])


def _questions(report: Report) -> str:
    figures = ("target", "n", "p50 ms", "p95 ms", "p99 ms", "JSON ms", "factor", "cached ms", "factor")
    lines = [
        (
            row.query_class, row.question, f"< {row.target:g}", row.n, *map(_figure, (row.p50, row.p95, row.p99)),
            _figure(row.parsed), _figure(row.factor_parsed), _figure(row.cached), _figure(row.factor_cached),
            _verdict(row.met),
        )
        for row in report.rows
    ]  # fmt: skip
    return table(lines, ("class", "question", *figures, "verdict"), right=figures)


def _classes(report: Report) -> str:
    figures = ("target", "questions", "n", "p50 ms", "p95 ms", "p99 ms")
    lines = [
        (
            one.query_class, f"< {one.target:g}", one.questions, one.n, *map(_figure, (one.p50, one.p95, one.p99)),
            _verdict(one.met) + (f": {', '.join(one.missed)}" if one.missed else ""),
        )
        for one in report.classes
    ]  # fmt: skip
    return table(lines, ("class", *figures, "verdict"), right=figures)


def _foot(report: Report, job: Job) -> list[str]:
    load = ", ".join(f"{one:.1f}" for one in report.load)
    scale = f"{job.scale.users:,} users, {job.scale.transactions:,} transactions, {size(report.database_bytes)}"
    lines = [
        f"{report.server}; {scale}; {job.clients} sessions at once, all questions mixed",
        f"load of this host before: {load}; others on the server: {', '.join(report.others) or 'none'}",
    ]
    if report.file_bytes:
        lines.append(
            f"JSON files, {size(report.file_bytes)}, medians: read and parsed for each request; cached: parsed before. "
            "factor: how many times the database's median"
        )
    return lines + [f"plan kept: {path}" for path in report.plans]


def _figure(value: float | None) -> str:
    """Three digits or so, whatever the size; a dash for what was not measured."""
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _verdict(met: bool) -> str:
    return "met" if met else "missed"
