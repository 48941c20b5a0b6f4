"""Migrations of a database: what is in the folder against what was applied. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

# Database -> the folder below sql/ that makes it.
PURPOSES = {"pend_production": "app", "pend_analytics": "analytics"}
# Database -> the groups that its migrations give rights to: roles without login, for the whole cluster.
_READERS = ("analyst", "auditor", "exporter", "migrator")
GROUPS = {
    "pend_production": (*_READERS, "app_user", "admin_role", "view_owner", "audit_owner"),
    "pend_analytics": (*_READERS, "analytics_app"),
}
# The database that has views to refresh, months to make ahead and an audit trail.
APPLICATION = "pend_production"
ROLLBACK = ".rollback.sql"

State = Literal["applied", "pending", "changed", "missing", "out of order"]


@dataclass(frozen=True)
class File:
    """A migration in the folder. `digest` is of its text; `kept` says why it cannot be undone, empty where it can."""

    name: str
    digest: str
    kept: str = ""


@dataclass(frozen=True)
class Applied:
    """A migration that a database remembers; `digest` is empty where it was applied by other means."""

    name: str
    digest: str
    at: datetime


@dataclass(frozen=True)
class Standing:
    """One migration: `changed` after it was applied, `missing` from the folder, `out of order`: pending before one that
    was applied."""

    name: str
    state: State
    applied_at: datetime | None = None
    undoes: bool = False


def digest(text: str) -> str:
    """Of a migration's text: what a database remembers it by."""
    return hashlib.sha256(text.encode()).hexdigest()


def standings(files: Iterable[File], applied: Iterable[Applied]) -> list[Standing]:
    """Every migration, in order."""
    known, done = {file.name: file for file in files}, {one.name: one for one in applied}
    last = max(done, default="")
    return [_standing(name, known, done, last) for name in sorted(known.keys() | done.keys())]


def refusals(found: Sequence[Standing]) -> list[str]:
    """Why nothing may be applied, in words; empty where all is well."""
    words = {
        "changed": "was changed after it had been applied",
        "missing": "was applied, and is not in the folder",
        "out of order": "is new, and sorts before one that was applied",
    }
    return [f"{one.name} {words[one.state]}" for one in found if one.state in words]


def _standing(name: str, known: Mapping[str, File], done: Mapping[str, Applied], last: str) -> Standing:
    file, one = known.get(name), done.get(name)
    if file is None:
        assert one is not None
        return Standing(name, "missing", one.at)
    undoes = not file.kept
    if one is None:
        return Standing(name, "out of order" if name < last else "pending", undoes=undoes)
    changed = bool(one.digest) and one.digest != file.digest
    return Standing(name, "changed" if changed else "applied", one.at, undoes)
