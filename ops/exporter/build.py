"""An exporter put together: each collector with what it reads from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from ops.exporter.metric import Collector, Source
from ops.exporter.runner import Cached, Live
from ops.exporter.scrape import Exporter, Kind


def exporter(
    kind: Kind,
    collectors: Iterable[Collector[Source]],
    sources: Mapping[str, Mapping[str, Source]],
    report: Callable[[str], None],
) -> Exporter:
    """`sources`: for each scope that a collector may have, what it reads from by name; it is run once for each."""
    runners = [
        _runner(collector, name, source)
        for collector in collectors
        for name, source in sources[collector.scope].items()
    ]
    return Exporter(kind, runners, [metric for collector in collectors for metric in collector.metrics], report)


def _runner(collector: Collector[Source], scope: str, source: Source) -> Live | Cached:
    read = partial(collector.read, source)
    if collector.every is None:
        return Live(collector.name, scope, collector.limit, read)
    return Cached(collector.name, scope, collector.limit, collector.every, read)
