"""The audit trail of a database, read and judged (ops/model/audit.py).

What a record's hash covers is put together here and not by audit.payload in the database: who can alter records can
alter functions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from ops.database.target import Target
from ops.errors import OpsError, UsageError
from ops.model.audit import Head, Record, Verdict, verify
from ops.postgres.connect import Connection

# The same text as audit.payload makes, but for chain and position.
_RECORDS: LiteralString = """
    SELECT chain, chain_position, id::text, format('%s of %s %s, %s', action, table_name, record_id, changed_at),
           jsonb_build_array(
               id, table_name, record_id, action, old_values, new_values, changed_by,
               (extract(epoch FROM changed_at) * 1000000)::bigint, ip_address::text, user_agent, user_id, session_role,
               effective_role, transaction_id::text)::text,
           hash
    FROM public.audit_trail ORDER BY chain, chain_position
"""
_GUARDS: LiteralString = """
    SELECT wanted.guard FROM (VALUES
        ('audit_trail_append_only on public.audit_trail', 'public.audit_trail', 'audit_trail_append_only'),
        ('head_stays on audit.head', 'audit.head', 'head_stays')
    ) AS wanted (guard, relation, trigger)
    WHERE NOT EXISTS (
        SELECT FROM pg_trigger WHERE tgrelid = to_regclass(relation) AND tgname = trigger AND tgenabled = 'A'
    )
    UNION ALL
    SELECT format('%I on %s', tgname, tgrelid::regclass) FROM pg_trigger
    WHERE tgfoid = to_regprocedure('audit.record()') AND tgenabled <> 'A'
    UNION ALL
    SELECT format('one of four on %s', tgrelid::regclass) FROM pg_trigger
    WHERE tgfoid = to_regprocedure('audit.record()') GROUP BY tgrelid HAVING count(*) < 4
    ORDER BY 1
"""
_BATCH = 2000


def judge(target: Target, anchors: Mapping[int, Head] | None = None) -> Verdict:
    """Read the whole trail at one moment, and judge it, by `anchors` too. OpsError where there is no trail."""
    with target.connect() as connection, _at_one_moment(connection):
        return judged(connection, anchors or {})


def judged(connection: Connection, anchors: Mapping[int, Head]) -> Verdict:
    """The same in a transaction that is open."""
    return verify(_records(connection), _heads(connection), anchors)


def open_guards(target: Target) -> list[str]:
    """Triggers that keep the trail, and are missing or switched off: what was changed meanwhile is not in it."""
    with target.connect() as connection:
        connection.execute("SELECT set_config('search_path', '', false)")  # so that names are written out
        return [guard for (guard,) in connection.execute(_GUARDS).fetchall()]


def anchor(target: Target) -> dict[str, Any]:
    """The heads of all chains now: kept elsewhere, they show whether the end of a chain was cut off, or it was written
    anew."""
    with target.connect() as connection, _at_one_moment(connection):
        heads = [head for head in _heads(connection).values() if head.position]
    chains = [{"chain": head.chain, "position": head.position, "hash": head.hash.hex()} for head in heads]
    return {
        "database": target.database,
        "at": datetime.now(UTC).isoformat(),
        "records": sum(head.position for head in heads),
        "digest": sha256(json.dumps(chains, sort_keys=True).encode()).hexdigest(),
        "chains": chains,
    }


def read_anchor(path: Path, database: str) -> dict[int, Head]:
    """The heads by an anchor in a file, chain by chain; UsageError where it is none, or another database's."""
    try:
        return anchored(json.loads(path.read_text()), database)
    except OSError as error:
        raise UsageError(f"may not read {path}", detail=error.strerror) from error
    except ValueError as error:
        raise UsageError(
            f"{path} is no anchor of the audit trail of {database}, or is damaged",
            detail=str(error),
            hint="ops audit anchor --json makes one.",
        ) from error


def anchored(document: Any, database: str) -> dict[int, Head]:
    """The heads that `anchor` has said; ValueError where it has not said this, or not of this database."""
    try:
        heads = [Head(one["chain"], one["position"], bytes.fromhex(one["hash"])) for one in document["chains"]]
        digest = sha256(json.dumps(document["chains"], sort_keys=True).encode()).hexdigest()
        if document["database"] != database:
            raise ValueError(f"it is of {document['database']}")
        if digest != document["digest"]:
            raise ValueError("its digest is not that of its chains")
    except (KeyError, TypeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return {head.chain: head for head in heads}


def _at_one_moment(connection: Connection) -> AbstractContextManager[psycopg.Transaction]:
    """A transaction that sees records and heads as of one moment, while others go on adding to them."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    return connection.transaction()


def _records(connection: Connection) -> Iterator[Record]:
    # A cursor on the server: a trail of years is longer than memory.
    with connection.cursor(name="trail") as cursor:
        cursor.itersize = _BATCH
        cursor.execute(_RECORDS)
        for chain, position, key, about, rest, digest in cursor:
            yield Record(chain, position, key, about, rest, digest)


def _heads(connection: Connection) -> dict[int, Head]:
    try:
        rows = connection.execute("SELECT chain, chain_position, hash FROM audit.head ORDER BY chain").fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        raise OpsError("this database has no audit trail", hint="ops db migrate makes it.") from error
    return {chain: Head(chain, position, digest) for chain, position, digest in rows}
