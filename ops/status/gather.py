"""The document of a fleet, put together from what its parts say: all are asked at once, and nobody is waited for."""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Any

from ops import fleet as house
from ops.config import load, nearest
from ops.errors import OpsError, Unreachable, UsageError
from ops.fleet import Fleet
from ops.model.readiness import RedisSnapshot, Snapshot
from ops.readiness import look
from ops.status import alerts, translate
from ops.status.document import Alerts, Cluster, Document, Redis, Section
from ops.status.holdings import Holdings
from ops.status.holdings import look as look_into
from ops.status.verdict import problems, worst

DEADLINE = 20.0  # seconds until what has not answered is unknown

Snapshots = Sequence[Snapshot | RedisSnapshot]
Key = tuple[str, str]  # a kind of part, and the cluster that it is of; empty for all


@dataclass(frozen=True)
class Sources:
    """Where the parts come from: who has just looked hands on what it saw. Each may raise OpsError.

    `snapshots` of clusters and Redis groups by name, `holdings` of a cluster's repository, `alerts` that fire.
    """

    snapshots: Callable[[Collection[str]], Snapshots]
    holdings: Callable[[str], Holdings]
    alerts: Callable[[], Alerts]

    @classmethod
    def of(cls, fleet: Fleet) -> Sources:
        """Each looked at when it is asked for."""
        return cls(
            snapshots=partial(look, fleet),
            holdings=lambda name: look_into(load(fleet.clusters[name].config)),
            alerts=partial(alerts.look, fleet),
        )


def gather(fleet: Fleet, names: Collection[str] = (), sources: Sources | None = None) -> Document:
    """What is known of the clusters and Redis groups of the fleet, or of those named; UsageError for an unknown name.

    Whatever cannot be read is unknown in the document, and says why.
    """
    wanted = _chosen(fleet, names)
    sources = sources or Sources.of(fleet)
    clusters = {name: fleet.clusters[name] for name in wanted if name in fleet.clusters}
    groups = [name for name in wanted if name in fleet.redis]
    questions: dict[Key, Callable[[], Any]] = {
        ("snapshots", ""): partial(sources.snapshots, wanted),
        **{("holdings", name): partial(sources.holdings, name) for name in clusters},
    }
    if fleet.alertmanager or fleet.prometheus:
        questions["alerts", ""] = sources.alerts
    taken = datetime.now(UTC)
    answers = _ask(questions)
    snapshots = answers["snapshots", ""]
    found = [
        _cluster(name, settings, _of(snapshots, name, Snapshot), answers["holdings", name], taken)
        for name, settings in clusters.items()
    ]
    redis = {name: _redis(_of(snapshots, name, RedisSnapshot), taken) for name in groups}
    firing = _alerts(answers["alerts", ""], taken) if ("alerts", "") in answers else None
    now = datetime.now(UTC)
    wrong = problems(alerts=firing, clusters=found, redis=redis, now=now)
    return Document(
        site=fleet.site,
        host=platform.node(),
        version=version("pend-ops"),
        taken=now,
        verdict=worst(problem.verdict for problem in wrong),
        problems=wrong,
        alerts=firing,
        clusters=found,
        redis=redis,
    )


def _chosen(fleet: Fleet, names: Collection[str]) -> list[str]:
    known = [*fleet.clusters, *fleet.redis]
    for name in names:
        if name not in known:
            guess = nearest(name, known)
            raise UsageError(
                f"this host knows of no cluster {name!r}" + (f"; did you mean {guess!r}?" if guess else ""),
                detail=f"It knows of: {', '.join(known)}.",
                hint="A monitoring host knows of all of them, a database host of its own.",
            )
    return [name for name in known if not names or name in names]


def _ask(questions: Mapping[Key, Callable[[], Any]]) -> dict[Key, Any]:
    """The answer to each question, or the OpsError that says why there is none; all are asked at once.

    Who is late is left behind, and so is whoever fails, for whatever reason: the other parts are wanted all the more.
    """
    answers: dict[Key, Any] = {}

    def run(key: Key, question: Callable[[], Any]) -> None:
        try:
            answers[key] = question()
        except OpsError as error:
            answers[key] = error
        except Exception as error:
            answers[key] = OpsError(f"{type(error).__name__}: {error}")

    threads = [
        threading.Thread(target=run, args=item, name=f"status {' '.join(item[0])}", daemon=True)
        for item in questions.items()
    ]
    end = time.monotonic() + DEADLINE
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    late = Unreachable(f"no answer within {DEADLINE:.0f} s")
    return {key: answers.get(key, late) for key in questions}


def _of(snapshots: Snapshots | OpsError, name: str, kind: type[Any]) -> Any:
    """The snapshot of that name, or why there is none."""
    if isinstance(snapshots, OpsError):
        return snapshots
    found = (one for one in snapshots if one.cluster == name and isinstance(one, kind))
    return next(found, None) or OpsError(f"nobody has looked at {name}")


def _cluster(
    name: str, settings: house.Cluster, snapshot: Snapshot | OpsError, holdings: Holdings | OpsError, taken: datetime
) -> Cluster:
    sections = translate.snapshot(snapshot, taken) | translate.holdings(holdings, settings, taken)
    return Cluster(name=name, **sections)


def _redis(snapshot: RedisSnapshot | OpsError, taken: datetime) -> Section[Redis]:
    if isinstance(snapshot, OpsError):
        return translate.unknown(translate.told(snapshot), taken)
    return translate.redis(snapshot)


def _alerts(answer: Alerts | OpsError, taken: datetime) -> Section[Alerts]:
    if isinstance(answer, OpsError):
        return translate.unknown(translate.told(answer), taken)
    return Section[Alerts](read_at=taken, good_for=translate.LIVE, value=answer)
