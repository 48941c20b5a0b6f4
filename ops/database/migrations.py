"""Migrations of one database: plain ordered SQL, read and remembered by yoyo, applied by us.

By us, because yoyo applies a file in one session and remembers it in another: a run that is killed in between would
apply the file twice. Here both are one transaction, under one lock that dies with the session, and with timeouts that
keep a migration from standing in a queue of locks with everybody else behind it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from ops.database.target import Target, alone
from ops.errors import OpsError, UsageError
from ops.model.migrations import ROLLBACK, Applied, File, Standing, digest, refusals, standings
from ops.postgres.connect import Connection

if TYPE_CHECKING:
    from yoyo.backends import DatabaseBackend
    from yoyo.migrations import Migration

_KEPT = re.compile(r"^-- no rollback: (.+)$", re.MULTILINE)
# The digest of a file is kept as the comment of yoyo's log of its last application.
_APPLIED = """
    SELECT m.migration_id, coalesce(l.comment, ''), m.applied_at_utc
    FROM public._yoyo_migration AS m LEFT JOIN LATERAL (
        SELECT comment FROM public._yoyo_log
        WHERE migration_id = m.migration_id AND operation = 'apply' ORDER BY created_at_utc DESC LIMIT 1
    ) AS l ON true
"""
_WAITED_FOR = """
    SELECT pid, usename, application_name, now() - xact_start FROM pg_stat_activity
    WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
    ORDER BY xact_start LIMIT 3
"""


@dataclass(frozen=True)
class Patience:
    """How a migration waits, in seconds. Others queue behind it no longer than `lock`; then it steps back and tries
    again, until `total` has gone by. No statement of it takes longer than `statement`."""

    lock: float = 0.5
    statement: float = 600
    total: float = 120


def files(folder: Path) -> list[File]:
    """The migrations of a folder, in order; UsageError where there is none, or where they cannot be read."""
    try:
        found = sorted(file for file in _entries(folder) if not file.name.endswith(ROLLBACK))
        migrations = [_file(path) for path in found]
    except OSError as error:
        raise UsageError(
            f"the migrations in {folder} cannot be read",
            detail=str(error),
            hint="Its files are world-readable where the deploy puts them: see who may read it, and ls -ld above it.",
        ) from error
    if not found:
        raise UsageError(
            f"there are no migrations in {folder}", hint="The deploy copies sql/ there; --folder names another."
        )
    return migrations


def _entries(folder: Path) -> list[Path]:
    """Its SQL files. A glob would take what may not be read for empty."""
    return [path for path in folder.iterdir() if path.suffix == ".sql"] if folder.exists() else []


def _file(path: Path) -> File:
    text = path.read_text()
    kept = ""
    if not path.with_name(path.stem + ROLLBACK).exists():
        reason = _KEPT.search(text)
        kept = reason[1] if reason else f"there is no {path.stem}{ROLLBACK}"
    return File(path.stem, digest(text), kept)


def status(target: Target) -> list[Standing]:
    """Every migration of the folder or the database, in order. Reads only, so that it can be asked of a replica."""
    with target.connect() as connection:
        return standings(files(target.folder), _applied(connection))


def pending(target: Target, declared: Sequence[File]) -> list[str]:
    """What `migrate` would apply of what is `declared`: all of it where there is no such database yet.

    Reads only. OpsError where what was applied is not what is declared.
    """
    if not target.exists():
        return [file.name for file in declared]
    with target.connect() as connection:
        found = standings(declared, _applied(connection))
    _refuse(found)
    return [one.name for one in found if one.state == "pending"]


def _applied(connection: Connection) -> list[Applied]:
    found = connection.execute("SELECT to_regclass('public._yoyo_migration') IS NOT NULL").fetchone()
    if found != (True,):
        return []
    rows = connection.execute(_APPLIED).fetchall()
    return [Applied(name, digest, at.replace(tzinfo=UTC)) for name, digest, at in rows]


def migrate(target: Target, patience: Patience, say: Callable[[str], None], *, upto: str | None = None) -> list[str]:
    """Apply what is pending (as far as `upto`), each file in a transaction of its own; their names.

    OpsError where what was applied is not what is in the folder, where a lock is not to be had, or where the server
    refuses a statement: then nothing of that file was done.
    """
    with target.connect() as connection, alone(connection, "migrate"):
        found = standings(files(target.folder), _applied(connection))
        _refuse(found)
        pending = [one.name for one in found if one.state == "pending" and one.name <= (upto or one.name)]
        if pending:
            with _yoyo(target) as (backend, migrations):
                for name in pending:
                    _retried(backend, patience, say, migrations[name], _apply)
                    say(f"applied {name}")
    return pending


def rollback(target: Target, patience: Patience, say: Callable[[str], None]) -> str:
    """Undo the last migration; its name. OpsError with the reason where it cannot be undone, or nothing is applied."""
    with target.connect() as connection, alone(connection, "rollback"):
        known = files(target.folder)
        found = standings(known, _applied(connection))
        _refuse(found)
        last = max((one.name for one in found if one.state == "applied"), default=None)
        if last is None:
            raise OpsError("nothing was applied, so there is nothing to undo")
        kept = next(file.kept for file in known if file.name == last)
        if kept:
            raise OpsError(f"{last} cannot be undone", detail=kept, hint="Write a migration that goes forward.")
        with _yoyo(target) as (backend, migrations):
            _retried(backend, patience, say, migrations[last], _undo)
    return last


def _refuse(found: list[Standing]) -> None:
    if why := refusals(found):
        raise OpsError(
            "the database and the folder do not agree",
            detail="\n".join(why),
            hint="A migration that was applied stays as it is. Bring its file back, and put changes into a new one.",
        )


@contextmanager
def _yoyo(target: Target) -> Iterator[tuple[DatabaseBackend, dict[str, Migration]]]:
    """yoyo's own connection, its tables made, and the migrations by name."""
    from yoyo import get_backend, read_migrations  # noqa: PLC0415 - most runs find nothing to apply

    backend = get_backend(target.uri.replace("postgresql://", "postgresql+psycopg://", 1))
    with closing(backend.connection):
        backend.ensure_internal_schema_updated()
        yield backend, {one.id: one for one in read_migrations(str(target.folder))}


