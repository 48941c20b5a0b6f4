"""The evidence of drills in the store: one JSON document each, put once.

It is plain JSON and not in the envelope of other objects, so that an auditor needs nothing but an S3 client.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

from pydantic import ValidationError

from ops.config import nearest
from ops.drill.evidence import Evidence
from ops.errors import OpsError, Unreachable, UsageError
from ops.model.drill_id import is_id
from ops.store.base import NotFound
from ops.store.codec import Damaged
from ops.store.repository import Repository

_READERS = 8


def put(repository: Repository, evidence: Evidence) -> str:
    """Store it, once; its key. Unreachable where that fails: what cannot be shown is not proven."""
    key = repository.layout.drill(evidence.id)
    try:
        repository.store.put(key, (evidence.model_dump_json(indent=2) + "\n").encode())
    except OpsError as error:
        raise Unreachable(
            f"the evidence of drill {evidence.id} could not be stored, so that nothing is proven",
            detail=f"{error.message}\n{error.detail or ''}".strip(),
            hint=error.hint or "See that the store can be reached, and run the drill again.",
        ) from error
    return key


def ids(repository: Repository) -> list[str]:
    """The ids of all drills, oldest first."""
    keys = (found.key for found in repository.store.list(repository.layout.drills))
    names = (key.removeprefix(repository.layout.drills).removesuffix(".json") for key in keys)
    return sorted(name for name in names if is_id(name))


def newest(repository: Repository, count: int) -> list[Evidence]:
    """The last `count` drills, oldest first; Damaged where one cannot be read."""
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(lambda name: read(repository, name), ids(repository)[-count:]))


def get(repository: Repository, drill_id: str) -> Evidence:
    """The drill of that id, or the newest for "latest"; UsageError with the nearest id where there is none."""
    known = ids(repository)
    if drill_id == "latest" and known:
        drill_id = known[-1]
    if drill_id not in known:
        guess = nearest(drill_id, known) or (known[-1] if known else None)
        raise UsageError(
            f"there is no drill {drill_id!r} of {repository.layout.cluster!r} in {repository.store.name}",
            hint=f"Did you mean {guess}? `ops drill list` shows them." if guess else "Run one: ops drill restore",
        )
    return read(repository, drill_id)


def read(repository: Repository, drill_id: str) -> Evidence:
    """The drill of that id, which the store lists; Damaged where it cannot be read."""
    key = repository.layout.drill(drill_id)
    try:
        return Evidence.model_validate(json.loads(repository.store.get(key)))
    except NotFound:
        raise Unreachable(f"{repository.store.name} lists {key} and says that it has not got it") from None
    except (ValueError, ValidationError) as error:
        raise Damaged(
            f"the evidence of drill {drill_id} is damaged in the store",
            detail=str(error),
            hint="Do not delete it. Look for an intact copy in another repository.",
        ) from error
