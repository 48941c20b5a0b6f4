"""What the service does without being asked, each duty in a thread of its own, so that none waits for another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from ops.config import Config
from ops.errors import OpsError, Unreachable
from ops.store.base import NotFound
from ops.store.repository import Repository
from ops.wal.access import Access
from ops.wal.answer import in_words
from ops.wal.archiver.queue import Queue
from ops.wal.catchup import catch_up
from ops.wal.mirror import Mirrors
from ops.wal.prefetch import Spool
from ops.wal.push import Source
from ops.wal.tail import Shipper, remove_superseded

_CATCH_UP_EVERY = 60.0
_REMOVE_EVERY = 10.0


class Background:
    """The duties of one host, for as long as `run` runs."""

    def __init__(self, config: Config, access: Access, queue: Queue, spool: Spool) -> None:
        self._config = config
        self._access = access
        self._queue = queue
        self._spool = spool
        self._shipper = Shipper(config, access)
        self._mirrors: Mirrors | None = None
        self._troubles: dict[str, str] = {}

    def run(self, stop: threading.Event) -> None:
        """Returns when `stop` is set and what was begun has ended."""
        with suppress(OpsError):  # so that the first file does not wait for it, and hears what is wrong
            self._access.open()
        duties: list[tuple[str, Callable[[Path], None], float]] = [
            ("look-ahead", self._look_ahead, 1.0),
            ("catch-up", self._catch_up, _CATCH_UP_EVERY),
        ]
        if self._config.wal.tail:
            duties += [("tail", self._ship, 1.0), ("superseded tail", self._remove_superseded, _REMOVE_EVERY)]
        threads = [
            threading.Thread(target=_repeat, args=(partial(self._attempt, name, act), every, stop), name=name)
            for name, act, every in duties
        ]
        if self._config.repositories and (data_dir := self._config.postgres.data_dir):
            others: dict[str, Callable[[], Repository]] = {
                name: partial(other.repository, data_dir) for name, other in self._access.others().items()
            }
            level = self._config.wal.compression_level
            self._mirrors = Mirrors(partial(self._access.repository, data_dir), others, level)
            self._mirrors.start()
        for thread in threads:
            thread.start()
        stop.wait()
        for thread in threads:
            thread.join()
        if self._mirrors:
            self._mirrors.stop()
        self._shipper.close()

    def report(self) -> dict[str, Any]:
        """How far the live tail is, and what keeps a duty from being done."""
        shipped = self._shipper.shipped
        troubles = dict(self._troubles)
        if self._mirrors:
            troubles |= {f"repository {name}": in_words(error) for name, error in self._mirrors.troubles.items()}
        return {"tail": shipped.as_dict() if shipped else None, "troubles": troubles}

    def _attempt(self, name: str, act: Callable[[Path], None]) -> None:
        """One round of a duty. Where no server runs, there is none: the directory may just be being replaced."""
        self._spool.tidy()
        data_dir = self._config.postgres.data_dir
        try:
            if data_dir is not None and (data_dir / "postmaster.pid").exists():
                act(data_dir)
            self._troubles.pop(name, None)
        except Exception as error:
            self._troubles[name] = in_words(error)

    def _look_ahead(self, data_dir: Path) -> None:
        """Push what waits although nobody asks: PostgreSQL rests for a minute after three failures, and a replica that
        was a primary never asks.
        """
        self._queue.look_ahead(data_dir / "pg_wal", self._access.pusher(data_dir))

    def _ship(self, data_dir: Path) -> None:
        """What is flushed of the current segment, for the live tail."""
        self._shipper.ship(data_dir)

    def _remove_superseded(self, data_dir: Path) -> None:
        """The pieces of segments that are archived by now cost a little, nothing else; some may not remove them."""
        if self._shipper.shipped is not None:
            with suppress(Unreachable):
                remove_superseded(self._access.repository(data_dir))

    def _catch_up(self, data_dir: Path) -> None:
        """What an old primary never archived and this member has."""
        repository, pusher = self._access.repository(data_dir), self._access.pusher(data_dir)
        try:
            done = catch_up(repository, pusher, Source(data_dir, self._config.postgres.bin_dir))
        except NotFound:  # nothing was archived yet
            return
        if done.refused:
            raise OpsError(done.refused[0].message, detail=done.refused[0].detail, hint=done.refused[0].hint)


def _repeat(act: Callable[[], None], every: float, stop: threading.Event) -> None:
    """Until `stop`, at the same moment of each period however long it takes."""
    due = time.monotonic()
    while not stop.wait(max(due - time.monotonic(), 0.0)):
        due = max(due + every, time.monotonic())
        act()
