"""The application's database beside what looks after it: the exporter as the role `monitor`, drills, the repository."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ops.config import load
from ops.database.evidence import Proven
from ops.database.migrations import Patience, migrate
from ops.database.target import Target
from ops.database.validate import validate
from ops.exporter.collectors.application import APPLICATION, look
from ops.exporter.database import Session
from ops.failover import clients
from ops.model.migrations import State
from ops.postgres.connect import Connection
from ops.status.holdings import look as look_into_repository

from .fix_database import SQL, Databases, fill, quiet, statement
from .fix_postgres import Host

pytestmark = pytest.mark.integration
NAME = "pend_production"
# How a superuser gets at the trail.
OPEN = "ALTER TABLE audit_trail DISABLE TRIGGER ALL; ALTER TABLE audit.head DISABLE TRIGGER ALL"
SHUT = """ALTER TABLE audit_trail ENABLE ALWAYS TRIGGER audit_trail_append_only;
    ALTER TABLE audit.head ENABLE ALWAYS TRIGGER head_stays"""
# The last record of each chain, and the head's memory of it.
CUT = """DELETE FROM audit_trail AS a USING audit.head AS h
    WHERE (a.chain, a.chain_position) = (h.chain, h.chain_position);
    UPDATE audit.head AS h SET chain_position = chain_position - 1, hash = coalesce(
        (SELECT hash FROM audit_trail AS a WHERE (a.chain, a.chain_position) = (h.chain, h.chain_position - 1)), ''
    ) WHERE chain_position > 0"""


@dataclass(frozen=True)
class Kept:
    """A server that archives to a folder, and the application's database on it, with a row or two in every table."""

    host: Host
    target: Target

    def ops(self, *arguments: str | Path) -> tuple[int, Any]:
        outcome = self.host.ops(*arguments, "--json")
        return outcome.returncode, json.loads(outcome.stdout)

    def stored(self, kind: str) -> list[dict[str, Any]]:
        """Verdicts or anchors in the repository, oldest first."""
        files = sorted((self.host.base / "repository").glob(f"**/evidence/audit/{NAME}/{kind}/*.json"))
        return [json.loads(file.read_text()) for file in files]

    def proven(self) -> Proven:
        """As the exporter of the fleet and the status page see it."""
        seen = look_into_repository(load(self.host.config_file)).audits.seen
        assert seen is not None
        (one,) = seen
        return one

    def told(self, sql: Path = SQL.parent) -> dict[tuple[str, ...], float]:
        """What the exporter tells of the database: by metric and labels, without the database's."""
        conninfo = f"host={self.host.base} port={self.host.port} user=monitor dbname={NAME}"
        with closing(Session(conninfo, "the server")) as session:
            return {(sample.metric.name, *sample.labels[1:]): sample.value for sample in look(session, sql)}


@pytest.fixture(scope="module")
def kept(module_hosts: Callable[[str], Host]) -> Kept:
    host = module_hosts("kept")
    host.initdb("--wal-segsize=1")
    host.write_config(host.folder())
    host.archive()
    host.start()
    host.sql(f"CREATE DATABASE {NAME}")
    target = Databases(host).target(NAME)
    migrate(target, Patience(), quiet)
    host.sql("CREATE ROLE monitor LOGIN IN ROLE pg_monitor, exporter")
    with target.connect() as connection:
        fill(connection)
    host.archive_all()
    return Kept(host, target)


@pytest.fixture
def superuser(kept: Kept) -> Iterator[Connection]:
    with kept.target.connect() as connection:
        yield connection


def states(told: dict[tuple[str, ...], float]) -> dict[State, float]:
    return {labels[0]: value for (name, *labels), value in told.items() if name == "ops_migrations"}  # type: ignore[misc]


# -- to the exporter ---------------------------------------------------------------------------------------------


def test_every_metric_is_told_with_the_rights_that_monitoring_has(kept: Kept) -> None:
    told = kept.told()
    assert {name for name, *_ in told} == {metric.name for metric in APPLICATION.metrics}
    now = datetime.now(UTC)
    assert now.timestamp() - told["ops_view_refreshed_timestamp_seconds", "real_time_stats"] < 600
    assert told["ops_view_promised_seconds", "real_time_stats"] == 300
    end = told["ops_partition_end_timestamp_seconds", "system_logs"]
    assert timedelta(days=88) < datetime.fromtimestamp(end, UTC) - now < timedelta(days=124)
    assert told["ops_partition_stray_rows", "system_logs"] == 0
    files = len([file for file in SQL.glob("*.sql") if ".rollback." not in file.name])
    assert {state: number for state, number in states(told).items() if number} == {"applied": files}


def test_what_is_not_as_it_should_be_is_told(kept: Kept, superuser: Connection, tmp_path: Path) -> None:
    before = kept.told()["ops_audit_records",]
    superuser.execute(
        "INSERT INTO system_logs (level, source, message, timestamp) VALUES ('info', 'api', 'lost', '2001-01-01')"
    )
    superuser.execute("UPDATE ops.view_refresh SET refreshed_at = 'epoch' WHERE view_name = 'real_time_stats'")
    superuser.execute(statement("UPDATE users SET tier = (tier + 1) % 6"))
    folder = tmp_path / "app"
    folder.mkdir()
    for file in SQL.glob("*.sql"):
        text = file.read_text()
        (folder / file.name).write_text(text + "-- changed\n" if file.stem == "0003-users" else text)
    (folder / "0900-more.sql").write_text("SELECT 1;")
    told = kept.told(tmp_path)
    assert told["ops_partition_stray_rows", "system_logs"] == 1
    assert told["ops_view_refreshed_timestamp_seconds", "real_time_stats"] == 0
    assert told["ops_audit_records",] == before + 2
    assert (states(told)["changed"], states(told)["pending"]) == (1, 1)


