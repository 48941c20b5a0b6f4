"""The contents of one file that a repository has."""

from __future__ import annotations

from ops.errors import Unreachable
from ops.model.segment import WalFile
from ops.store.base import NotFound
from ops.store.repository import Repository
from ops.wal.check import Refused
from ops.wal.faults import reached


def read(repository: Repository, file: WalFile) -> bytes | None:
    """The contents of the archived `file`, verified. None where the store answered that it does not have it.

    Anything that leaves the question open is raised: Unreachable; Damaged or Foreign where the object is not
    what it has to be.
    """
    try:
        blob = repository.store.get(repository.layout.wal(file))
    except NotFound:
        return None
    reached("fetch-got")
    return repository.unseal(blob, kind="wal", name=file.name)


def compare(repository: Repository, file: WalFile, ours: bytes) -> None:
    """Refused unless the stored object opens, and has exactly the bytes `ours`; a header alone proves neither."""
    name = repository.store.name
    theirs = read(repository, file)
    if theirs is None:
        raise Unreachable(
            f"{name} gave two answers about {file.name}",
            detail="It is there, and it is not: somebody else is writing or deleting it just now.",
            hint="PostgreSQL asks again.",
        )
    if theirs != ours:
        raise Refused(
            f"another {file.name} is in {name} already",
            detail=f"there: {len(theirs)} bytes, here: {len(ours)}; "
            f"the first that differs is at offset {_first_difference(theirs, ours)}",
            hint=(
                "Nothing was overwritten. Two servers have written this file: look for one that was promoted or "
                "restored without a new timeline, and stop it from archiving before you do anything else."
            ),
        )


def _first_difference(one: bytes, other: bytes) -> int:
    """The offset of the first byte that differs, by halving: a loop over the bytes of a segment takes seconds."""
    start, length = 0, max(len(one), len(other))
    while length > 1:
        half = length // 2
        if one[start : start + half] == other[start : start + half]:
            start, length = start + half, length - half
        else:
            length = half
    return start
