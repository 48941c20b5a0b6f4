"""Since when a cluster's repository is there: nobody can promise more of the past than that."""

from __future__ import annotations

from collections.abc import Iterator

from ops.config import load
from ops.exporter.metric import Collector, Sample, gauge
from ops.exporter.watched import Watched
from ops.store import open_store
from ops.store.repository import current

CREATED = gauge("ops_repository_created_timestamp_seconds", "When the repository was begun.", "cluster")


def read(watched: Watched) -> Iterator[Sample]:
    config = load(watched.fleet.clusters[watched.name].config)
    store = open_store(config.repository)
    layout = current(store, config.repository.prefix, config.cluster, None).layout
    yield CREATED(store.head(layout.repository).modified, watched.name)


REPOSITORY = Collector("repository", (CREATED,), read, every=600, limit=120, scope="cluster")
