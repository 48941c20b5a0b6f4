"""The WAL that a base backup needs, waited for in the store itself.

pg_backup_stop can wait too, but only for its own archiver to say that it is done, and on a standby not even
for that. What counts is what a restore will find.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ops.errors import OpsError
from ops.model.segment import Segment, WalFile
from ops.store.base import NotFound
from ops.store.repository import Repository

_POLL = 0.2


def wait_for_wal(
    repository: Repository,
    segments: Sequence[Segment],
    *,
    timeout: float,
    why: Callable[[], str],
) -> None:
    """Returns once every one of `segments` is in the store under its name.

    OpsError after `timeout` seconds, naming the first that is missing and, from `why`, the probable reason.
    """
    deadline = time.monotonic() + timeout
    for number, segment in enumerate(segments):
        while not _stored(repository, segment):
            if time.monotonic() > deadline:
                raise OpsError(
                    f"WAL segment {segment.name} is not in {repository.store.name}: no backup without it",
                    detail=f"{number} of {len(segments)} segments were there within {timeout:.0f} s. {why()}",
                    hint="See that `ops wal push` succeeds in the server's log; backup.wal_timeout sets the patience.",
                )
            time.sleep(_POLL)


def _stored(repository: Repository, segment: Segment) -> bool:
    try:
        repository.store.head(repository.layout.wal(WalFile.parse(segment.name)))
    except NotFound:
        return False
    return True
