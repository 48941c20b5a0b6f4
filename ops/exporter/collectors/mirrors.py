"""How far a cluster's further repositories are behind its first one."""

from __future__ import annotations

from collections.abc import Iterator

from ops.errors import Unreachable
from ops.exporter.metric import Collector, Sample, gauge
from ops.exporter.watched import Watched

_MIRROR = ("cluster", "repository")

OBJECTS = gauge("ops_mirror_behind_objects", "Objects that a further repository lacks.", *_MIRROR)
BYTES = gauge("ops_mirror_behind_bytes", "Bytes in them, as stored in the first one.", *_MIRROR)
SECONDS = gauge("ops_mirror_behind_seconds", "How long the oldest of them could have been copied.", *_MIRROR)


def read(watched: Watched) -> Iterator[Sample]:
    silent = []
    for repository, part in watched.holdings().mirrors.items():
        if part.seen is None:
            silent.append(f"{repository}: {part.trouble}")
            continue
        yield OBJECTS(part.seen.objects, watched.name, repository)
        yield BYTES(part.seen.size, watched.name, repository)
        yield SECONDS(part.seen.seconds, watched.name, repository)
    if silent:
        raise Unreachable("; ".join(silent))


MIRRORS = Collector("mirrors", (OBJECTS, BYTES, SECONDS), read, every=60, limit=300, scope="cluster")
