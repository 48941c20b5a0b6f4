"""What a cluster's repository tells in a few listings: how old the newest WAL, backup and drills are."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Any

from ops.config import Config, S3Repository, load
from ops.errors import OpsError, Unreachable
from ops.fleet import Cluster
from ops.model.layout import Layout
from ops.model.lsn import LSN
from ops.model.readiness import Proof
from ops.model.segment import Segment, is_segment
from ops.readiness.ask import DEADLINE, ask, trouble
from ops.readiness.postgres import Reading
from ops.store import open_store
from ops.store.base import Store, Stored

_BLOCK = 256  # segments: what one listing shows, two hexadecimal digits of their names


class Stores:
    """Each store opened once, however many clusters are in it: that takes a third of a second."""

    def __init__(self) -> None:
        self._opened: list[tuple[object, Store]] = []

    def of(self, config: Config) -> Store:
        """The store of a configuration, with our deadline and no second attempts."""
        settings = config.repository
        if isinstance(settings, S3Repository):
            hurry = {"attempts": 1, "connect_timeout": DEADLINE, "read_timeout": DEADLINE}
            settings = settings.model_copy(update=hurry)
        for known, store in self._opened:
            if known == settings:
                return store
        store = open_store(settings)
        self._opened.append((settings, store))
        return store


class Sightings:
    """What the servers of a cluster have told so far: which database it is, and where its WAL is."""

    def __init__(self) -> None:
        self._seen: list[Reading] = []
        self._changed = threading.Condition()

    def note(self, reading: Reading) -> Reading:
        """Keep what a server has told."""
        with self._changed:
            self._seen.append(reading)
            self._changed.notify_all()
        return reading

    def best(self) -> Reading:
        """The primary's, as soon as it is there; for want of one, soon, that of whoever has the most WAL. Unreachable
        where nobody answers."""
        with self._changed:
            self._changed.wait_for(lambda: any(not one.in_recovery for one in self._seen), timeout=DEADLINE / 2)
            if self._seen:
                return max(self._seen, key=lambda one: (not one.in_recovery, one.lsn))
        raise Unreachable("no server told which database it is, and where its WAL is")


def question(cluster: str, settings: Cluster, stores: Stores, sightings: Sightings) -> Callable[[], Proof]:
    """What asks for the proof of `cluster`. Its store is opened here, before the clock starts: it is work, no wait."""
    try:
        config = load(settings.config)
        store = stores.of(config)
    except OpsError as error:
        return partial(unread, error)
    return lambda: _read(store, config.repository.prefix, cluster, sightings.best())


def _read(store: Store, prefix: str, cluster: str, server: Reading) -> Proof:
    layout = Layout(prefix, cluster, server.system_identifier)
    found: dict[str, Any] = ask({
        "wal": lambda: _newest_wal(store, layout, server),
        "backup": lambda: _newest_backup(store, layout),
        "restore": lambda: _newest_drill(store, layout.drills, "proven"),
        "failover": lambda: _newest_drill(store, layout.failovers, "passed"),
    })  # fmt: skip
    if errors := [answer for answer in found.values() if isinstance(answer, OpsError)]:
        raise errors[0]
    return Proof(found["wal"], found["backup"], *found["restore"], *found["failover"])


def _newest_wal(store: Store, layout: Layout, server: Reading) -> datetime | None:
    """When the newest segment came, of the last few hundred before the server's position on its timeline or the one
    before it: a new timeline has none for a minute."""
    now = Segment.holding(server.timeline, LSN(server.lsn), server.segment_size)
    for timeline in (server.timeline, server.timeline - 1):
        for number in (now.number, now.number - _BLOCK):
            if timeline > 0 and number >= 0:
                name = Segment(timeline, number, now.size).name
                stored = store.list(f"{layout.wal_root}{timeline:08X}/{name[:-2]}")
                if newest := _newest(one for one in stored if is_segment(one.key.rpartition("/")[2])):
                    return newest
    return None


def _newest_backup(store: Store, layout: Layout) -> datetime | None:
    return _newest(one for one in store.list(layout.backups) if one.key.endswith("/manifest"))


def _newest(stored: Iterable[Stored]) -> datetime | None:
    return max((one.modified for one in stored), default=None)


def _newest_drill(store: Store, folder: str, good: str) -> tuple[datetime | None, bool | None]:
    """When the newest document of a folder was put there, and whether its verdict is `good`; None: it says none."""
    last = max(store.list(folder), key=lambda one: one.key, default=None)
    if last is None:
        return None, None
    try:
        verdict = json.loads(store.get(last.key)).get("verdict")
    except (ValueError, AttributeError):
        return last.modified, None
    return last.modified, verdict == good if verdict else None


def unread(error: OpsError) -> Proof:
    """What is known where nothing could be read."""
    return Proof(trouble=trouble(error))
