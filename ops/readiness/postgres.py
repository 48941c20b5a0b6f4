"""Each member's PostgreSQL, asked over TLS as `monitor`: it may read statistics and settings, and no table."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

import psycopg
from psycopg.rows import dict_row

from ops.errors import Unreachable
from ops.fleet import Cluster, Identity, Member
from ops.model.failover_checks.servers import AT_LEAST, EQUAL
from ops.model.readiness import Slot
from ops.postgres.connect import Connection, row
from ops.readiness.ask import LAST

USER = "monitor"

# Columns are fields of Reading. A replica's timeline: what it receives, else what it has last begun from.
_STATE = """
    SELECT r.in_recovery,
           NOT r.in_recovery AND NOT current_setting('transaction_read_only')::bool AS writable,
           CASE WHEN r.in_recovery THEN coalesce(w.received_tli, c.timeline_id)
                ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END AS timeline,
           (CASE WHEN r.in_recovery THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END
               - '0/0'::pg_lsn)::bigint AS lsn,
           (pg_last_wal_receive_lsn() - '0/0'::pg_lsn)::bigint AS received,
           extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 AS replayed_age,
           w.status IS NOT DISTINCT FROM 'streaming' AS streaming,
           current_setting('server_version') AS version,
           s.system_identifier,
           pg_size_bytes(current_setting('wal_segment_size')) AS segment_size
    FROM (SELECT pg_is_in_recovery() AS in_recovery) r, pg_control_checkpoint() c, pg_control_system() s
    LEFT JOIN pg_stat_wal_receiver w ON true
"""
_SETTINGS = """
    SELECT coalesce(json_object_agg(name, setting) FILTER (WHERE name = ANY(%s)), '{}'),
           coalesce(array_agg(name ORDER BY name) FILTER (WHERE pending_restart), '{}')
    FROM pg_settings
"""
_SLOTS = """
    SELECT slot_name, active, (pg_current_wal_lsn() - restart_lsn)::bigint, safe_wal_size, coalesce(wal_status, 'lost')
    FROM pg_replication_slots WHERE restart_lsn IS NOT NULL OR wal_status = 'lost' ORDER BY slot_name
"""
# pg_rewind needs hints or checksums, whole pages in the WAL, and a user who may read files of a running server.
_REWIND = """
    SELECT array_remove(ARRAY[
        CASE WHEN NOT (current_setting('wal_log_hints')::bool OR current_setting('data_checksums')::bool)
             THEN 'neither wal_log_hints nor data checksums are on' END,
        CASE WHEN NOT current_setting('full_page_writes')::bool THEN 'full_page_writes is off' END,
        CASE WHEN NOT EXISTS (
                 SELECT FROM pg_roles WHERE rolname = 'rewind' AND rolcanlogin
                 AND (rolsuper OR (has_function_privilege(oid, 'pg_ls_dir(text,boolean,boolean)', 'EXECUTE')
                               AND has_function_privilege(oid, 'pg_stat_file(text,boolean)', 'EXECUTE')
                               AND has_function_privilege(oid, 'pg_read_binary_file(text)', 'EXECUTE')
                               AND has_function_privilege(
                                   oid, 'pg_read_binary_file(text,bigint,bigint,boolean)', 'EXECUTE'))))
             THEN 'the role rewind may not read its files' END
    ], NULL)
"""
_AVAILABLE = "SELECT name || ' ' || version FROM pg_available_extension_versions"
_USED = "SELECT extname || ' ' || extversion FROM pg_extension WHERE extname <> 'plpgsql'"


@dataclass(frozen=True)
class Reading:
    """What one server tells of itself; see `ops.model.readiness.Server`. `standbys`: name -> sync_state, of those that
    stream from it; `used`: extensions of its databases, on a primary; `available`: those that its disk has."""

    in_recovery: bool
    writable: bool
    timeline: int
    lsn: int
    received: int | None
    replayed_age: float | None
    streaming: bool
    version: str
    system_identifier: int
    segment_size: int
    settings: dict[str, str]
    pending_restart: tuple[str, ...]
    rewind_lacks: tuple[str, ...]
    available: frozenset[str]
    slots: tuple[Slot, ...] = ()
    standbys: dict[str, str] = field(default_factory=dict)
    used: frozenset[str] | None = None


def read(identity: Identity, member: Member, cluster: Cluster) -> Reading:
    """Everything about the server of `member`; Unreachable where it does not let us in, or hangs."""
    with _connected(identity, member, "postgres") as connection:
        state = connection.cursor(row_factory=dict_row).execute(_STATE).fetchone()
        assert state
        settings, pending = row(connection, _SETTINGS, [*AT_LEAST, *EQUAL])
        found = Reading(
            **state,
            settings=settings,
            pending_restart=tuple(pending),
            rewind_lacks=tuple(row(connection, _REWIND)[0]),
            available=frozenset(name for (name,) in connection.execute(_AVAILABLE)),
        )
        if found.in_recovery:
            return found
        slots = tuple(Slot(*slot) for slot in connection.execute(_SLOTS))
        standbys = dict(connection.execute("SELECT application_name, sync_state FROM pg_stat_replication").fetchall())
        used = {name for (name,) in connection.execute(_USED)}
    for database in cluster.databases:
        with _connected(identity, member, database) as connection:
            used |= {name for (name,) in connection.execute(_USED)}
    return replace(found, slots=slots, standbys=standbys, used=frozenset(used))


@contextmanager
def _connected(identity: Identity, member: Member, database: str) -> Iterator[Connection]:
    """A connection that ends by itself. A server that is frozen answers nobody, and no time-out of its own helps: when
    nobody waits any more the socket is closed under whatever does."""
    try:
        connection = psycopg.connect(
            host=member.address,
            port=member.port,
            user=USER,
            dbname=database,
            sslmode="verify-full",
            sslrootcert=str(identity.ca_file),
            sslcert=str(identity.cert_file),
            sslkey=str(identity.key_file),
            application_name="ops failover check",
            connect_timeout=2,  # the least that libpq takes; who asks has given up before
            options=f"-c statement_timeout={LAST * 1000:.0f}",
            autocommit=True,
            prepare_threshold=None,
        )
    except psycopg.OperationalError as error:
        raise Unreachable(_reason(error)) from error
    watchdog = threading.Timer(LAST, _cut, [connection.fileno()])
    watchdog.daemon = True
    watchdog.start()
    try:
        yield connection
    except psycopg.Error as error:
        raise Unreachable(_reason(error)) from error
    finally:
        watchdog.cancel()
        watchdog.join()  # the number of a closed socket is soon another's
        with suppress(psycopg.Error):
            connection.close()


def _reason(error: psycopg.Error) -> str:
    """What libpq, or the server, says; without the address, which whoever is told knows."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rpartition(" failed: ")[2]


def _cut(number: int) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(number)) as found:
        found.shutdown(socket.SHUT_RDWR)
