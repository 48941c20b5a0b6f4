"""PostgreSQL and PgBouncer as the exporter asks them: as the role `monitor`, by certificate, with two connections.

One is kept for what is read at each scrape. The other is opened for what is slow, or of another database, and closed
again. Who finds one taken waits its turn, and not for long; nobody opens a third.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.resources import files
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from ops.errors import Unreachable
from ops.fleet import Identity, Member

Row = dict[str, Any]
Connection = psycopg.Connection[Row]

APPLICATION = "ops exporter"
USER = "monitor"
CONSOLE = "pgbouncer"  # the name of its administration console, which looks like a database

_CONNECTIONS = 2
_CONNECT = 3  # seconds until a server has let us in
_LOCKS = 500  # milliseconds that a statement of ours waits for a lock
_SILENCE = 1.0  # seconds beyond its own limit for which a server may say nothing
_PATIENCE = 5.0  # seconds to wait for our turn at the kept connection
# Who must not be in the way of anybody: no parallel workers, no compilation, and nothing is ever written.
_OPTIONS = {
    "lock_timeout": _LOCKS,
    "idle_in_transaction_session_timeout": 10_000,
    "default_transaction_read_only": "on",
    "max_parallel_workers_per_gather": 0,
    "jit": "off",
    "search_path": "pg_catalog",
}


@cache
def query(name: str) -> str:
    """The text of queries/<name>.sql."""
    return (files("ops.exporter") / "queries" / f"{name}.sql").read_text()


class Session:
    """A connection, and how long a statement on it may take: the server ends it, and if the server does not, we do."""

    def __init__(self, conninfo: str, name: str) -> None:
        self._name = name
        try:
            self.connection: Connection = psycopg.connect(
                # None is prepared: PgBouncer's console has no such thing, and takes offence at the fifth time.
                conninfo,
                autocommit=True,
                row_factory=dict_row,
                prepare_threshold=None,
            )
        except psycopg.Error as error:
            raise _unreachable(name, error) from error
        self._limit = 0.0

    def rows(self, text: str, arguments: dict[str, Any] | None = None, *, seconds: float = 2.0) -> list[Row]:
        """The rows of one statement; Unreachable where it cannot be had within `seconds`."""
        with self._cut_off(seconds + _SILENCE):
            try:
                self._limited(seconds)
                return self.connection.execute(text.encode(), arguments).fetchall()
            except psycopg.Error as error:
                raise _unreachable(self._name, error) from error

    def _limited(self, seconds: float) -> None:
        if seconds != self._limit and self.connection.info.dbname != CONSOLE:
            limit = "SELECT set_config('statement_timeout', %s, false)"
            self.connection.execute(limit, (str(int(seconds * 1000)),))
            self._limit = seconds

    @contextmanager
    def _cut_off(self, seconds: float) -> Iterator[None]:
        """Ends the connection from our side: a server that is stopped or hangs keeps no timeout."""
        line = socket.socket(fileno=self.connection.fileno())
        timer = threading.Timer(seconds, _shut, (line,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
            line.detach()  # psycopg's to close

    def close(self) -> None:
        """Return when the server has let go too, so that who comes next makes no third of us."""
        line = socket.socket(fileno=os.dup(self.connection.fileno())) if not self.connection.closed else None
        self.connection.close()
        if line is not None:
            with line, suppress(OSError):
                line.settimeout(_SILENCE)
                while line.recv(4096):
                    pass


class Server:
    """A server and our two connections to it."""

    def __init__(self, name: str, conninfo: dict[str, Any]) -> None:
        self.name = name
        self._conninfo = conninfo
        self._kept: Session | None = None
        self._kept_turn = threading.Lock()
        self._other_turn = threading.Lock()

    @contextmanager
    def kept(self) -> Iterator[Session]:
        """The kept connection, made where there is none; dropped where anything goes wrong with it."""
        if not self._kept_turn.acquire(timeout=_PATIENCE):
            raise Unreachable(f"{self.name}: the connection is taken by a statement that does not end")
        try:
            if self._kept is None or self._kept.connection.closed:
                self._kept = self._open({})
            yield self._kept
        finally:
            if self._kept is not None and self._kept.connection.broken:
                self._kept = None
            self._kept_turn.release()

    @contextmanager
    def other(self, database: str | None = None) -> Iterator[Session]:
        """The other connection, to any database, for as long as the context lasts."""
        with self._other_turn:
            session = self._open({"dbname": database} if database else {})
            try:
                yield session
            finally:
                session.close()

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()

    def _open(self, more: dict[str, Any]) -> Session:
        session = Session(make_conninfo("", **{**self._conninfo, **more}), self.name)
        if session.connection.info.dbname != CONSOLE:
            self._refuse_a_third(session)
        return session

    def _refuse_a_third(self, session: Session) -> None:
        """A backend that hangs outlives the connection that we cut off: it counts too."""
        (found,) = session.rows(query("own_connections"), {"application": APPLICATION})
        if found["connections"] > _CONNECTIONS:
            session.close()
            raise Unreachable(f"{self.name}: {_CONNECTIONS} sessions of ours hang there already")


def postgres(member: Member, identity: Identity) -> Server:
    """The PostgreSQL of a member."""
    options = " ".join(f"-c {name}={value}" for name, value in _OPTIONS.items())
    return Server(
        f"PostgreSQL at {member.address}:{member.port}",
        {**_who(member, identity), "port": member.port, "dbname": "postgres", "options": options},
    )


def pgbouncer(member: Member, identity: Identity) -> Server:
    """The administration console of a member's PgBouncer."""
    return Server(
        f"PgBouncer at {member.address}:{member.pooler_port}",
        {**_who(member, identity), "port": member.pooler_port, "dbname": CONSOLE},
    )


def _who(member: Member, identity: Identity) -> dict[str, Any]:
    return {
        "host": member.address,
        "user": USER,
        "sslmode": "verify-full",
        "sslrootcert": str(identity.ca_file),
        "sslcert": str(identity.cert_file),
        "sslkey": str(identity.key_file),
        "application_name": APPLICATION,
        "connect_timeout": _CONNECT,
        "tcp_user_timeout": 5000,
        "gssencmode": "disable",
    }


def _shut(line: socket.socket) -> None:
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)


def _unreachable(name: str, error: psycopg.Error) -> Unreachable:
    said = str(error).strip().partition("\n")[0]
    return Unreachable(f"{name}: {said or type(error).__name__}")
