"""Which database is meant, and the way to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import psycopg

from ops.config import Config
from ops.errors import OpsError, Unreachable, UsageError
from ops.model.migrations import PURPOSES
from ops.postgres import cluster
from ops.postgres.connect import Connection

SQL = Path("/opt/ops/sql")  # where the deploy puts it


@dataclass(frozen=True)
class Target:
    """A database by URI, as libpq reads it, and the folder of its migrations. The URI holds no password."""

    uri: str
    folder: Path

    @property
    def database(self) -> str:
        return urlsplit(self.uri).path.removeprefix("/")

    def other(self, database: str) -> Target:
        """Another database of the same server."""
        parts = urlsplit(self.uri)
        return replace(self, uri=urlunsplit(parts._replace(path=f"/{quote(database)}")))

    def exists(self) -> bool:
        """Whether the server has it; Unreachable where the server does not let us in."""
        with self.other("postgres").connect() as connection:
            found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [self.database]).fetchone()
        return found is not None

    def connect(self) -> Connection:
        """A connection in autocommit mode; Unreachable where we are not let in."""
        try:
            return psycopg.connect(self.uri, application_name="ops db", connect_timeout=10, autocommit=True)
        except psycopg.OperationalError as error:
            raise Unreachable(
                f"the database {self.database} does not let us in",
                detail=str(error).strip(),
                hint="See that the server runs and has the database: ops cluster apply makes what is declared.",
            ) from error
        except psycopg.ProgrammingError as error:
            raise UsageError("--server is no URI that libpq reads", detail=str(error).strip()) from error


def local(config: Config, database: str, folder: Path | None = None) -> Target:
    """The database on this host's own server, over its socket."""
    postgres = config.postgres
    where = urlencode({"host": str(postgres.socket_dir), "port": postgres.port})
    return Target(f"postgresql://{quote(postgres.user)}@/{quote(database)}?{where}", folder or _folder(database))


def given(uri: str, folder: Path | None = None) -> Target:
    """The database that a URI names; UsageError for one with a password, which every `ps` would show."""
    parts = urlsplit(uri)
    if parts.scheme not in ("postgresql", "postgres") or not parts.path.strip("/"):
        raise UsageError(
            "--server takes a URI with a database", hint="postgresql://USER@HOST:PORT/DATABASE?sslmode=verify-full"
        )
    if parts.password or "password" in dict(parse_qsl(parts.query)):
        raise UsageError(
            "--server must hold no password", hint="Put it into a file of mode 0600, and name that in $PGPASSFILE."
        )
    target = Target(urlunsplit(parts._replace(scheme="postgresql")), folder or Path())
    return target if folder else replace(target, folder=_folder(target.database))


def acts(config: Config) -> bool:
    """Whether this host is the one to change the database: it leads, or nobody does because no Patroni runs here."""
    return config.patroni is None or cluster.leads(cluster.client(config))


@contextmanager
def alone(connection: Connection, what: str, lock: str = "ops db") -> Iterator[None]:
    """Hold a lock in this database while in here, by default that of migrations; OpsError where another run has it."""
    found = connection.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [lock]).fetchone()
    if found != (True,):
        holder = connection.execute(
            "SELECT pid, client_addr, backend_start FROM pg_stat_activity JOIN pg_locks USING (pid)"
            " WHERE locktype = 'advisory' AND granted AND objid = hashtext(%s)::bigint & 4294967295"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            [lock],
        ).fetchone()
        seen = f"process {holder[0]} on the server, since {holder[2]}" if holder else None
        raise OpsError(f"{what}: another run of {lock} is at work", detail=seen, hint="Wait until it has ended.")
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(hashtext(%s))", [lock])


def _folder(database: str) -> Path:
    purpose = PURPOSES.get(database)
    if purpose is None:
        raise UsageError(
            f"no migrations are known for the database {database!r}",
            detail=f"known: {', '.join(PURPOSES)}",
            hint="Name their folder with --folder.",
        )
    return SQL / purpose
