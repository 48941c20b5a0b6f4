"""What looks at audit trails have found, and where the trails ended: kept in the repository, where no administrator of
the database changes it. One JSON document each, put once and in no envelope, beside the evidence of drills.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from ops.database.audit import anchored
from ops.errors import OpsError, Unreachable
from ops.model.audit import Head, Verdict
from ops.model.drill_id import is_id, new_id
from ops.store.codec import Damaged
from ops.store.repository import Repository


@dataclass(frozen=True)
class Anchor:
    """An anchor: the head of each chain at that time. `id` is that of the repository, or the path of a file."""

    id: str
    heads: Mapping[int, Head]


@dataclass(frozen=True)
class Proven:
    """The newest look at the audit trail of a database: when, and whether the trail was as it was written. `anchored`:
    when the newest anchor was kept; None: none ever was."""

    database: str
    at: datetime
    intact: bool
    anchored: datetime | None


def put_verdict(
    repository: Repository, database: str, verdict: Verdict, guards: Sequence[str], by: Anchor | None
) -> str:
    """Keep what a look has found, judged by the anchor `by`; its key. Unreachable where that fails."""
    now = datetime.now(UTC)
    document = {
        "format": 1,
        "cluster": repository.layout.cluster,
        "database": database,
        "at": now.isoformat(),
        "host": platform.node(),
        "intact": not verdict.flaws and not guards,
        "anchor": by.id if by else None,
        **asdict(verdict),
        "open_guards": list(guards),
    }
    return _put(repository, f"{repository.layout.verdicts(database)}{new_id(now)}.json", document)


def put_anchor(repository: Repository, document: Mapping[str, Any]) -> str:
    """Keep what ops.database.audit.anchor said; its key. Unreachable where that fails."""
    name = new_id(datetime.fromisoformat(document["at"]))
    return _put(repository, f"{repository.layout.anchors(document['database'])}{name}.json", document)


def newest_anchor(repository: Repository, database: str) -> Anchor | None:
    """The anchor that was kept last; None where none was. Damaged where it is not what was put there."""
    folder = repository.layout.anchors(database)
    found = _ids(repository, folder)
    if not found:
        return None
    try:
        return Anchor(found[-1], anchored(json.loads(repository.store.get(f"{folder}{found[-1]}.json")), database))
    except ValueError as error:
        raise _damaged(f"the anchor {found[-1]} of {database}", error) from error


def proven(repository: Repository) -> list[Proven]:
    """The newest look at each audit trail that this repository knows of."""
    databases = repository.store.folders(repository.layout.audits)
    return [one for database in databases if (one := _proven(repository, database))]


def _proven(repository: Repository, database: str) -> Proven | None:
    folder = repository.layout.verdicts(database)
    found = _ids(repository, folder)
    if not found:
        return None
    anchors = [stored.modified for stored in repository.store.list(repository.layout.anchors(database))]
    try:
        document = json.loads(repository.store.get(f"{folder}{found[-1]}.json"))
        at, intact = datetime.fromisoformat(document["at"]), bool(document["intact"])
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(f"the verdict {found[-1]} on the audit trail of {database}", error) from error
    return Proven(database, at, intact, max(anchors, default=None))


def _ids(repository: Repository, folder: str) -> list[str]:
    """Of what lies in a folder, oldest first."""
    names = (stored.key.removeprefix(folder).removesuffix(".json") for stored in repository.store.list(folder))
    return sorted(name for name in names if is_id(name))


def _put(repository: Repository, key: str, document: Mapping[str, Any]) -> str:
    try:
        repository.store.put(key, (json.dumps(document, indent=2) + "\n").encode())
    except OpsError as error:
        raise Unreachable(
            f"{key} could not be stored, so that nothing is proven",
            detail=f"{error.message}\n{error.detail or ''}".strip(),
            hint=error.hint or "See that the store can be reached, and run this again.",
        ) from error
    return key


def _damaged(what: str, error: Exception) -> Damaged:
    return Damaged(
        f"{what} is damaged in the store",
        detail=str(error),
        hint="Do not delete it. Look for an intact copy in another repository.",
    )
