"""Files that the deploy renews under us: certificates, keys, logins. They are read again once they have changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

Loaded = TypeVar("Loaded")
Stamp = tuple[tuple[int, int, int], ...]


class Fresh(Generic[Loaded]):
    """What `load` makes of files, made anew when one of them has changed.

    A change that cannot be loaded, such as one that is half written, leaves what there is; `report` hears of it once.
    """

    def __init__(self, paths: Sequence[Path], load: Callable[[], Loaded], report: Callable[[str], None]) -> None:
        self._paths, self._load, self._report = paths, load, report
        self._lock = threading.Lock()
        self._stamp = self._stamped()
        self._loaded = load()

    def __call__(self) -> Loaded:
        with self._lock:
            try:
                stamp = self._stamped()
                if stamp != self._stamp:
                    self._stamp = stamp
                    self._loaded = self._load()
                    self._report(f"read again: {', '.join(map(str, self._paths))}")
            except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
                self._report(f"keeping what was read before: {error}")
            return self._loaded

    def _stamped(self) -> Stamp:
        found = (path.stat() for path in self._paths)
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in found)
