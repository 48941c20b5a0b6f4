"""Where the server on this host differs from what is declared, beyond what `ops cluster apply --check` finds.

Nothing is changed. Settings, programs and libraries are looked at on every member; what replication makes the same
everywhere (roles, databases, their settings) on the one that leads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg

from ops.config import Config
from ops.errors import Unreachable
from ops.model.settings import Setting, written
from ops.postgres import declared, members
from ops.postgres.connect import Connection, connect, row
from ops.postgres.declared import Declared
from ops.postgres.patroni import Patroni

RESTART = "ops cluster restart"


@dataclass(frozen=True)
class Drifted:
    """One difference, and the command that mends it."""

    what: str
    mend: str


def drift(config: Config, patroni: Patroni, wanted: Declared) -> list[Drifted]:
    """Every difference of this member; Unreachable where the server does not answer."""
    try:
        with connect(config.postgres) as connection:
            found = [*_altered(connection), *_settings(connection, wanted), *_programs(config, connection)]
            if row(connection, "SELECT pg_is_in_recovery()")[0]:
                return found + list(_libraries(config, wanted))
            return [*found, *_carried(connection, wanted), *_superusers(connection, wanted), *_kept(config, wanted),
                    *_paused(patroni)]  # fmt: skip
    except psycopg.Error as error:
        raise Unreachable("the server on this host did not answer", detail=str(error).strip()) from error


def _altered(connection: Connection) -> Iterator[Drifted]:
    """Settings by ALTER SYSTEM win over Patroni's, and no inventory says them."""
    rows = connection.execute(
        "SELECT name, setting FROM pg_file_settings WHERE sourcefile LIKE '%/postgresql.auto.conf' ORDER BY name"
    )
    for name, value in rows.fetchall():
        yield Drifted(f"{name} = {value} by ALTER SYSTEM", f"ALTER SYSTEM RESET {name}; SELECT pg_reload_conf()")


def _settings(connection: Connection, wanted: Declared) -> Iterator[Drifted]:
    parameters = wanted.patroni.get("postgresql", {}).get("parameters", {})
    rows = connection.execute(
        "SELECT current_setting(name), pending_restart, name, setting, unit, vartype, context FROM pg_settings"
        " WHERE sourcefile IS NULL OR sourcefile NOT LIKE '%/postgresql.auto.conf'"  # those are told above
    ).fetchall()
    live = {found[2].lower(): (found[0], found[1], Setting(*found[2:])) for found in rows}
    for name, value in parameters.items():
        if name.lower() not in live:
            continue  # of an extension that is not loaded in this session
        shown, pending, setting = live.pop(name.lower())
        if not setting.is_set_to(value):
            mend = RESTART if setting.context == "postmaster" else "ops cluster apply, on the leader"
            yield Drifted(f"{name} is {shown}, and {written(value)} is declared", mend)
        elif pending:
            yield Drifted(f"{name} would be another after a restart", "ALTER SYSTEM RESET, or see pg_file_settings")
    for _, pending, setting in live.values():
        if pending:
            yield Drifted(f"{setting.name} waits for a restart", RESTART)


def _programs(config: Config, connection: Connection) -> Iterator[Drifted]:
    running, installed = str(row(connection, "SHOW server_version")[0]), members.installed(config)
    if running != installed:
        yield Drifted(f"PostgreSQL {running} runs, and {installed} is installed", RESTART)


def _libraries(config: Config, wanted: Declared) -> Iterator[Drifted]:
    """On a replica: a library of another version than the database needs, should this member lead."""
    for database, extensions in _extensions(wanted).items():
        with connect(config.postgres, dbname=database) as inside:
            rows = inside.execute(
                "SELECT extname, extversion, default_version FROM pg_extension"
                " LEFT JOIN pg_available_extensions ON name = extname"
                " WHERE default_version IS DISTINCT FROM extversion AND extname = ANY (%s)",
                [extensions],
            )
            for name, needed, has in rows.fetchall():
                what = f"extension {name} in {database} is {needed}, and this member has {has or 'no library of it'}"
                yield Drifted(what, "deploy: every member gets the same packages")


def _extensions(wanted: Declared) -> dict[str, list[str]]:
    return {"postgres": wanted.platform_extensions} | {
        name: database.extensions for name, database in wanted.databases.items()
    }


def _carried(connection: Connection, wanted: Declared) -> Iterator[Drifted]:
    """Settings of roles and databases that no declaration can have given them."""
    rows = connection.execute(
        "SELECT coalesce(rolname, ''), coalesce(datname, ''), setconfig FROM pg_db_role_setting"
        " LEFT JOIN pg_roles r ON r.oid = setrole LEFT JOIN pg_database d ON d.oid = setdatabase ORDER BY 1, 2"
    )
    for role, database, items in rows.fetchall():
        if (role in wanted.roles and not database) or (database in wanted.databases and not role):
            continue  # `apply --check` compares these
        owner = " in ".join(filter(None, (f"role {role}" if role else "", f"database {database}" if database else "")))
        place = " IN ".join(filter(None, (f"ROLE {role}" if role else "", f"DATABASE {database}" if database else "")))
        for item in items:
            yield Drifted(f"{owner} carries {item}", f"ALTER {place} RESET {item.partition('=')[0]}")


def _superusers(connection: Connection, wanted: Declared) -> Iterator[Drifted]:
    """All but the one that made the cluster, and those that `apply --check` compares."""
    rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolsuper AND oid <> 10 ORDER BY 1").fetchall()
    for (name,) in rows:
        if name not in wanted.roles:
            yield Drifted(f"role {name} is a superuser, and not declared", f"ALTER ROLE {name} NOSUPERUSER")


def _kept(config: Config, wanted: Declared) -> Iterator[Drifted]:
    for what in declared.undeclared(wanted, config.postgres):
        yield Drifted(f"{what} is no longer declared", f"ops cluster apply --allow-drop {what.split()[1]}")


def _paused(patroni: Patroni) -> Iterator[Drifted]:
    if patroni.is_paused():
        yield Drifted("Patroni is paused: nobody takes over from a primary that dies", "patronictl resume")
