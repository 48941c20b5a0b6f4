"""Roles: what they may do, their passwords, what they are members of, and the settings that they carry."""

from __future__ import annotations

import os
from collections.abc import Iterator

from psycopg import sql

from ops.errors import UsageError
from ops.model import scram
from ops.postgres.connect import Connection
from ops.postgres.declared import options
from ops.postgres.declared.model import Change, Declared, Difference, Role, change, execute

# Attribute in SQL -> column of pg_authid. Those that cannot be declared are off for every role of ours.
_ATTRIBUTES = {
    "LOGIN": "rolcanlogin",
    "CREATEDB": "rolcreatedb",
    "SUPERUSER": "rolsuper",
    "CREATEROLE": "rolcreaterole",
    "REPLICATION": "rolreplication",
    "BYPASSRLS": "rolbypassrls",
    "INHERIT": "rolinherit",
}


def changes(connection: Connection, declared: Declared) -> Iterator[Change]:
    """Every difference between the declared roles and those of the server."""
    columns = sql.SQL(", ").join(map(sql.Identifier, _ATTRIBUTES.values()))
    rows = connection.execute(
        sql.SQL("SELECT rolname, rolpassword, rolconnlimit, {} FROM pg_authid").format(columns)
    ).fetchall()
    present = {name: (password, limit, dict(zip(_ATTRIBUTES, flags, strict=True)))
               for name, password, limit, *flags in rows}  # fmt: skip
    for name, role in declared.roles.items():
        password, limit, flags = present.get(name, (None, -1, {}))
        yield from _attributes(connection, name, role, limit, flags)
        yield from _password(connection, name, role, password)
    yield from _memberships(connection, declared)
    carried = options.stored(connection, "ROLE")
    for name, role in declared.roles.items():
        yield from options.changes(connection, "ROLE", name, role.settings, carried.get(name, {}))


def _attributes(connection: Connection, name: str, role: Role, limit: int, flags: dict[str, bool]) -> Iterator[Change]:
    wanted = dict.fromkeys(_ATTRIBUTES, False) | {"LOGIN": role.login, "CREATEDB": role.createdb, "INHERIT": True}
    differs = [
        f"{attribute.lower()} {_switch(flags[attribute])} → {_switch(value)}"
        for attribute, value in wanted.items()
        if flags and flags[attribute] != value
    ]
    if limit != role.connection_limit and flags:
        differs.append(f"connection limit {limit} → {role.connection_limit}")
    if flags and not differs:
        return
    statement = sql.SQL("{} ROLE {} {} CONNECTION LIMIT {}").format(
        sql.SQL("ALTER" if flags else "CREATE"),
        sql.Identifier(name),
        sql.SQL(" ").join(sql.SQL(attribute if value else f"NO{attribute}") for attribute, value in wanted.items()),
        sql.Literal(role.connection_limit),
    )
    yield change(connection, f"role {name}: {', '.join(differs) or 'new'}", statement)


def _switch(value: bool) -> str:
    return "on" if value else "off"


def _password(connection: Connection, name: str, role: Role, stored: str | None) -> Iterator[Change]:
    file = role.password_file
    if file is None:
        return
    # A plan may be made before the deploy has written the file: then the password is pending, whatever it is.
    if file.exists() and scram.matches(file.read_text().strip(), stored):
        return

    def make() -> None:
        if not file.exists():
            raise UsageError(f"there is no {file}", hint="The deploy writes it.")
        # The server is given the verifier: the password itself appears in no statement, so in no log.
        verifier = scram.verifier(file.read_text().strip(), os.urandom(16))
        statement = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(name), sql.Literal(verifier))
        execute(connection, statement)

    yield Change((Difference(f"password of role {name}"),), make)


def _memberships(connection: Connection, declared: Declared) -> Iterator[Change]:
    """What a declared role is a member of is what is declared: a right that was taken out of the inventory goes."""
    rows = connection.execute(
        "SELECT m.rolname, g.rolname FROM pg_auth_members"
        " JOIN pg_roles g ON g.oid = roleid JOIN pg_roles m ON m.oid = member"
    ).fetchall()
    for name, role in declared.roles.items():
        present, wanted = {group for member, group in rows if member == name}, set(role.member_of)
        for group in sorted(wanted - present):
            statement = sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(name))
            yield change(connection, f"role {name} in {group}", statement)
        for group in sorted(present - wanted):
            statement = sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(group), sql.Identifier(name))
            yield change(connection, f"role {name} no longer in {group}", statement)
