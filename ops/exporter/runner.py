"""Runs a collector on a thread of its own, never twice at once, so that what hangs holds up nobody else.

`Live` reads when it is asked. `Cached` reads in the background, and what it found is shown for a while (`_KEEP`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass

from ops.errors import OpsError
from ops.exporter.metric import Sample

Read = Callable[[], Iterable[Sample]]

# How many intervals what was found in the background is shown for after the last time that it could be read whole.
_KEEP = 3.0
# Seconds after which what could not be read is tried again, if that is sooner: after a boot the exporter is up first.
_AGAIN = 60.0


@dataclass(frozen=True)
class Outcome:
    """One run. `trouble` says in a line why it failed; `ended` is Unix time, `duration` in seconds."""

    samples: tuple[Sample, ...]
    trouble: str
    ended: float
    duration: float

    @property
    def succeeded(self) -> bool:
        return not self.trouble

    @property
    def age(self) -> float:
        """Seconds since it ended."""
        return max(time.time() - self.ended, 0.0)


def run(read: Read) -> Outcome:
    """Read once. Whatever goes wrong is the outcome's trouble: no collector may take another one with it."""
    began, trouble = time.monotonic(), ""
    samples: list[Sample] = []
    try:
        samples.extend(read())  # what came before a failure stays: it is true
    except OpsError as error:
        trouble = error.message
    except Exception as error:  # a mistake of ours is told like any other trouble, and the page is still served
        trouble = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    return Outcome(tuple(samples), trouble, time.time(), time.monotonic() - began)


class Runner:
    """A collector with what it reads from. `scope` is the cluster or group that it looks at, if it looks at one."""

    def __init__(self, name: str, scope: str, limit: float, read: Read) -> None:
        self.name, self.scope = name, scope
        self.last: Outcome | None = None  # the newest run that has ended
        self.good: Outcome | None = None  # the newest one that has succeeded
        self._read, self._limit = read, limit
        self._began: float | None = None

    def stuck(self) -> bool:
        """Whether a run takes longer than it may."""
        began = self._began
        return began is not None and time.monotonic() - began > self._limit

    def _run(self) -> Outcome:
        self._began = time.monotonic()
        outcome = run(self._read)
        self.last, self.good = outcome, outcome if outcome.succeeded else self.good
        self._began = None
        return outcome


class Live(Runner):
    """A collector that is read at each scrape. Who asks while it runs gets what that run finds."""

    def __init__(self, name: str, scope: str, limit: float, read: Read) -> None:
        super().__init__(name, scope, limit, read)
        self._lock = threading.Lock()
        self._running: Future[Outcome] | None = None

    def begin(self) -> Future[Outcome]:
        """The outcome of the run that goes on, or of a new one."""
        with self._lock:
            if self._running is None or self._running.done():
                self._running = Future()
                threading.Thread(target=self._fulfil, args=(self._running,), name=self.name, daemon=True).start()
            return self._running

    def _fulfil(self, future: Future[Outcome]) -> None:
        future.set_result(self._run())


class Cached(Runner):
    """A collector that is read every so often, in the background."""

    def __init__(self, name: str, scope: str, limit: float, every: float, read: Read) -> None:
        super().__init__(name, scope, limit, read)
        self._every = every
        self._closed = threading.Event()

    def start(self) -> None:
        """Read now, and every `every` seconds from then on; sooner after a failure."""
        threading.Thread(target=self._loop, name=self.name, daemon=True).start()

    def close(self) -> None:
        """No further run; one that goes on is not waited for."""
        self._closed.set()

    def samples(self) -> tuple[Sample, ...]:
        """What was found when it was last read whole; once that is too long ago, only what the last run could read."""
        if self.good is not None and self.good.age <= _KEEP * self._every:
            return self.good.samples
        if self.last is not None and self.last.age <= _KEEP * self._every:
            return self.last.samples
        return ()

    def _loop(self) -> None:
        while not self._closed.is_set():
            outcome = self._run()
            pause = self._every if outcome.succeeded else min(self._every, _AGAIN)
            self._closed.wait(max(pause - outcome.duration, pause / 2))
