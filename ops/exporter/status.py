"""The status page, gathered once for all who look within a few seconds, from what the collectors have just read."""

from __future__ import annotations

import time
from collections.abc import Collection
from functools import partial

from ops.exporter.scrape import SingleFlight
from ops.exporter.watched import Sources
from ops.model.readiness import RedisSnapshot, Snapshot
from ops.status import alerts, gather
from ops.status.page import page

_GOOD_FOR = 5.0  # seconds
_REFRESH = 30  # seconds after which a browser asks again


class StatusPage:
    """Called, it is the page as it was seconds ago at most, whoever else asks at the same moment."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._parts = gather.Sources(
            snapshots=self._snapshots,
            holdings=lambda name: sources.holdings[name](),
            alerts=partial(alerts.look, sources.fleet),
        )
        self._flight = SingleFlight(self._make)
        self._made = ""
        self._until = 0.0

    def __call__(self) -> str:
        return self._flight()

    def _snapshots(self, names: Collection[str]) -> list[Snapshot | RedisSnapshot]:
        return [one for one in self._sources.snapshots() if one.cluster in names]

    def _make(self) -> str:
        if time.monotonic() > self._until:
            self._made = page(gather.gather(self._sources.fleet, sources=self._parts), refresh=_REFRESH)
            self._until = time.monotonic() + _GOOD_FOR
        return self._made
