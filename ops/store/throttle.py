"""A store that is used no faster than it may be."""

from __future__ import annotations

import builtins
import threading
import time
from collections.abc import Iterator

from ops.store.base import Store, Stored, Traits


class Throttled:
    """Another store, with a limit on the bytes a second that all threads together send and receive, on average.

    A transfer itself runs at full speed, and the next one waits until its share of time has come. That keeps the
    average, needs no hold on the sockets, and makes nobody wait longer than what went before takes at the limit.
    `free_at` is when the next transfer may begin, by the monotonic clock.
    """

    def __init__(self, store: Store, limit: int) -> None:
        self._store = store
        self._limit = limit
        self.free_at = 0.0
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self._store.name

    def put(self, key: str, body: bytes) -> None:
        self._wait(len(body))
        self._store.put(key, body)

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        self._wait(length or 0)
        body = self._store.get(key, offset=offset, length=length)
        if length is None:  # what it would come to was not known before; the next transfer waits for it
            self._book(len(body))
        return body

    def head(self, key: str) -> Stored:
        return self._store.head(key)

    def list(self, prefix: str) -> Iterator[Stored]:
        return self._store.list(prefix)

    def folders(self, prefix: str) -> builtins.list[str]:
        return self._store.folders(prefix)

    def delete(self, key: str) -> None:
        self._store.delete(key)

    def traits(self, key: str) -> Traits:
        return self._store.traits(key)

    def _wait(self, size: int) -> None:
        pause = self._book(size) - time.monotonic()
        if pause > 0:
            time.sleep(pause)

    def _book(self, size: int) -> float:
        """Take up the time that `size` bytes need at the limit; the moment from which it is ours."""
        with self._lock:
            start = max(self.free_at, time.monotonic())
            self.free_at = start + size / self._limit
            return start