def test_of_a_database_without_migrations_nothing_is_told(kept: Kept) -> None:
    for database in ("postgres", "pend_analytics"):
        if database != "postgres":
            kept.host.sql(f"CREATE DATABASE {database}")
        conninfo = f"host={kept.host.base} port={kept.host.port} user=monitor dbname={database}"
        with closing(Session(conninfo, "the server")) as session:
            assert list(look(session, SQL.parent)) == []


def test_nothing_is_read_that_the_owner_of_the_database_may_have_made(kept: Kept) -> None:
    kept.host.sql("CREATE ROLE mallory LOGIN")
    kept.host.sql("DROP DATABASE IF EXISTS pend_analytics")
    kept.host.sql("CREATE DATABASE pend_analytics OWNER mallory")
    made = """SET ROLE mallory; CREATE SCHEMA ops; GRANT USAGE ON SCHEMA ops TO PUBLIC;
        CREATE FUNCTION ops.partition_state(OUT table_name text, OUT stray_rows bigint, OUT covered_until timestamptz)
        LANGUAGE sql AS 'SELECT current_user::text, 1::bigint, now()'"""
    kept.host.sql(made, "pend_analytics")
    conninfo = f"host={kept.host.base} port={kept.host.port} user=monitor dbname=pend_analytics"
    with closing(Session(conninfo, "the server")) as session:
        assert list(look(session, SQL.parent)) == []
    kept.host.sql("DROP DATABASE pend_analytics")


# -- to drills ---------------------------------------------------------------------------------------------------


def test_the_clients_of_a_failover_drill_write_where_no_migration_does(kept: Kept) -> None:
    kept.host.sql("CREATE ROLE pend_app LOGIN IN ROLE app_user")
    kept.host.sql(f"ALTER DATABASE {NAME} OWNER TO pend_app")
    dsn, run = f"host={kept.host.base} port={kept.host.port} user=pend_app dbname={NAME}", uuid4()
    clients.prepare(dsn)
    clients.prepare(dsn)  # the next drill's
    with clients.connect(dsn) as connection:
        connection.execute(clients.insert("'here'").encode(), [run, "writer", 1])
    assert clients.stored(dsn, run) == {("writer", 1)}
    clients.forget(dsn, run)
    assert clients.stored(dsn, run) == frozenset()
    assert validate(kept.target) == []


# -- to the repository -------------------------------------------------------------------------------------------


def test_a_look_at_the_trail_is_kept_and_the_next_one_goes_by_the_anchor_of_this(kept: Kept) -> None:
    code, found = kept.ops("audit", "verify", "--anchor", "latest")
    assert (code, found["error"]) == (2, f"the repository has no anchor of the audit trail of {NAME}")
    assert kept.host.ops("backup", "schedule", "run", "audit").returncode == 0, "what the timer calls"
    (verdict,), (first,) = kept.stored("verdicts"), kept.stored("anchors")
    assert (verdict["intact"], verdict["anchor"], verdict["records"]) == (True, None, first["records"])
    proven = kept.proven()
    assert (proven.database, proven.intact) == (NAME, True)
    assert proven.anchored is not None
    kept.host.sql("UPDATE users SET tier = (tier + 1) % 6", NAME)
    assert kept.ops("audit", "verify", "--keep")[0] == 0
    assert kept.stored("verdicts")[-1]["anchor"] is not None
    assert len(kept.stored("anchors")) == 2


def test_an_end_that_was_cut_off_is_kept_as_found_and_no_new_anchor_hides_it(kept: Kept, superuser: Connection) -> None:
    assert kept.ops("audit", "verify", "--keep")[0] == 0
    anchors = len(kept.stored("anchors"))
    with superuser.transaction():
        superuser.execute(OPEN.encode())
        superuser.execute(CUT.encode())
        superuser.execute(SHUT.encode())
    assert kept.ops("audit", "verify")[0] == 0, "the database alone agrees with itself"
    for _night in range(2):
        assert kept.host.ops("backup", "schedule", "run", "audit").returncode == 1
        assert not kept.proven().intact
        assert {flaw["kind"] for flaw in kept.stored("verdicts")[-1]["flaws"]} == {"removed"}
    assert len(kept.stored("anchors")) == anchors
    code, found = kept.ops("audit", "verify", "--anchor", "latest")
    assert (code, found["good"]) == (1, False)
    # Whoever knows why, after a recovery to an earlier moment, goes on from here.
    assert kept.ops("audit", "anchor", "--keep")[0] == 0
    assert kept.ops("audit", "verify", "--keep")[0] == 0
    assert kept.proven().intact


def test_another_servers_trail_has_no_place_in_this_repository(kept: Kept) -> None:
    server = f"postgresql://postgres@/{NAME}?host={kept.host.base}&port={kept.host.port}"
    code, found = kept.ops("audit", "verify", "--keep", "--server", server)
    assert (code, "--server names another one" in found["error"]) == (2, True)


def test_each_scheduled_look_after_the_database_does_its_work(kept: Kept, superuser: Connection) -> None:
    superuser.execute("UPDATE ops.view_refresh SET refreshed_at = 'epoch' WHERE view_name = 'real_time_stats'")
    run = kept.host.ops("backup", "schedule", "run", "refresh")
    assert (run.returncode, run.stdout.split(" in ")[0]) == (0, "refreshed real_time_stats")
    again = kept.host.ops("backup", "schedule", "run", "refresh")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", ""), "nothing to say, nothing in the journal"
    superuser.execute("TRUNCATE system_logs_default")
    assert kept.host.ops("backup", "schedule", "run", "partitions").returncode == 0
