"""The load proof from the empty scratch database to the table."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ops.database.bench import files
from ops.database.bench.fill import fill
from ops.database.bench.measure import Sample, drawn, measure, plan, shown, slowest
from ops.database.bench.question import World
from ops.database.bench.questions import QUESTIONS
from ops.database.bench.room import refuse_without_room
from ops.database.migrations import Patience, migrate
from ops.database.scratch import scratch
from ops.database.target import Target, alone
from ops.errors import OpsError, UsageError
from ops.model.bench import ClassRow, Measured, Row, Scale, rows, summary
from ops.postgres.connect import Connection

PREFIX = "ops_bench_"


class Listener(Protocol):
    """Who is told how far it is."""

    def step(self, title: str) -> AbstractContextManager[None]: ...

    def note(self, text: str) -> None: ...

    def say(self, text: str) -> None: ...


@dataclass(frozen=True)
class Job:
    """What to measure: how much there is, how many sessions ask how many rounds, and how often the files are read.

    `targets`: milliseconds by class. `plans`: where plans of what was missed go; None: a new temporary directory.
    `beside`: also on a server that has others to serve.
    """

    scale: Scale
    clients: int
    rounds: int
    file_rounds: int
    targets: Mapping[str, float]
    plans: Path | None
    beside: bool = False


@dataclass(frozen=True)
class Report:
    """What was found. Sizes in bytes; `others`: who else was on the server when it began, and in which database."""

    server: str
    others: list[str]
    load: tuple[float, float, float]
    database_bytes: int
    file_bytes: int
    rows: list[Row]
    classes: list[ClassRow]
    plans: list[Path]

    @property
    def met(self) -> bool:
        return all(one.met for one in self.classes)


def run(target: Target, job: Job, listener: Listener) -> Report:
    """Make, fill, ask, drop. OpsError where others are served, there is no room, or another benchmark runs.

    Nothing of the database that `target` names is read or changed: the scratch database lies beside it.
    """
    _refuse_without_place(job.plans)
    with target.connect() as connection, alone(connection, "bench", "ops db bench"):
        server, others = _about(connection), _others(connection)
        if others and not job.beside:
            raise OpsError(
                "this server has others to serve: they would be slowed down, and so would the benchmark",
                detail=", ".join(others),
                hint="Measure on a server of its own, or say --beside-others.",
            )
        refuse_without_room(connection, job.scale, with_files=job.file_rounds > 0)
        with scratch(target, connection, PREFIX) as beside, tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
            world = _fill(beside, job.scale, listener)
            size, written = _size(beside), _write(beside, Path(folder), job, listener)
            load = os.getloadavg()
            samples = _measure(beside, world, job, listener)
            measured = _with_files(samples, Path(folder), world, job, listener)
            found = rows(measured, job.targets)
            plans = _keep_plans(beside, world, [row for row in found if not row.met], samples, job.plans)
    return Report(server, others, load, size, written, found, summary(measured, found), plans)


def _refuse_without_place(plans: Path | None) -> None:
    """UsageError where plans could not be written in the end: better now than after all has been measured."""
    if plans is None:
        return
    try:
        plans.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=plans).close()
    except OSError as error:
        raise UsageError(f"--keep-plans: may not write into {plans}", detail=error.strerror) from error


def _about(connection: Connection) -> str:
    """The server's version and memory."""
    row = connection.execute(
        "SELECT format('PostgreSQL %s, shared_buffers %s, work_mem %s', current_setting('server_version'),"
        " current_setting('shared_buffers'), current_setting('work_mem'))"
    ).fetchone()
    assert row is not None
    return str(row[0])


def _others(connection: Connection) -> list[str]:
    """Who is on the server beside us, but for superusers: those are the platform."""
    rows = connection.execute(
        "SELECT DISTINCT format('%s in %s', usename, datname) FROM pg_stat_activity JOIN pg_roles ON rolname = usename"
        " WHERE backend_type = 'client backend' AND NOT rolsuper AND pid <> pg_backend_pid() ORDER BY 1"
    ).fetchall()
    return [who for (who,) in rows]


def _fill(beside: Target, scale: Scale, listener: Listener) -> World:
    with listener.step("make a scratch database and apply the migrations"):
        migrate(beside, Patience(), lambda _: None)
    with listener.step(f"fill it: {scale.users:,} users, {scale.transactions:,} transactions"):
        until = fill(beside, scale, lambda what, done, total: listener.note(f"{what}, {done:,} of {total:,} rows"))
    return World(scale, until)


def _size(beside: Target) -> int:
    with beside.connect() as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    return int(row[0])


def _write(beside: Target, folder: Path, job: Job, listener: Listener) -> int:
    if not job.file_rounds:
        return 0
    with listener.step("write the same rows as JSON files"):
        return files.write(beside, folder, listener.note)


def _measure(beside: Target, world: World, job: Job, listener: Listener) -> dict[str, list[Sample]]:
    def progress(done: int, total: int) -> None:
        listener.note(f"{done:,} of {total:,} answers")

    with listener.step(f"ask the database: {job.clients} sessions, {job.rounds} rounds"):
        return measure(beside, world, clients=job.clients, rounds=job.rounds, progress=progress)


def _with_files(
    samples: Mapping[str, list[Sample]], folder: Path, world: World, job: Job, listener: Listener
) -> list[Measured]:
    """What was measured of each question, the JSON files included."""
    answers: dict[str, files.Answers] = {}
    if job.file_rounds:
        with listener.step(f"ask the JSON files: one process, {job.file_rounds} rounds"):
            answers = files.ask(QUESTIONS, folder, world, job.file_rounds, listener.note)
    return [
        Measured(
            question.name,
            question.query_class,
            question.role,
            [sample.milliseconds for sample in samples[question.name]],
            answers[question.name].parsed if answers else (),
            answers[question.name].cached if answers else (),
        )
        for question in QUESTIONS
    ]


def _keep_plans(
    beside: Target, world: World, missed: list[Row], samples: Mapping[str, list[Sample]], folder: Path | None
) -> list[Path]:
    """The plan of each question that was missed, asked again as it was when it took longest; the files."""
    if not missed:
        return []
    place, kept = folder or Path(tempfile.mkdtemp(prefix="ops-bench-plans-")), []
    with beside.connect() as connection:
        for row in missed:
            question = next(one for one in QUESTIONS if one.name == row.question)
            worst = slowest(samples[question.name])
            params = drawn(question, worst.seed, world)
            path = place / f"{row.query_class}-{question.name.replace(',', '').replace(' ', '-').lower()}.txt"
            path.write_text(
                f"{question.name} ({row.query_class}), as {question.role}\n"
                f"target {row.target:g} ms, p99 {row.p99:.1f} ms of {row.n}, slowest {worst.milliseconds:.1f} ms\n"
                f"\n{shown(params)}\n\n{question.sql}\n\nasked again, alone:\n{plan(connection, question, params)}\n"
            )
            kept.append(path)
    return kept
