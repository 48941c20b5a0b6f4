"""The way in: the strings that `ops connect` prints, who is let in, and where sessions end up when members change."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest

from ops.deploys.inventory import load
from ops.deploys.routes import routes
from ops.failover.clients import writing
from ops.failover.ways import through_router
from ops.lab import drive
from ops.model import routing
from ops.model.routing import Route

from .. import waiting
from .conftest import MEMBERS, Fleet, wait_until

pytestmark = pytest.mark.lab

ROUTER, CLIENT = "lb1", "drill1"
DATABASE = "pend_production"
WHERE = "SELECT host(inet_server_addr()), pg_is_in_recovery()"
# A message to HAProxy's runtime socket, and what it answers.
ASK = """python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect("/run/haproxy/admin.sock")
s.sendall(sys.argv[1].encode() + b"\\n"); print(s.makefile().read())' """


@pytest.fixture(scope="module")
def write() -> str:
    return through_router(DATABASE)


@pytest.fixture(scope="module")
def read() -> str:
    return through_router(DATABASE, read=True)


@pytest.fixture(scope="module")
def ways() -> tuple[Route, Route]:
    """To write and to read, as a host of the fleet goes."""
    return routes(load(drive.CHECKOUT / drive.INVENTORY), DATABASE, ca_file="/etc/ops/pki/ca.crt")


@contextmanager
def session(dsn: str) -> Iterator[psycopg.Connection[tuple[str, bool]]]:
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:
        yield connection


def member(dsn: str) -> tuple[str, bool]:
    """The address that a new session comes out at, and whether that is a replica."""
    with session(dsn) as connection:
        found = connection.execute(WHERE).fetchone()
        assert found
        return found


def address(host: str) -> str:
    return drive.ask(host, "hostname -I").split()[0]


def router(command: str) -> str:
    return drive.ask(ROUTER, ASK + shlex.quote(command))


def state(backend: str, host: str) -> str:
    """UP, DOWN, MAINT …, as HAProxy has it."""
    rows = [line.split(",") for line in router("show stat").splitlines() if line.strip()]
    column = rows[0].index("status")
    return next(row[column] for row in rows if row[:2] == [backend, host])


def as_client(command: str, dsn_password: str) -> str:
    """What a command prints on a host that is a client, given the password as it should be: in the environment."""
    script = f"read -r PGPASSWORD; export PGPASSWORD; {command}"
    outcome = drive.run(CLIENT, script, stdin=f"{dsn_password}\n")
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout.strip()


@pytest.fixture(scope="module")
def password(fleet: Fleet) -> str:
    return drive.ask(MEMBERS[0], "cat /etc/ops/secrets/role_pend_app")


def test_writes_reach_the_primary_and_reads_are_spread_over_the_replicas(fleet: Fleet, write: str, read: str) -> None:
    leader = fleet.wait_until_healthy()
    replicas = {address(host) for host in MEMBERS if host != leader}
    wait_until("both replicas serve reads", lambda: {member(read)[0] for _ in range(6)}, until=lambda s: s == replicas)
    assert member(write) == (address(leader), False)
    assert {member(read) for _ in range(6)} == {(replica, True) for replica in replicas}


@pytest.mark.parametrize("style", [routing.keywords, routing.uri])
def test_the_strings_for_libpq_work(fleet: Fleet, ways: tuple[Route, Route], password: str, style: type) -> None:
    query = "SELECT pg_is_in_recovery()"
    for way, replica in zip(ways, ("f", "t"), strict=True):
        assert as_client(f"psql -XAt {shlex.quote(style(way))} -c {shlex.quote(query)}", password) == replica


