"""What looks at audit trails have found, and where the trails ended: kept in the repository, where no administrator of
the database changes it, beside the evidence of drills.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from ops.database.audit import anchored
from ops.model.audit import Head, Verdict
from ops.model.drill_id import new_id
from ops.store.repository import Repository
from ops.store.shelf import Shelf


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


def verdicts(repository: Repository, database: str) -> Shelf[tuple[datetime, bool]]:
    """What looks at a trail have found: when, and whether it was as it was written."""
    return Shelf(
        repository,
        repository.layout.verdicts(database),
        f"the look at the audit trail of {database}",
        lambda document: (datetime.fromisoformat(document["at"]), bool(document["intact"])),
        makes="ops audit verify --keep",
        shows="ops audit verify",
    )


def anchors(repository: Repository, database: str) -> Shelf[dict[int, Head]]:
    """Where the chains of a trail ended."""
    return Shelf(
        repository,
        repository.layout.anchors(database),
        f"the anchor of the audit trail of {database}",
        lambda document: anchored(document, database),
        makes="ops audit anchor --keep",
        shows="ops audit anchor",
    )


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
    return verdicts(repository, database).put(new_id(now), document)


def put_anchor(repository: Repository, document: Mapping[str, Any]) -> str:
    """Keep what ops.database.audit.anchor said; its key. Unreachable where that fails."""
    name = new_id(datetime.fromisoformat(document["at"]))
    return anchors(repository, document["database"]).put(name, document)


def newest_anchor(repository: Repository, database: str) -> Anchor | None:
    """The anchor that was kept last; None where none was. Damaged where it is not what was put there."""
    shelf = anchors(repository, database)
    found = shelf.ids()
    return Anchor(found[-1], shelf.read(found[-1])) if found else None


def proven(repository: Repository) -> list[Proven]:
    """The newest look at each audit trail that this repository knows of."""
    databases = repository.store.folders(repository.layout.audits)
    return [one for database in databases if (one := _proven(repository, database))]


def _proven(repository: Repository, database: str) -> Proven | None:
    looks = verdicts(repository, database).newest(1)
    if not looks:
        return None
    ends = [stored.modified for stored in repository.store.list(repository.layout.anchors(database))]
    return Proven(database, *looks[0], max(ends, default=None))
