"""Asking the database: sessions side by side, each a process of its own, since threads would wait for each other.

Each session asks all questions in rounds, in an order of its own, so that each is measured beside all others. What
counts is the transaction as the application has it: BEGIN, who is served, the question with all its rows, COMMIT.
Nothing is prepared: the server plans each one anew.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, TypeAlias

import psycopg
from psycopg import sql

from ops.database.bench.question import Params, Question, Rows, World, chance
from ops.database.bench.questions import QUESTIONS
from ops.database.target import Target
from ops.errors import OpsError
from ops.model.bench import CLASSES
from ops.postgres.connect import Connection

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

_SETTINGS = (("user", "app.current_user_id"), ("admin", "app.current_admin_id"))  # what is drawn -> what says it
_REPEATS = {one.name: one.repeats for one in CLASSES}


@dataclass(frozen=True)
class Sample:
    """One answer: the question's name, what its draw began with (so that it can be asked again), milliseconds."""

    question: str
    seed: int
    milliseconds: float


# What sessions say: the samples of a round, or why they cannot go on.
Said: TypeAlias = "multiprocessing.Queue[list[Sample] | str]"


def schedule(seed: int) -> list[Question]:
    """One round of one session: each question as often as its class has it, shuffled."""
    asked = [question for question in QUESTIONS for _ in range(_REPEATS[question.query_class])]
    Random(seed).shuffle(asked)  # noqa: S311 - the same in each run
    return asked


def measure(
    target: Target, world: World, *, clients: int, rounds: int, progress: Callable[[int, int], None]
) -> dict[str, list[Sample]]:
    """Ask all questions in `clients` sessions, `rounds` times each; every sample, by the question's name.

    OpsError where a question is refused or a session dies. `progress` is told answers so far, and answers in all.
    """
    size, found = len(schedule(0)), defaultdict(list)
    with _sessions(target, world, clients, rounds) as answered:
        for turn in range(clients * rounds):
            for sample in next(answered):
                found[sample.question].append(sample)
            progress((turn + 1) * size, clients * rounds * size)
    return found


@contextmanager
def _sessions(target: Target, world: World, clients: int, rounds: int) -> Iterator[Iterator[list[Sample]]]:
    """Processes that ask, and what they find in each round; none is left when this ends, however it ends."""
    context = multiprocessing.get_context("spawn")
    said: Said = context.Queue()
    processes = [
        context.Process(target=_session, args=(target, world, number, rounds, said), daemon=True)
        for number in range(clients)
    ]
    for process in processes:
        process.start()
    try:
        yield _listen(said, processes)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()


def _listen(said: Said, processes: Sequence[SpawnProcess]) -> Iterator[list[Sample]]:
    while True:
        try:
            heard = said.get(timeout=1)
        except queue.Empty:
            if dead := [process for process in processes if process.exitcode]:
                raise OpsError(f"a session of the benchmark died (exit {dead[0].exitcode})") from None
            continue
        if isinstance(heard, str):
            raise OpsError("a question was refused", detail=heard)
        yield heard


def _session(target: Target, world: World, number: int, rounds: int, said: Said) -> None:
    """What one of the processes does. What it found it says between rounds: its own thread disturbs none."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; who started us ends us
    parent, question = os.getppid(), None
    try:
        with target.connect() as connection:
            connection.prepare_threshold = None
            for turn in range(rounds):
                first, found = (number * rounds + turn) * 10_000, []  # a round is shorter
                for seed, question in enumerate(schedule(first), start=first):
                    if os.getppid() != parent:
                        return
                    took = _timed(connection, question, drawn(question, seed, world))
                    found.append(Sample(question.name, seed, took))
                said.put(found)
    except (psycopg.Error, OpsError) as error:
        said.put(f"{question.name}: {error}" if question else str(error))


def drawn(question: Question, seed: int, world: World) -> Params:
    """What the question is asked with, the same for the same seed."""
    return question.draw(chance(question, seed), world)


def _timed(connection: Connection, question: Question, params: Params) -> float:
    """Milliseconds of one transaction. Who we are is a matter of the session, as a login is: before the clock runs."""
    _act_as(connection, question.role)
    start = time.perf_counter()
    with connection.transaction():
        _asked(connection, question, params)
    return (time.perf_counter() - start) * 1000


def answer(connection: Connection, question: Question, params: Params) -> Rows:
    """The rows that the question finds, asked once; what it changes is undone."""
    _act_as(connection, question.role)
    with connection.transaction(force_rollback=True):
        return _asked(connection, question, params)


def plan(connection: Connection, question: Question, params: Params) -> str:
    """How the server answers the question, as EXPLAIN (ANALYZE, BUFFERS) tells it; what it changes is undone."""
    _act_as(connection, question.role)
    with connection.transaction(force_rollback=True):
        _serve(connection, params)
        rows = connection.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT TEXT) " + question.sql, params).fetchall()
    return "\n".join(line for (line,) in rows)


def _asked(connection: Connection, question: Question, params: Params) -> Rows:
    _serve(connection, params)
    cursor = connection.execute(question.sql, params)
    return cursor.fetchall() if cursor.description else []


def _act_as(connection: Connection, role: str) -> None:
    connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))


def _serve(connection: Connection, params: Params) -> None:
    """Say whom the transaction serves, as the application has to."""
    for name, setting in _SETTINGS:
        if name in params:
            connection.execute("SELECT set_config(%s, %s, true)", [setting, str(params[name])])


def slowest(samples: Collection[Sample]) -> Sample:
    """The sample that took longest."""
    return max(samples, key=lambda sample: sample.milliseconds)


def shown(params: dict[str, Any]) -> str:
    """What was drawn, a line each, long lists cut."""
    lines = []
    for name, value in params.items():
        text = str(value)
        lines.append(f"{name} = {text if len(text) <= 200 else text[:200] + ' …'}")
    return "\n".join(lines)
