"""What the collectors of the fleet read from: snapshots and holdings, each read once for all who ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

from ops.config import load
from ops.fleet import Fleet
from ops.model.readiness import RedisSnapshot, Snapshot
from ops.readiness import look
from ops.status.holdings import Holdings, Observer

Seen = TypeVar("Seen")

# Seconds for which a look serves everybody: less than any collector of the same thing waits between two of its own.
_SNAPSHOT, _HOLDINGS = 5.0, 30.0


class Shared(Generic[Seen]):
    """A look at something, taken again once it is too old. One thread looks, and whoever else asks waits for it."""

    def __init__(self, read: Callable[[], Seen], good_for: float) -> None:
        self._read, self._good_for = read, good_for
        self._lock = threading.Lock()
        self._seen: Seen | None = None
        self._until = 0.0

    def __call__(self) -> Seen:
        with self._lock:
            if self._seen is None or time.monotonic() > self._until:
                self._seen = None
                self._seen = self._read()
                self._until = time.monotonic() + self._good_for
            return self._seen


class Sources:
    """One look at all clusters and Redis groups, and one into each repository."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.snapshots = Shared(lambda: look(fleet), _SNAPSHOT)
        self.hosts = {
            member.address: name for cluster in fleet.clusters.values() for name, member in cluster.members.items()
        } | {router.address: name for name, router in fleet.routers.items()}
        self.holdings = {name: Shared(_Repository(fleet, name).look, _HOLDINGS) for name in fleet.clusters}

    def by_scope(self) -> dict[str, dict[str, Watched]]:
        """What the collectors of each scope look at, by name."""
        names: dict[str, Iterable[str]] = {"": ("",), "cluster": self.fleet.clusters, "redis": self.fleet.redis}
        return {scope: {name: Watched(self, name) for name in found} for scope, found in names.items()}


@dataclass
class _Repository:
    """A cluster's repository; its configuration is read when it is first looked into."""

    fleet: Fleet
    cluster: str

    def look(self) -> Holdings:
        return self._observer.look()

    @cached_property
    def _observer(self) -> Observer:
        return Observer(load(self.fleet.clusters[self.cluster].config))


@dataclass(frozen=True)
class Watched:
    """One cluster or Redis group; `name` is empty for a collector that looks at the whole fleet."""

    sources: Sources
    name: str

    @property
    def fleet(self) -> Fleet:
        return self.sources.fleet

    def holdings(self) -> Holdings:
        """Of this cluster's repository."""
        return self.sources.holdings[self.name]()

    def snapshot(self) -> Snapshot:
        """Of this cluster."""
        return next(one for one in self.snapshots() if one.cluster == self.name)

    def redis(self) -> RedisSnapshot:
        """Of this Redis group."""
        return next(one for one in self.redis_snapshots() if one.cluster == self.name)

    def snapshots(self) -> list[Snapshot]:
        """Of every cluster."""
        return [one for one in self.sources.snapshots() if isinstance(one, Snapshot)]

    def redis_snapshots(self) -> list[RedisSnapshot]:
        """Of every Redis group."""
        return [one for one in self.sources.snapshots() if isinstance(one, RedisSnapshot)]

    def host_at(self, target: str) -> str:
        """The name in the inventory of the host at `address:port`."""
        address = target.rpartition(":")[0]
        return self.sources.hosts.get(address, address)
