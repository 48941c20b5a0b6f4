"""Clients of a database that keep a journal: what a change, or a fault, costs an application.

    with writing(dsn) as client:
        change_something()
    client.longest_gap(), client.lost(dsn)

They behave as docs/guides/connecting.md asks of an application: a statement that fails is not sent again (nobody knows
whether it was committed), the connection is thrown away, and the next row goes through a new one.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

import psycopg

from ops.errors import OpsError
from ops.failover.journal import Journal
from ops.model.journal import Client, Entry, Use

RATE = 20  # statements a second of each client
PERIOD = 1 / RATE
FIRST_WITHIN = 30.0
LAST_WITHIN = 5.0  # whoever waits for an answer when all is over is cut off then

# In a schema of its own, which the owner of a database may make: what is in public belongs to the migrations.
_SCHEMA = "failover_drill"
TABLE = f"{_SCHEMA}.acknowledged"
_MAKE = (
    f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}",
    f"""CREATE TABLE IF NOT EXISTS {TABLE} (
    run uuid, client text, id bigint, at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (run, client, id)
)""",
)
_ADDRESS = "host(inet_server_addr())"  # of the server itself, whatever pooler or router is on the way
_SINCE = "' since ' || extract(epoch FROM pg_postmaster_start_time())"  # a restarted server is another one

Connection = psycopg.Connection[tuple[str]]


def insert(address: str = _ADDRESS) -> str:
    """A row of a run, a client and a number; returns which server acknowledges it. `address`: an SQL expression."""
    return f"INSERT INTO {TABLE} (run, client, id) VALUES (%s, %s, %s) RETURNING {address} || {_SINCE}"  # noqa: S608


_WRITE, _READ = insert().encode(), f"SELECT {_ADDRESS} || {_SINCE}".encode()


class Running:
    """A client in a thread of its own. Its journal can be read while it goes on, and afterwards."""

    def __init__(self, client: Client, dsn: str, run: uuid.UUID | None = None) -> None:
        self.client, self.run, self.journal = client, run or uuid.uuid4(), Journal()
        self._dsn, self._numbers = dsn, count(1)
        self._stop, self._wake = threading.Event(), threading.Event()
        self._connection: Connection | None = None
        self._ended: float | None = None
        act = self._steadily if client.use == "steady" else self._until_it_fails
        self._thread = threading.Thread(target=act, name=client.name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def is_ready(self) -> bool:
        """Whether it has been answered at least once."""
        return bool(self.journal.confirmed)

    def wake(self) -> None:
        """Let one that idles ask its question."""
        self._wake.set()

    def stop(self) -> None:
        """End it. One that still waits for an answer is cut off, and its journal shows that."""
        self._ended = time.monotonic()
        self._stop.set()
        self._wake.set()

    def join(self) -> None:
        """After `stop`: until its thread is gone, or for some seconds."""
        self._thread.join(LAST_WITHIN)
        if self._thread.is_alive() and self._connection and not self._connection.closed:
            with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self._connection.fileno())) as wire:
                wire.shutdown(socket.SHUT_RDWR)
            self._thread.join(LAST_WITHIN)

    def longest_gap(self) -> float:
        """The longest time in seconds from one acknowledgement to the next, or to now (its end) where none came since.

        An undisturbed client shows PERIOD and the time that a statement takes.
        """
        return self.journal.longest_gap(self._ended or time.monotonic())

    @property
    def confirmed(self) -> list[tuple[int, float]]:
        """Each row that was acknowledged, and when."""
        return self.journal.confirmed

    @property
    def failures(self) -> list[Entry]:
        """Statements and connections that were refused or broke."""
        return self.journal.failures

    def lost(self, dsn: str) -> list[int]:
        """Acknowledged rows that the database does not have."""
        confirmed = {row for row, _ in self.confirmed}  # before the look: what is confirmed meanwhile is none of it
        return sorted(confirmed - {row for _, row in stored(dsn, self.run)})

    def _steadily(self) -> None:
        while not self._stop.is_set():
            try:
                with self._connected() as connection:
                    self._ask_on(connection)
            except psycopg.Error:
                self._stop.wait(PERIOD)  # it is in the journal

    def _until_it_fails(self) -> None:
        """On the first connection that is answered, and never on another one."""
        while not self.is_ready and not self._stop.is_set():
            with suppress(psycopg.Error), self._connected() as connection:
                self._ask(connection)
                if self.client.use == "held":
                    self._ask_on(connection)
                elif self._wake.wait() and not self._stop.is_set():
                    self._ask(connection)
            self._stop.wait(PERIOD)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with self.journal.statement(0):
            self._connection = connect(self._dsn)
        try:
            yield self._connection
        finally:
            self._connection.close()

    def _ask_on(self, connection: Connection) -> None:
        """A statement each PERIOD; after a gap it goes on at that pace, without catching up."""
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self._ask(connection)
            due = max(due + PERIOD, time.monotonic())

    def _ask(self, connection: Connection) -> None:
        number = next(self._numbers)
        with self.journal.statement(number) as said:
            if self.client.writes:
                found = connection.execute(_WRITE, [self.run, self.client.name, number]).fetchone()
            else:
                found = connection.execute(_READ).fetchone()
            assert found
            said.server = found[0]


@contextmanager
def running(clients: dict[Client, str], run: uuid.UUID) -> Iterator[tuple[Running, ...]]:
    """Clients (→ their connection strings), from the first answer to each of them to the end of the block."""
    everybody = tuple(Running(client, dsn, run) for client, dsn in clients.items())
    try:
        for one in everybody:
            one.start()
        for one in everybody:
            _wait_until_ready(one)
        yield everybody
    finally:
        for one in everybody:
            one.stop()
        for one in everybody:
            one.join()


@contextmanager
def writing(dsn: str) -> Iterator[Running]:
    """A steady writer in the background, from its first acknowledged row to the end of the block."""
    prepare(dsn)
    use: Use = "steady"
    with running({Client("writer", "write", use): dsn}, uuid.uuid4()) as [writer]:
        yield writer


def prepare(dsn: str) -> None:
    """Make the table that writers write to."""
    with connect(dsn) as connection:
        for statement in _MAKE:
            connection.execute(statement.encode())


def stored(dsn: str, run: uuid.UUID) -> frozenset[tuple[str, int]]:
    """The rows of a run that the database has: client and number."""
    with connect(dsn) as connection:
        found = connection.execute(f"SELECT client, id FROM {TABLE} WHERE run = %s", [run])  # noqa: S608
        return frozenset((str(client), int(number)) for client, number in found.fetchall())  # type: ignore[misc]


def forget(dsn: str, run: uuid.UUID) -> None:
    """Remove the rows of a run; the table stays, for the next drill."""
    with connect(dsn) as connection:
        connection.execute(f"DELETE FROM {TABLE} WHERE run = %s", [run])  # noqa: S608


def connect(dsn: str) -> Connection:
    # Every statement is a transaction of its own, and none is prepared: the pooler may send each to another session.
    return psycopg.connect(dsn, autocommit=True, prepare_threshold=None)


def _wait_until_ready(client: Running) -> None:
    deadline = time.monotonic() + FIRST_WITHIN
    while not client.is_ready:
        if time.monotonic() > deadline:
            raise OpsError(
                f"the client {client.client.name!r} was not answered within {FIRST_WITHIN:.0f} s",
                detail=client.journal.last_words or "nothing was answered",
                hint="See that the route works at all: ops connect; ops failover check.",
            )
        time.sleep(PERIOD)
