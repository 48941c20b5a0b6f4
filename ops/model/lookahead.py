"""Which WAL files come next: those to archive before PostgreSQL asks for them, and those to fetch before it does."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ops.model.segment import Kind, Segment, WalFile

_READY = ".ready"


def ready(status_files: Iterable[str]) -> list[str]:
    """What waits to be archived, by the names in `pg_wal/archive_status`, in the order in which PostgreSQL asks.

    Histories come first: until its history is in the archive, no other server knows of a timeline.
    """
    waiting = (name.removesuffix(_READY) for name in status_files if name.endswith(_READY))
    return sorted((name for name in waiting if _archivable(name)), key=_order)


def next_to_push(waiting: Iterable[str], taken: Collection[str], room: int) -> list[str]:
    """At most `room` of the `waiting` files, in their order, without those that are `taken` care of."""
    chosen: list[str] = []
    for name in waiting:
        if len(chosen) >= room:
            break
        if name not in taken:
            chosen.append(name)
    return chosen


def next_to_fetch(name: str, segment_size: int, count: int) -> list[str]:
    """The `count` segments that follow `name` on its own timeline; none for any other kind of file.

    Never across a timeline: which one a recovery goes on with is PostgreSQL's to decide. Never past the last name
    of 4 GiB: the successor is that of the number, not of the hexadecimal digits.
    """
    if WalFile.parse(name).kind is not Kind.SEGMENT:
        return []
    segment = Segment.parse(name, segment_size)
    following = []
    for _ in range(count):
        segment = segment.next()
        following.append(segment.name)
    return following


def widen(ahead: int, most: int, *, in_sequence: bool) -> int:
    """How many files to fetch ahead from now on: twice as many while they are asked for in sequence, else one."""
    return min(ahead * 2, most) if in_sequence and ahead else min(1, most)


def _archivable(name: str) -> bool:
    try:
        WalFile.parse(name)
    except ValueError:
        return False
    return True


def _order(name: str) -> tuple[bool, str]:
    return not name.endswith(".history"), name
