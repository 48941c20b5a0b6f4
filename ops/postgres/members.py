"""The servers of all members, as one of them sees them: over TLS, as `rewind`, with its own certificate for that user.

It is the only user that every member knows and that has no password. It may read settings and statistics of the
cluster (sql/ops/0003-rewind-monitors.sql), and no table of anybody.
"""

from __future__ import annotations

import subprocess
from contextlib import ExitStack, suppress
from typing import Any

import psycopg

from ops.config import Config
from ops.errors import Unreachable
from ops.model.rolling import Node, Reason
from ops.model.settings import Setting, lowers, written
from ops.postgres.connect import Connection, row
from ops.postgres.patroni import Member, Patroni

USER = "rewind"
LAG_LIMIT = 16 * 1024 * 1024  # bytes; nothing is restarted while a replica is further behind
_SYNCHRONOUS = ("sync_standby", "quorum_standby")

# A setting that takes a restart, as it is and as the files have it. One by ALTER SYSTEM is nobody's declaration.
_SETTINGS = """
    SELECT s.name, s.setting, s.unit, s.vartype, s.context, s.pending_restart, f.setting, f.sourcefile
    FROM pg_settings s LEFT JOIN LATERAL (
        SELECT setting, sourcefile FROM pg_file_settings WHERE name = s.name ORDER BY seqno DESC LIMIT 1
    ) f ON true
    WHERE s.context = 'postmaster'
"""


def connect(config: Config, member: Member, *, timeout: int = 5) -> Connection:
    """A connection to the server of `member`; Unreachable where it does not let us in."""
    assert config.patroni
    try:
        return psycopg.connect(
            host=member.host,
            port=member.port,
            user=USER,
            dbname="postgres",
            sslmode="verify-full",
            sslrootcert=str(config.patroni.ca_file),
            sslcert=str(config.patroni.cert_file.with_name(f"{USER}.crt")),
            sslkey=str(config.patroni.key_file.with_name(f"{USER}.key")),
            application_name="ops",
            connect_timeout=timeout,
            autocommit=True,
        )
    except psycopg.OperationalError as error:
        raise Unreachable(
            f"the PostgreSQL server of {member.name} does not let us in",
            detail=str(error).strip(),
            hint=f"Look there: systemctl status patroni; journalctl -u patroni (on {member.name})",
        ) from error


def look(config: Config, patroni: Patroni) -> list[Node]:
    """Every member as it is just now. Unreachable where a server ends our connection or refuses a question."""
    found, dynamic = patroni.members(), patroni.configuration()
    try:
        with ExitStack() as stack:
            connections: dict[str, Connection] = {}
            for member in found:
                with suppress(Unreachable):
                    connections[member.name] = stack.enter_context(connect(config, member))
            behind: dict[str, int] = {}
            for member in found:
                if member.is_leader and member.name in connections:
                    behind = _behind(connections[member.name])
            programs = installed(config)
            return [
                _node(member, connections[member.name], dynamic, programs, behind=behind.get(member.name))
                if member.name in connections and member.is_healthy
                else Node(member.name, member.is_leader, trouble=f"is {member.state or 'away'}")
                for member in found
            ]
    except psycopg.Error as error:
        raise Unreachable(
            "a server did not answer",
            detail=str(error).strip(),
            hint="Where a permission is missing: ops cluster apply (on the leader) grants it.",
        ) from error


def _node(
    member: Member, connection: Connection, dynamic: dict[str, Any], programs: str, *, behind: int | None
) -> Node:
    reasons, trouble = _reasons(connection, member, dynamic.get("postgresql", {}).get("parameters", {}))
    running = str(row(connection, "SHOW server_version")[0])
    if running != programs:
        reasons.add(Reason(f"PostgreSQL {_short(running)} → {_short(programs)}"))
    if not member.is_leader:
        if behind is None:
            trouble = "does not stream from the primary"
        elif behind > LAG_LIMIT:
            trouble = f"is {behind // 1024**2} MiB behind"
        elif dynamic.get("synchronous_mode") == "quorum" and member.role not in _SYNCHRONOUS and not member.nosync:
            trouble = "does not count for the quorum yet"
    return Node(
        member.name,
        member.is_leader,
        trouble=trouble,
        may_lead=not member.nofailover and (member.role in _SYNCHRONOUS or not dynamic.get("synchronous_mode")),
        reasons=frozenset(reasons),
    )


def _reasons(connection: Connection, member: Member, parameters: dict[str, Any]) -> tuple[set[Reason], str]:
    """Why this member is to be restarted; and the trouble that it would be too early, in words."""
    declared = {name.lower(): written(value) for name, value in parameters.items()}
    reasons, trouble = set(), ""
    for name, value, unit, kind, context, pending, in_file, source in connection.execute(_SETTINGS).fetchall():
        wanted = declared.get(name.lower())
        by_hand = str(source).endswith("postgresql.auto.conf")
        if wanted is not None:
            if Setting(name, value, unit, kind, context).is_set_to(wanted):
                continue
            reason = Reason(f"{name} {value} → {wanted}", lowers(name, value, wanted))
            if not pending and (member.is_leader or not reason.primary_first):
                trouble = f"has not taken up {name} = {wanted}" + (f", {source} says {in_file}" if by_hand else "")
            reasons.add(reason)
        elif pending and not by_hand:
            reasons.add(Reason(f"{name} {value} → {in_file or 'its default'}"))
    return reasons, trouble


def _behind(leader: Connection) -> dict[str, int]:
    """Member -> how many bytes it is behind, of those that stream."""
    rows = leader.execute(
        "SELECT application_name, pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint"
        " FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn IS NOT NULL"
    )
    return dict(rows.fetchall())


def installed(config: Config) -> str:
    """The version of the programs on this host, as a server that they run would say it."""
    command = [str(config.postgres.bin_dir / "postgres"), "--version"]
    answer: str = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return answer.strip().partition(") ")[2]


def _short(version: str) -> str:
    return version.partition(" ")[0]
