"""The platform's own SQL in the maintenance database, in order, each file once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from ops.config import Postgres
from ops.postgres.connect import Connection, row
from ops.postgres.declared.model import Change, Difference


def changes(connection: Connection, folder: Path, settings: Postgres) -> Iterator[Change]:
    """The files of `folder` that have not been applied."""
    applied: set[str] = set()
    if row(connection, "SELECT to_regclass('public._yoyo_migration') IS NOT NULL")[0]:
        applied = {name for (name,) in connection.execute("SELECT migration_id FROM public._yoyo_migration")}
    for name in sorted(file.stem for file in folder.glob("*.sql") if not file.name.endswith(".rollback.sql")):
        if name not in applied:
            yield Change((Difference(f"migration {name}"),), partial(_migrate, folder, settings, name))


def _migrate(folder: Path, settings: Postgres, name: str) -> None:
    """Apply one file with yoyo, under its lock. Only looking is our own query: yoyo's look is DDL, in every log."""
    from yoyo import get_backend, read_migrations  # noqa: PLC0415 - a deploy mostly finds nothing to apply

    uri = f"postgresql+psycopg://{settings.user}@/postgres?host={settings.socket_dir}&port={settings.port}"
    backend = get_backend(uri)
    with closing(backend.connection), backend.lock():
        backend.apply_migrations(backend.to_apply(read_migrations(str(folder)).filter(lambda m: m.id == name)))
