"""The heartbeat: a row a second in ops.heartbeat on whichever server is the primary (sql/ops/0001-heartbeat.sql).

Ids are contiguous, by one writer and without a sequence: a sequence skips numbers after a failover, and a row
that is missing must show.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg

from ops.config import Postgres
from ops.errors import Unreachable
from ops.postgres.connect import Connection, connect, row

KEEP_ROWS = 2 * 24 * 3600
_PRUNE_EVERY = 600

WRITING = "writing a row a second"
REPLICA = "waiting: this server is a replica"


class Heartbeat:
    """Writes the rows of one host. A server that is down or a replica is waited for."""

    def __init__(self, postgres: Postgres, host: str) -> None:
        self._postgres = postgres
        self._host = host
        self._connection: Connection | None = None

    def beat(self) -> str:
        """Write a row if this server is the primary; in words, what the state of things is."""
        try:
            connection = self._connect()
            if row(connection, "SELECT pg_is_in_recovery()")[0]:
                return REPLICA
            self._write(connection)
            return WRITING
        except psycopg.errors.UndefinedTable:
            return "waiting: there is no table ops.heartbeat yet"
        except (psycopg.Error, Unreachable) as error:
            self.close()
            return f"waiting: {_why(error)}"

    def close(self) -> None:
        """Let go of the connection; the next beat makes another."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _connect(self) -> Connection:
        if self._connection is None:
            self._connection = connect(self._postgres, purpose="ops heartbeat")
            # Its own disk is enough: the row is an oracle of what the archive restores, not of what replicas hold,
            # and a replica that is stuck must not silence it. No timeout ends a commit that waits for one.
            self._connection.execute("SET synchronous_commit = local")
            self._connection.execute("SET statement_timeout = '5s'")
        return self._connection

    def _write(self, connection: Connection) -> None:
        number = row(
            connection,
            "INSERT INTO ops.heartbeat (id, host) SELECT coalesce(max(id), 0) + 1, %s FROM ops.heartbeat RETURNING id",
            self._host,
        )[0]
        if number % _PRUNE_EVERY == 0:
            # By id and not by time: the rows that stay are contiguous whatever the clock did.
            connection.execute("DELETE FROM ops.heartbeat WHERE id <= %s", (number - KEEP_ROWS,))


def run(heartbeat: Heartbeat, report: Callable[[str], None]) -> None:
    """Beat at the start of every second, for ever; `report` hears of each change of state once."""
    last = ""
    while True:
        _sleep_to_next_second()
        state = heartbeat.beat()
        if state != last:
            report(state)
            last = state


def _sleep_to_next_second() -> None:
    due = int(time.time()) + 1
    # The upper bound is for a clock that was set back meanwhile.
    while 0 < (wait := due - time.time()) <= 1:
        time.sleep(wait)


def _why(error: psycopg.Error | Unreachable) -> str:
    """The kind of trouble in one line, the same line each time: texts with process ids would fill the journal."""
    if isinstance(error, Unreachable):
        return "the server does not let us in"
    if error.sqlstate:
        return f"the server said {type(error).__name__} ({error.sqlstate})"
    return "the connection was lost"
