"""A store that is looked at again and again: what never changes is fetched once."""

from __future__ import annotations

import builtins
from collections.abc import Iterator

from ops.store.base import Store, Stored, Traits


class Remembering:
    """Another store, whose objects are kept in memory once they were read whole. None of them ever changes.

    Whether they are still there, listings tell, which are asked for each time. `forget` lets go of what was not used
    since it was called last, so that memory follows what the repository holds.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[str, bytes] = {}
        self._used: set[str] = set()

    @property
    def name(self) -> str:
        return self._store.name

    def put(self, key: str, body: bytes) -> None:
        self._store.put(key, body)

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        if offset or length is not None:
            return self._store.get(key, offset=offset, length=length)
        body = self._kept.get(key)
        if body is None:
            body = self._kept[key] = self._store.get(key)
        self._used.add(key)
        return body

    def head(self, key: str) -> Stored:
        return self._store.head(key)

    def list(self, prefix: str) -> Iterator[Stored]:
        return self._store.list(prefix)

    def folders(self, prefix: str) -> builtins.list[str]:
        return self._store.folders(prefix)

    def delete(self, key: str) -> None:
        self._kept.pop(key, None)
        self._store.delete(key)

    def traits(self, key: str) -> Traits:
        return self._store.traits(key)

    def forget(self) -> None:
        """Keep only what was read since the last call."""
        self._kept = {key: body for key, body in self._kept.items() if key in self._used}
        self._used = set()