def _retried(
    backend: DatabaseBackend,
    patience: Patience,
    say: Callable[[str], None],
    migration: Migration,
    act: Callable[[DatabaseBackend, Migration], None],
) -> None:
    """Act, stepping back from locks that are not to be had at once."""
    deadline, pause = time.monotonic() + patience.total, patience.lock
    migration.load()
    _check_concurrent(migration)
    # Outside of a transaction an index is built beside everybody's work: it waits for old transactions, nobody for it.
    lock = patience.lock if migration.use_transactions else 0
    while True:
        _settings(backend, lock_timeout=lock, statement_timeout=patience.statement if lock else 0)
        try:
            act(backend, migration)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            held = _waited_for(backend)
            if time.monotonic() + pause > deadline:
                raise OpsError(
                    f"{migration.id}: a lock was not to be had within {patience.total:.0f} s; nothing of it was done",
                    detail=held,
                    hint="End what holds it, or wait until it has ended, and run this again.",
                ) from error
            say(f"{migration.id}: steps back from a lock, tries again in {pause:.1f} s  ({held})")
            time.sleep(pause)
            pause = min(2 * pause, 10)
        except psycopg.Error as error:
            raise _refused(migration, error) from error
        else:
            return


def _apply(backend: DatabaseBackend, migration: Migration) -> None:
    text = Path(migration.path).read_text()
    with _one_transaction(backend, migration):
        migration.process_steps(backend, "apply")
        _as_ourselves(backend)
        backend.mark_one(migration, log=False)
        backend.log_migration(migration, "apply")
        backend.connection.execute(
            "UPDATE public._yoyo_log SET comment = %s WHERE migration_id = %s AND comment IS NULL",
            [digest(text), migration.id],
        )


def _undo(backend: DatabaseBackend, migration: Migration) -> None:
    with _one_transaction(backend, migration):
        migration.process_steps(backend, "rollback")
        _as_ourselves(backend)
        backend.unmark_one(migration, log=False)
        backend.log_migration(migration, "rollback")
        backend.connection.execute(
            "UPDATE public._yoyo_log SET comment = '' WHERE migration_id = %s AND comment IS NULL", [migration.id]
        )


@contextmanager
def _one_transaction(backend: DatabaseBackend, migration: Migration) -> Iterator[None]:
    """The file and the memory of it together; apart only where the file must be outside of a transaction."""
    if migration.use_transactions:
        with backend.transaction():
            yield
    else:
        yield


def _as_ourselves(backend: DatabaseBackend) -> None:
    """A migration may have gone on as another role; yoyo's tables are ours."""
    backend.connection.execute("RESET ROLE")


def _settings(backend: DatabaseBackend, **seconds: float) -> None:
    for name, value in seconds.items():
        backend.connection.execute("SELECT set_config(%s, %s, false)", [name, f"{int(value * 1000)}ms"])


def _check_concurrent(migration: Migration) -> None:
    """Without a transaction there are no timeouts either: for what runs beside everybody's work alone."""
    if migration.use_transactions:
        return
    statements: list[Any] = [step.step._apply for step in migration.steps]
    for text in statements:
        if "CONCURRENTLY" not in str(text).upper():
            raise UsageError(
                f"{migration.id} is not transactional, and holds more than CONCURRENTLY",
                detail=str(text).strip().splitlines()[0],
                hint="Put that into a migration of its own.",
            )


def _waited_for(backend: DatabaseBackend) -> str:
    rows = backend.connection.execute(_WAITED_FOR).fetchall()
    oldest = [f"{user or 'a process'} ({name or 'no name'}, pid {pid}) for {age}" for pid, user, name, age in rows]
    return f"oldest transactions: {'; '.join(oldest)}" if oldest else "no other transaction is open now"


def _refused(migration: Migration, error: psycopg.Error) -> OpsError:
    diagnosis = error.diag
    undone = "nothing of it was done" if migration.use_transactions else "what came before the statement is done"
    return OpsError(
        f"{migration.id}: the server refused it: {diagnosis.message_primary or str(error).strip()}",
        detail="\n".join(filter(None, (diagnosis.message_detail, diagnosis.context, undone))),
        hint=diagnosis.message_hint,
    )
