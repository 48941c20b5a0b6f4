"""The evidence of failover drills in the store, beside that of restore drills: one JSON document each, put once.

The controller makes the drills and has no credentials for the store; a host takes their reports and keeps them.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

from ops.config import nearest
from ops.errors import OpsError, Unreachable, UsageError
from ops.model.drill_id import is_id
from ops.model.failover import Report, as_dict, from_dict
from ops.store.base import NotFound
from ops.store.codec import Damaged
from ops.store.repository import Repository

_READERS = 8


def put(repository: Repository, report: Report) -> str:
    """Store it, once; its key. UsageError for the drill of another cluster, Unreachable where storing fails."""
    layout = repository.layout
    if report.cluster != layout.cluster:
        raise UsageError(f"that was a drill of {report.cluster!r}, and this is the repository of {layout.cluster!r}")
    key = layout.failover(report.id)
    try:
        repository.store.put(key, (json.dumps(as_dict(report), indent=2) + "\n").encode())
    except OpsError as error:
        raise Unreachable(
            f"the evidence of drill {report.id} could not be stored, so that nothing is proven",
            detail=f"{error.message}\n{error.detail or ''}".strip(),
            hint=error.hint or "See that the store can be reached, and run the drill again.",
        ) from error
    return key


def ids(repository: Repository) -> list[str]:
    """The ids of all failover drills, oldest first."""
    keys = (found.key for found in repository.store.list(repository.layout.failovers))
    names = (key.removeprefix(repository.layout.failovers).removesuffix(".json") for key in keys)
    return sorted(name for name in names if is_id(name))


def newest(repository: Repository, count: int) -> list[Report]:
    """The last `count` drills, oldest first; Damaged where one cannot be read."""
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(lambda name: _read(repository, name), ids(repository)[-count:]))


def get(repository: Repository, drill_id: str) -> Report:
    """The drill of that id, or the newest for "latest"; UsageError with the nearest id where there is none."""
    known = ids(repository)
    if drill_id == "latest" and known:
        drill_id = known[-1]
    if drill_id not in known:
        guess = nearest(drill_id, known) or (known[-1] if known else None)
        raise UsageError(
            f"there is no failover drill {drill_id!r} of {repository.layout.cluster!r} in {repository.store.name}",
            hint=f"Did you mean {guess}? `ops drill failovers` shows them."
            if guess
            else "Run one on the controller: ops failover drill switchover",
        )
    return _read(repository, drill_id)


def _read(repository: Repository, drill_id: str) -> Report:
    key = repository.layout.failover(drill_id)
    try:
        return from_dict(json.loads(repository.store.get(key)))
    except NotFound:
        raise Unreachable(f"{repository.store.name} lists {key} and says that it has not got it") from None
    except ValueError as error:
        raise Damaged(
            f"the evidence of failover drill {drill_id} is damaged in the store",
            detail=str(error),
            hint="Do not delete it. Look for an intact copy in another repository.",
        ) from error
