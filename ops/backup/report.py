"""How a long operation tells how far it is. Only `ops.cli` prints."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

Progress = Callable[[int, int], None]  # done, total


class Reporter(Protocol):
    """Who listens to an operation of several stages."""

    def stage(self, title: str) -> AbstractContextManager[None]:
        """Entered when a stage begins, left when it ends."""

    def progress(self, done: int, total: int) -> None:
        """How far the running stage is, in bytes. Called from several threads, one at a time."""

    def say(self, text: str) -> None:
        """Something that is worth a line between stages."""


class Silent:
    """Nobody listens."""

    def stage(self, title: str) -> AbstractContextManager[None]:
        return nullcontext()

    def progress(self, done: int, total: int) -> None:
        pass

    def say(self, text: str) -> None:
        pass


class Meter:
    """Adds up what several threads have done and passes it on."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total = total
        self._progress = progress
        self._done = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            self._progress(self._done, self._total)
