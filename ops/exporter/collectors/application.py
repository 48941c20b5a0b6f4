"""The databases of applications: their migrations, how old their views are, whether months are missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from ops.database.migrations import files
from ops.database.target import SQL
from ops.exporter.database import Session, query
from ops.exporter.host import Host
from ops.exporter.inside import inside_each
from ops.exporter.metric import Collector, Sample, gauge
from ops.model.migrations import PURPOSES, Applied, State, standings

MIGRATIONS = gauge(
    "ops_migrations", "Migrations of a database by how they stand to the files here.", "database", "state"
)
REFRESHED = gauge(
    "ops_view_refreshed_timestamp_seconds", "What a materialized view shows is as of then.", "database", "view"
)
EVERY = gauge("ops_view_promised_seconds", "How old that may be.", "database", "view")
UNTIL = gauge("ops_partition_end_timestamp_seconds", "Where the months of a table end.", "database", "table")
STRAY = gauge("ops_partition_stray_rows", "Rows of a table that found no month.", "database", "table")
RECORDS = gauge("ops_audit_records", "Records in the audit trail, by the heads of its chains.", "database")


def read(host: Host) -> Iterator[Sample]:
    """Nothing of a database that has no migrations, or none that were applied; of a replica what it has replayed."""
    for _, sample in inside_each(host.postgres, look):
        yield sample


def look(session: Session, sql: Path = SQL) -> Iterator[Sample]:
    """What the database of a session tells; `sql` is where the folders of migrations lie."""
    database = session.connection.info.dbname
    if database not in PURPOSES:
        return
    there = {row["name"] for row in session.rows(query("application"))}
    if {"public._yoyo_migration", "public._yoyo_log"} <= there:
        yield from _migrations(session, database, sql / PURPOSES[database])
    if "ops.view_refresh" in there:
        for row in session.rows(query("views")):
            yield REFRESHED(row["refreshed"], database, row["view"])
            yield EVERY(row["every"], database, row["view"])
    if "ops.partition_state" in there:
        for row in session.rows(query("partitions"), seconds=5):
            yield UNTIL(row["until"], database, row["table"])
            yield STRAY(row["stray"], database, row["table"])
    if "audit.head" in there:
        (row,) = session.rows(query("audit"))
        yield RECORDS(row["records"], database)


def _migrations(session: Session, database: str, folder: Path) -> Iterator[Sample]:
    rows = session.rows(query("migrations"))
    applied = [Applied(row["name"], row["digest"], row["at"]) for row in rows]
    found = Counter(one.state for one in standings(files(folder), applied))
    for state in get_args(State):
        yield MIGRATIONS(found[state], database, state)


APPLICATION = Collector("application", (MIGRATIONS, REFRESHED, EVERY, UNTIL, STRAY, RECORDS), read, every=60, limit=300)
