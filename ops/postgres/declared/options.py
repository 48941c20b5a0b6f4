"""Settings that a role or a database carries (`ALTER ROLE … SET`, `ALTER DATABASE … SET`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from psycopg import sql

from ops.postgres.connect import Connection
from ops.postgres.declared.model import Change, change

# PostgreSQL keeps these as lists of names (GUC_LIST_QUOTE): given as one string they would become one strange name.
_LISTS = {"search_path", "temp_tablespaces", "session_preload_libraries", "local_preload_libraries"}


def stored(connection: Connection, kind: str) -> dict[str, dict[str, str]]:
    """The settings of every role or every database, by its name. `kind` is ROLE or DATABASE."""
    query = (
        "SELECT rolname, setconfig FROM pg_db_role_setting JOIN pg_roles ON oid = setrole WHERE setdatabase = 0"
        if kind == "ROLE"
        else "SELECT datname, setconfig FROM pg_db_role_setting JOIN pg_database ON oid = setdatabase WHERE setrole = 0"
    )
    return {name: dict(item.split("=", 1) for item in items) for name, items in connection.execute(query).fetchall()}


def changes(
    connection: Connection, kind: str, name: str, wanted: Mapping[str, str], present: Mapping[str, str]
) -> Iterator[Change]:
    """What is declared is all that the role or database carries: a setting by hand is taken away."""
    owner = sql.SQL("ALTER {} {} ").format(sql.SQL(kind), sql.Identifier(name))
    label = f"{kind.lower()} {name}"
    for setting, value in wanted.items():
        if _same(setting, value, present.get(setting)):
            continue
        old = present.get(setting, "(unset)")
        statement = owner + sql.SQL("SET {} TO {}").format(_name(setting), _value(setting, value))
        yield change(connection, f"{label}: {setting} {old} → {value}", statement)
    for setting in sorted(present.keys() - wanted.keys()):
        statement = owner + sql.SQL("RESET {}").format(_name(setting))
        yield change(connection, f"{label}: {setting} {present[setting]} → (unset)", statement)


def _name(setting: str) -> sql.Composable:
    return sql.Identifier(*setting.split("."))


def _value(setting: str, value: str) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Literal, _names(value))) if setting in _LISTS else sql.Literal(value)


def _same(setting: str, wanted: str, present: str | None) -> bool:
    if present is None or setting not in _LISTS:
        return wanted == present
    return _names(wanted) == _names(present)


def _names(value: str) -> list[str]:
    return [name.strip().strip('"') for name in value.split(",")]
