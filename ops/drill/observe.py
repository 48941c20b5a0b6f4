"""What a drill asks the restored server. Here is only asking; what the answers prove, ops.model.oracle says."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from ops.model.lsn import LSN
from ops.model.oracle import Beat, Beats, Pause, Scan
from ops.postgres.connect import Connection, row
from ops.postgres.programs import run
from ops.postgres.server import PrivateServer

_LEFT_OUT = re.compile(r"recovery stopping before (?:commit|abort) of transaction (\d+), time (\S+ \S+)")
_NEEDS = re.compile(r"^-- needs: (.+)$", re.MULTILINE)
_CORRUPT = 2  # pg_amcheck's exit code for damage that it found


def paused(connection: Connection, server: PrivateServer) -> Pause | None:
    """How replay ended, once it has paused at its target; None before."""
    log = server.log()  # before the question: what it says of the end is true of the answer then
    in_recovery, replayed, last_end = row(
        connection, "SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn()::text, pg_last_xact_replay_timestamp()"
    )
    if in_recovery and "pausing at the end of recovery" not in log:
        return None
    left_out = _LEFT_OUT.search(log)
    return Pause(
        replayed_to=LSN.parse(replayed),
        last_end=last_end,
        promoted=not in_recovery,
        left_out_xid=int(left_out[1]) if left_out else None,
        left_out_time=datetime.fromisoformat(left_out[2]).astimezone(UTC) if left_out else None,
    )


def commit_time(connection: Connection, xid: int) -> datetime | None:
    """When the server says that a transaction of late committed; None where it did not."""
    (time,) = row(connection, "SELECT pg_xact_commit_timestamp(%s::text::xid)", str(xid))
    return time.astimezone(UTC) if time else None


def beats(connection: Connection) -> Beats | None:
    """The heartbeat as it is at this moment; None where there is no row or no table."""
    if row(connection, "SELECT to_regclass('ops.heartbeat')")[0] is None:
        return None
    count, first = row(connection, "SELECT count(*), min(id) FROM ops.heartbeat")
    last = connection.execute(
        "SELECT id, pg_xact_commit_timestamp(xmin), host FROM ops.heartbeat ORDER BY id DESC LIMIT 1"
    ).fetchone()
    return Beats(count, first, Beat(*last)) if last else None


def next_beat(connection: Connection, after: int) -> Beat | None:
    """The row that follows row `after`."""
    found = connection.execute(
        "SELECT id, pg_xact_commit_timestamp(xmin), host FROM ops.heartbeat WHERE id > %s ORDER BY id LIMIT 1", (after,)
    ).fetchone()
    return Beat(*found) if found else None


def databases(server: PrivateServer) -> list[str]:
    """All databases that hold data: not the templates."""
    with closing(server.connect()) as connection:
        found = connection.execute(
            "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname"
        )
        return [name for (name,) in found]


def check_relations(server: PrivateServer, names: Sequence[str]) -> Scan:
    """Every table and B-tree index of the databases by pg_amcheck, each row looked up in each index."""
    faults: list[str] = []
    for name in names:
        with closing(server.connect(name)) as connection:
            if not row(connection, "SELECT count(*) FROM pg_extension WHERE extname = 'amcheck'")[0]:
                faults.append(f"database {name} has no extension amcheck: nothing vouches for its tables")
                continue
        faults += _amcheck(server, name)
    return Scan(f"pg_amcheck, all of {_list(names)}", tuple(faults))


def check_invariants(server: PrivateServer, names: Sequence[str], directory: Path) -> Scan:
    """Every statement of sql/checks/ in every database that it is about.

    A file says with `-- needs: a.b, c.d` which relations have to be there for it to apply. Each row that it
    returns is a violation.
    """
    files = sorted(directory.glob("*.sql"))
    if not files:
        return Scan("", (f"there are no invariants in {directory} (drill.checks_dir in the configuration)",))
    held: list[str] = []
    faults: list[str] = []
    for name in names:
        with closing(server.connect(name)) as connection:
            for file in files:
                text = file.read_text()
                if _applies(connection, text):
                    held.append(f"{file.stem} in {name}")
                    faults += [f"{held[-1]}: {violation}" for violation in _violations(connection, text)]
    return Scan(_list(held) or "none applies to these databases", tuple(faults))


def open_for_writing(server: PrivateServer) -> bool:
    """End recovery, and commit a transaction."""
    with closing(server.connect()) as connection:
        (promoted,) = row(connection, "SELECT pg_promote(wait => true)")
        return bool(promoted) and int(row(connection, "SELECT pg_current_xact_id()::text")[0]) > 0


def _amcheck(server: PrivateServer, name: str) -> list[str]:
    quoted = '"' + name.replace('"', '""') + '"'
    options = {
        "host": server.postgres.socket_dir,
        "port": server.postgres.port,
        "username": server.postgres.user,
        "jobs": min(4, os.cpu_count() or 1),
        "database": quoted,
    }
    arguments = [f"--{key}={value}" for key, value in options.items()]
    result = run([server.postgres.bin_dir / "pg_amcheck", "--heapallindexed", "--no-password", *arguments])
    if not result.returncode:
        return []
    lines = (result.stdout if result.returncode == _CORRUPT else result.stderr).splitlines()
    said = " ".join(line.strip() for line in lines[:2]) or f"pg_amcheck ended with exit code {result.returncode}"
    return [f"{name}: {said}"]


def _applies(connection: Connection, text: str) -> bool:
    needs = _NEEDS.search(text)
    names = [name.strip() for name in needs[1].split(",")] if needs else []
    return all(row(connection, "SELECT to_regclass(%s)", name)[0] is not None for name in names)


def _violations(connection: Connection, text: str) -> list[str]:
    try:
        rows = connection.execute(text.encode()).fetchall()
    except psycopg.Error as error:
        return [f"could not be asked: {str(error).splitlines()[0]}"]
    found = [", ".join(map(str, each)) for each in rows[:1]]
    return [f"{found[0]}{f' (and {len(rows) - 1} more)' if len(rows) > 1 else ''}"] if found else []


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
