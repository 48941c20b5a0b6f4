"""One page of metrics: what the collectors find before the deadline, and how they did.

However many ask at once, the collectors run once (`SingleFlight`), each on its own thread (`runner`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from importlib.metadata import version
from typing import Generic, Literal, TypeVar

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector as Registered

from ops.exporter.metric import Metric, Sample, families, gauge
from ops.exporter.runner import Cached, Live, Outcome, Runner

Kind = Literal["host", "fleet"]
Made = TypeVar("Made")

# Seconds after which a page is served with what there is: below the scrape_timeout of Prometheus, which is 10.
DEADLINE = 8.0

_BY: dict[Kind, tuple[str, ...]] = {"host": ("collector",), "fleet": ("collector", "cluster")}


def own_metrics(kind: Kind) -> tuple[Metric, ...]:
    """How the collectors did: success, duration, last success, age of what is cached; and what this exporter is."""
    by = _BY[kind]
    return (
        gauge("ops_collector_success", "Whether the last run of a collector read all that it looks at.", *by),
        gauge("ops_collector_duration_seconds", "How long that run took.", *by),
        gauge("ops_collector_last_success_timestamp_seconds", "When a run last succeeded.", *by),
        gauge("ops_collector_cache_age_seconds", "Age of what a collector shows that reads in the background.", *by),
        gauge("ops_exporter_info", "This exporter, always 1.", "version", "kind"),
    )


class SingleFlight(Generic[Made]):
    """Makes something for everybody who asks while it is made; the next who asks has it made anew."""

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._running: Future[Made] | None = None

    def __call__(self) -> Made:
        with self._lock:
            running, mine = self._running, self._running is None
            if running is None:
                running = self._running = Future()
        if mine:
            try:
                running.set_result(self._make())
            except BaseException as error:
                running.set_exception(error)
                raise
            finally:
                with self._lock:
                    self._running = None
        return running.result()


class Exporter(Registered):
    """All collectors of a host or of the fleet; `report` hears when one begins to fail, and when it is well again."""

    def __init__(
        self, kind: Kind, runners: Sequence[Live | Cached], metrics: Iterable[Metric], report: Callable[[str], None]
    ) -> None:
        self._kind: Kind = kind
        self._runners = runners
        self._own = own_metrics(kind)
        self._metrics = (*metrics, *self._own)
        self._report = report
        self._troubled: set[Runner] = set()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        self.page = SingleFlight(lambda: generate_latest(self._registry))

    def start(self) -> None:
        """Begin to read what is read in the background, and make a first page."""
        for runner in self._runners:
            if isinstance(runner, Cached):
                runner.start()
        threading.Thread(target=self.page, name="first page", daemon=True).start()

    def close(self) -> None:
        for runner in self._runners:
            if isinstance(runner, Cached):
                runner.close()

    def describe(self) -> list[Family]:
        """Nothing: what there is to tell is known only once it was looked for."""
        return []

    def collect(self) -> Iterator[Family]:
        """Every family that has a value; within the deadline, whatever hangs."""
        began = time.monotonic()
        runs = {runner: runner.begin() for runner in self._runners if isinstance(runner, Live)}
        wait(runs.values(), timeout=DEADLINE)
        samples: list[Sample] = [self._own[-1](1, version("pend-ops"), self._kind)]
        for runner in self._runners:
            if isinstance(runner, Cached):
                outcome = runner.last
                samples.extend(runner.samples())
            else:
                future = runs[runner]
                outcome = future.result() if future.done() else _late(time.monotonic() - began)
                samples.extend(outcome.samples)
            if outcome is not None:
                self._say(runner, outcome)
                samples.extend(self._of(runner, outcome))
        return families(self._metrics, samples)

    def _of(self, runner: Runner, outcome: Outcome) -> Iterator[Sample]:
        success, duration, last_success, cache_age, _ = self._own
        labels = (runner.name, runner.scope)[: len(success.labels)]
        yield success(outcome.succeeded, *labels)
        yield duration(outcome.duration, *labels)
        if runner.good is not None:
            yield last_success(runner.good.ended, *labels)
            if isinstance(runner, Cached):
                yield cache_age(runner.good.age, *labels)

    def _say(self, runner: Runner, outcome: Outcome) -> None:
        if outcome.succeeded and runner in self._troubled:
            self._troubled.remove(runner)
            self._report(f"{_title(runner)}: well again")
        elif not outcome.succeeded and runner not in self._troubled:
            self._troubled.add(runner)
            self._report(f"{_title(runner)}: {outcome.trouble}")

    def health(self) -> tuple[bool, dict[str, object]]:
        """Whether nothing is stuck, and what is."""
        stuck = [_title(runner) for runner in self._runners if runner.stuck()]
        return not stuck, {"healthy": not stuck, "stuck": stuck}

    def readiness(self) -> tuple[bool, dict[str, object]]:
        """Whether every collector has read all that it looks at, and what each one says otherwise."""
        said = {
            _title(runner): "not read yet" if runner.last is None else runner.last.trouble or "ok"
            for runner in self._runners
        }
        ready = all(text == "ok" for text in said.values())
        return ready, {"ready": ready, "collectors": said}


def _title(runner: Runner) -> str:
    return f"{runner.name} of {runner.scope}" if runner.scope else runner.name


def _late(seconds: float) -> Outcome:
    return Outcome((), f"did not end within {seconds:.0f} s", time.time(), seconds)
