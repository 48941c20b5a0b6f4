"""A client that writes a row twenty times a second and keeps a journal of what it was told: what a change costs it.

    dsn = through_router("pend_production")
    with writing(dsn) as journal:
        change_something()
    journal.longest_gap(), journal.lost(dsn)

It behaves as the README asks of an application: a statement that fails is not sent again (nobody knows whether it was
committed), the connection is thrown away, and the next row goes through a new one.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, pairwise
from pathlib import Path

import psycopg

from ops.deploys.inventory import load
from ops.deploys.routes import routes
from ops.deploys.secrets import Secrets
from ops.errors import OpsError
from ops.lab import drive, paths
from ops.lab import inventory as lab_inventory
from ops.model.routing import keywords

RATE = 20  # rows a second
PERIOD = 1 / RATE
FIRST_ROW_WITHIN = 30.0

_TABLE = """CREATE TABLE IF NOT EXISTS lab_writes (
    run uuid, id bigint, at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (run, id)
)"""
_INSERT = "INSERT INTO lab_writes (run, id) VALUES (%s, %s)"


def through_router(database: str, *, read: bool = False, inventory: Path | None = None) -> str:
    """What `ops connect` prints for `database` of the lab, with what this machine lacks: the router's address, which
    only hosts know by its name, and the password. OpsError where no router leads there."""
    inventory = inventory or drive.CHECKOUT / drive.INVENTORY
    declared = load(inventory)
    route = routes(declared, database, ca_file=str(declared.site.pki / "ca.crt"))[read]
    addresses = {host.name: host.address for host in lab_inventory.read(paths.from_environment(), inventory)}
    password = Secrets(declared.site.secrets).get(f"role_{route.user}")
    return f"{keywords(route)} hostaddr={','.join(str(addresses[name]) for name in route.routers)} password={password}"


class Journal:
    """What one writer saw, by the clock of this process. It can be read while the writer goes on."""

    def __init__(self) -> None:
        self.run = uuid.uuid4()
        self.confirmed: list[tuple[int, float]] = []  # a row, and when its commit was confirmed
        self.failures: list[tuple[float, str]] = []  # when a row or a connection failed, and the server's words
        self.ended: float | None = None

    def longest_gap(self) -> float:
        """The longest time from one confirmed row to the next, or to now (the writer's end) where none came since.

        In seconds. An undisturbed writer shows PERIOD and the time that a row takes.
        """
        moments = [moment for _, moment in self.confirmed]
        moments.append(self.ended or time.monotonic())
        return max(later - earlier for earlier, later in pairwise(moments))

    def lost(self, dsn: str) -> list[int]:
        """Confirmed rows that the database does not have."""
        confirmed = {row for row, _ in self.confirmed}  # before the look: what is confirmed meanwhile is none of it
        with _connect(dsn) as connection:
            found = connection.execute("SELECT id FROM lab_writes WHERE run = %s", [self.run]).fetchall()
        return sorted(confirmed - {row for (row,) in found})


@contextmanager
def writing(dsn: str) -> Iterator[Journal]:
    """A writer in the background, from its first confirmed row to the end of the block."""
    journal, stop = Journal(), threading.Event()
    with _connect(dsn) as connection:
        connection.execute(_TABLE)
    thread = threading.Thread(target=_write, args=(dsn, journal, stop), name="writer", daemon=True)
    thread.start()
    try:
        _wait_for_first_row(journal)
        yield journal
    finally:
        journal.ended = time.monotonic()
        stop.set()
        thread.join()


def _wait_for_first_row(journal: Journal) -> None:
    deadline = time.monotonic() + FIRST_ROW_WITHIN
    while not journal.confirmed:
        if time.monotonic() > deadline:
            words = journal.failures[-1][1] if journal.failures else "nothing was answered"
            raise OpsError(f"no row could be written within {FIRST_ROW_WITHIN:.0f} s", detail=words)
        time.sleep(PERIOD)


def _write(dsn: str, journal: Journal, stop: threading.Event) -> None:
    """One row each PERIOD; after a gap it goes on at that pace, without catching up."""
    rows = count(1)
    while not stop.is_set():
        try:
            with _connect(dsn) as connection:
                due = time.monotonic()
                while not stop.wait(max(0.0, due - time.monotonic())):
                    row = next(rows)
                    connection.execute(_INSERT, [journal.run, row])
                    journal.confirmed.append((row, time.monotonic()))
                    due = max(due + PERIOD, time.monotonic())
        except psycopg.Error as error:
            journal.failures.append((time.monotonic(), str(error).strip()))
            stop.wait(PERIOD)


def _connect(dsn: str) -> psycopg.Connection[tuple[int]]:
    # Every statement is a transaction of its own, and none is prepared: the pooler may send each to another session.
    return psycopg.connect(dsn, autocommit=True, prepare_threshold=None)
