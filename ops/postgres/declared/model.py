"""What `/etc/ops/cluster.json` says, and the words for what differs from it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psycopg
from psycopg import sql

from ops.config import Model
from ops.errors import OpsError, UsageError
from ops.model.impact import Impact
from ops.postgres.connect import Connection

PATH = Path("/etc/ops/cluster.json")
STDIN = Path("-")


class Role(Model):
    """A role; `password_file` holds its password where it may log in, `settings` are its own defaults."""

    login: bool
    createdb: bool
    member_of: list[str]
    connection_limit: int
    settings: dict[str, str] = {}
    password_file: Path | None = None


class Database(Model):
    """A database; `settings` are defaults for every session in it."""

    owner: str
    extensions: list[str]
    connection_limit: int = -1
    settings: dict[str, str] = {}


class Declared(Model):
    """The whole declaration, which the deploy writes on every member."""

    patroni: dict[str, Any]
    roles: dict[str, Role]
    databases: dict[str, Database]
    platform_extensions: list[str]
    migrations: Path


@dataclass(frozen=True)
class Difference:
    """One difference in words, and what it does to a running fleet when it is made to go away."""

    what: str
    impacts: tuple[Impact, ...] = (Impact.NONE,)


@dataclass(frozen=True)
class Change:
    """Differences that go away together, and what makes them."""

    differences: tuple[Difference, ...]
    make: Callable[[], None]


def load(path: Path = PATH) -> Declared:
    """The declaration at `path`, or on standard input for `-`; UsageError where it cannot be read."""
    try:
        text = sys.stdin.read() if path == STDIN else path.read_text()
    except OSError as error:
        raise UsageError(f"may not read {path}", detail=error.strerror, hint="The deploy writes it.") from error
    try:
        return Declared.model_validate_json(text)
    except ValueError as error:
        raise UsageError(f"{path} is no declaration of a cluster", detail=str(error)) from error


def change(connection: Connection, what: str, *statements: sql.Composed, impact: Impact = Impact.NONE) -> Change:
    """One difference that `statements` make go away."""
    return Change((Difference(what, (impact,)),), lambda: execute(connection, *statements))


def execute(connection: Connection, *statements: sql.Composed) -> None:
    """Run statements; OpsError with the server's words, and never the statement: it may hold a verifier."""
    for statement in statements:
        try:
            connection.execute(cast(sql.SQL, statement))
        except psycopg.Error as error:
            diagnosis = error.diag
            raise OpsError(
                f"the server refused it: {diagnosis.message_primary or str(error).strip()}",
                detail=diagnosis.message_detail,
                hint=diagnosis.message_hint,
            ) from None