def test_the_call_for_psycopg_works(
    fleet: Fleet, ways: tuple[Route, Route], password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca_file = str(load(drive.CHECKOUT / drive.INVENTORY).site.pki / "ca.crt")
    way, _ = routes(load(drive.CHECKOUT / drive.INVENTORY), DATABASE, ca_file=ca_file)
    monkeypatch.setenv("PGPASSWORD", password)
    monkeypatch.setenv("PGHOSTADDR", address(ROUTER))  # only hosts of the lab know its names
    with eval(routing.psycopg(way), {"psycopg": psycopg}) as connection:
        for _ in range(12):  # psycopg would prepare a statement that it sees for the sixth time
            assert connection.execute("SELECT count(*) FROM pg_class").fetchone()
            connection.commit()


def test_the_pool_for_node_postgres_works(fleet: Fleet, ways: tuple[Route, Route], password: str) -> None:
    drive.ask(CLIENT, "DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends nodejs node-pg")
    for way, replica in zip(ways, (False, True), strict=True):
        program = (
            'const fs = require("fs"), { Pool } = require("pg");\n'
            f"const pool = {routing.node_postgres(way)};\n"
            'pool.query("SELECT pg_is_in_recovery() AS replica")\n'
            "  .then(found => { console.log(JSON.stringify(found.rows)); return pool.end(); });"
        )
        assert json.loads(as_client(f"node -e {shlex.quote(program)}", password)) == [{"replica": replica}]


REFUSED = {
    "password=wrong": "authentication failed",
    "sslmode=disable": "SSL required",
    "ssl_max_protocol_version=TLSv1.2": "protocol version",
    "user=nobody": "no such user",
    "user=postgres": "login rejected",
    "user=pgbouncer": "login rejected",
    "dbname=postgres": "login rejected",
    "dbname=pgbouncer user=postgres": "login rejected",  # the console
    "dbname=pgbouncer user=pgbouncer": "not allowed",
    "dbname=pgbouncer": "login rejected",
}


@pytest.mark.parametrize("change", REFUSED)
def test_whoever_is_not_meant_to_come_in_is_refused(fleet: Fleet, write: str, change: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=REFUSED[change]):
        member(f"{write} {change}")


def test_no_stranger_brings_a_pooler_down(fleet: Fleet, write: str) -> None:
    """PgBouncer 1.18 can die of somebody whom it does not know, at the console's door above all."""
    leader = fleet.leader()
    running = drive.start_times([leader])
    for change in [*REFUSED, *reversed(REFUSED)]:
        with pytest.raises(psycopg.OperationalError):
            member(f"{write} {change}")
    assert drive.start_times([leader]) == running


def test_the_server_s_name_is_verified(fleet: Fleet, write: str) -> None:
    with pytest.raises(psycopg.OperationalError, match='does not match host name "elsewhere"'):
        member(f"{write} host=elsewhere")


def test_only_the_pooler_gets_verifiers_and_none_of_privileged_roles(fleet: Fleet, write: str) -> None:
    leader = fleet.leader()
    with session(write) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT * FROM pooler.verifier('pend_app')")

    def found(attributes: str) -> str:
        """The roles that the pooler finds when `stranger` has these attributes. Nothing of it is kept."""
        return drive.sql(
            leader,
            f"BEGIN; CREATE ROLE stranger PASSWORD 'secret' {attributes}; SET LOCAL ROLE pgbouncer;"
            " SELECT role FROM pooler.verifier('stranger'); ROLLBACK",
            DATABASE,
        )

    assert found("LOGIN") == "stranger"
    for attributes in ("NOLOGIN", "LOGIN SUPERUSER", "LOGIN REPLICATION", "LOGIN BYPASSRLS", "LOGIN CREATEROLE"):
        assert found(attributes) == "", attributes
    assert found("LOGIN VALID UNTIL '2001-01-01'") == ""


def test_the_console_is_for_postgres_on_the_host(fleet: Fleet) -> None:
    console = "cd /; runuser -u {} -- psql -XAt -h /run/pgbouncer -p 6432 -U {} pgbouncer -c 'SHOW POOLS'"
    assert "transaction" in drive.ask(MEMBERS[0], console.format("postgres", "postgres"))
    assert drive.run(MEMBERS[0], console.format("nobody", "postgres")).returncode != 0


def test_a_switchover_loses_nothing_and_clients_go_on(fleet: Fleet, write: str) -> None:
    leader = fleet.wait_until_healthy()
    with writing(write) as journal:
        drive.ask(leader, "ops cluster switchover", deadline=180)
        before = len(journal.confirmed)
        wait_until("rows are written again", lambda: len(journal.confirmed), until=lambda count: count > before + 20)
    fleet.wait_until_healthy()
    assert journal.failures, "it was noticed"
    assert journal.lost(write) == []  # how long it takes is measured by benchmarks/change.py


def test_a_replica_beyond_the_lag_limit_leaves_the_reads_and_its_sessions_are_closed(fleet: Fleet, read: str) -> None:
    leader = fleet.wait_until_healthy()
    replica = next(host for host in MEMBERS if host != leader)
    wait_until("it serves reads", lambda: state("pg_main_replicas", replica), until=lambda s: s.startswith("UP"))
    with pinned(read, address(replica)) as connection:
        drive.ask(replica, "pkill -STOP -f '^postgres: .*startup'")  # Patroni would end a pg_wal_replay_pause() at once
        try:
            drive.sql(leader, "SELECT pg_logical_emit_message(false, 'test', repeat('x', 20 * 1048576))")
            wait_until("it is marked down", lambda: state("pg_main_replicas", replica), until=lambda s: s == "DOWN")
            with pytest.raises(psycopg.OperationalError):
                connection.execute(WHERE)
            assert address(replica) not in {member(read)[0] for _ in range(6)}
        finally:
            drive.ask(replica, "pkill -CONT -f '^postgres: .*startup'")
    wait_until("it serves reads again", lambda: state("pg_main_replicas", replica), until=lambda s: s.startswith("UP"))
    fleet.wait_until_healthy()


@contextmanager
def pinned(read: str, wanted: str) -> Iterator[psycopg.Connection[tuple[str, bool]]]:
    """A session to read that has come out at one member. Once its server is back its pooler may refuse for a second."""
    with ExitStack() as sessions:

        def come_out() -> psycopg.Connection[tuple[str, bool]] | None:
            connection = sessions.enter_context(session(read))
            return connection if connection.execute(WHERE).fetchone() == (wanted, True) else None

        found = waiting.wait_until(f"a session is at {wanted}", come_out, despite=psycopg.OperationalError)
        assert found
        yield found


def test_reads_fall_to_the_primary_where_no_replica_can_serve_them(fleet: Fleet, read: str) -> None:
    leader = fleet.wait_until_healthy()
    replicas = [host for host in MEMBERS if host != leader]
    try:
        for replica in replicas:
            router(f"set server pg_main_replicas/{replica} state maint")
        assert member(read) == (address(leader), False)
    finally:
        for replica in replicas:
            router(f"set server pg_main_replicas/{replica} state ready")
    wait_until("replicas serve reads", lambda: member(read)[1])
