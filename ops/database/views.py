"""Materialized views, refreshed beside those who read them. How old each is stands in ops.view_refresh, for metrics."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
from psycopg import sql

from ops.database.target import Target
from ops.errors import OpsError, UsageError
from ops.model.views import View, due
from ops.postgres.connect import Connection

_LOCK = "2s"  # another refresh of the same view may be at work: then it is fresh enough


@dataclass(frozen=True)
class Refreshed:
    """A view that was refreshed, and how many seconds that took."""

    name: str
    seconds: float


def views(connection: Connection) -> list[View]:
    """Every view that is kept fresh; OpsError where the database has none."""
    try:
        rows = connection.execute("SELECT view_name, every, refreshed_at FROM ops.view_refresh ORDER BY 1").fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        raise OpsError("this database has no views that are refreshed", hint="ops db migrate makes them.") from error
    return [View(*row) for row in rows]


def refresh(target: Target, names: Collection[str] = (), *, only_due: bool = False) -> list[Refreshed]:
    """Refresh the views of these names, by default all of them; with `only_due` those that are too old.

    UsageError for a name that is none; OpsError where a view cannot be refreshed: the ones before it are.
    """
    with target.connect() as connection:
        known = views(connection)
        if unknown := sorted(set(names) - {view.name for view in known}):
            raise UsageError(
                f"there is no materialized view {unknown[0]!r}",
                detail=f"There are: {', '.join(v.name for v in known)}.",
            )
        chosen = [view for view in known if not names or view.name in names]
        if only_due:
            chosen = due(chosen, datetime.now(UTC))
        return [_refresh(connection, view) for view in chosen]


def _refresh(connection: Connection, view: View) -> Refreshed:
    start = time.monotonic()
    try:
        with connection.transaction():
            connection.execute("SELECT set_config('lock_timeout', %s, true)", [_LOCK])
            statement = sql.SQL("REFRESH MATERIALIZED VIEW CONCURRENTLY public.{}").format(sql.Identifier(view.name))
            connection.execute(statement)
            seconds = time.monotonic() - start
            # now() is when the transaction began: the view shows nothing that is younger.
            connection.execute(
                "UPDATE ops.view_refresh SET refreshed_at = now(), seconds = %s WHERE view_name = %s",
                [round(seconds, 3), view.name],
            )
    except psycopg.Error as error:
        raise OpsError(
            f"{view.name} was not refreshed: {error.diag.message_primary or str(error).strip()}",
            detail=f"what it shows is as of {view.refreshed_at:%Y-%m-%d %H:%M:%S %Z}",
            hint=error.diag.message_hint,
        ) from error
    return Refreshed(view.name, round(seconds, 3))
