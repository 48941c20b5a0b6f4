"""Clusters and Redis groups as they are just now: everybody is asked at once, and the answers are put together."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from ops.config import load, nearest
from ops.errors import OpsError, UsageError
from ops.fleet import Cluster, Fleet, Member
from ops.model.readiness import Proof, RedisSnapshot, Server, Snapshot
from ops.readiness import certificates, control, disks, postgres, proof, routers
from ops.readiness.ask import ask, tls, trouble
from ops.readiness.control import View
from ops.readiness.disks import Disk
from ops.readiness.postgres import Reading

# What is asked of whom: the kind of question, the cluster (empty: all of them share it), and the host or target.
Key = tuple[str, str, Any]
Answers = Mapping[Key, Any]


def look(fleet: Fleet, names: Collection[str] = ()) -> list[Snapshot | RedisSnapshot]:
    """A snapshot of each cluster and Redis group of the fleet, or of those named, in under two seconds.

    Nothing is changed, and nobody who hangs is waited for. UsageError for a name that the fleet has not got.
    """
    known = [*fleet.clusters, *fleet.redis]
    for name in names:
        if name not in known:
            guess = nearest(name, known)
            raise UsageError(
                f"this host knows of no cluster {name!r}" + (f"; did you mean {guess!r}?" if guess else ""),
                detail=f"It knows of: {', '.join(known)}.",
                hint="A monitoring host knows of all of them, a database host of its own.",
            )
    wanted = [name for name in known if not names or name in names]
    clusters = {name: fleet.clusters[name] for name in wanted if name in fleet.clusters}
    groups = [name for name in wanted if name in fleet.redis]
    taken = datetime.now(UTC)
    answers = ask({**_cluster_questions(fleet, clusters), **_redis_questions(fleet, groups)})
    found: list[Snapshot | RedisSnapshot] = [
        _snapshot(fleet, name, cluster, answers, taken) for name, cluster in clusters.items()
    ]
    return found + [_redis_snapshot(fleet, name, answers, taken) for name in groups]


def _cluster_questions(fleet: Fleet, clusters: dict[str, Cluster]) -> dict[Key, Callable[[], Any]]:
    if not clusters:
        return {}
    context, stores = tls(fleet.identity), proof.Stores()
    questions: dict[Key, Callable[[], Any]] = {}
    for name, cluster in clusters.items():
        sightings = proof.Sightings()
        for member, at in cluster.members.items():
            questions["postgres", name, member] = partial(_server, fleet, at, cluster, sightings)
            questions["patroni", name, member] = partial(control.patroni, context, at.address, at.api_port)
            questions["disk", name, member] = partial(_disk, cluster, member, context)
        questions["proof", name, ""] = proof.question(name, cluster, stores, sightings)
        for target in certificates.targets(fleet.watch, name, cluster):
            questions["certificate", name, target] = partial(certificates.expiry, target)
    for member in fleet.etcd.members if fleet.etcd else ():
        assert fleet.etcd
        questions["etcd", "", member] = partial(control.etcd_member, context, member, fleet.etcd.port)
    for name, router in fleet.routers.items():
        questions["router", "", name] = partial(routers.backends, context, router)
    return questions


def _redis_questions(fleet: Fleet, groups: list[str]) -> dict[Key, Callable[[], Any]]:
    if not groups:
        return {}
    from ops.readiness import redis  # noqa: PLC0415  a twentieth of a second, which database hosts need not pay

    questions: dict[Key, Callable[[], Any]] = {}
    for name in groups:
        for (kind, host), question in redis.questions(fleet.identity, fleet.redis[name]).items():
            questions[kind, name, host] = question
        for target in certificates.targets(fleet.watch, name):
            questions["certificate", name, target] = partial(certificates.expiry, target)
    return questions


def _redis_snapshot(fleet: Fleet, name: str, answers: Answers, taken: datetime) -> RedisSnapshot:
    from ops.readiness import redis  # noqa: PLC0415

    return redis.snapshot(name, fleet.redis[name], _of(answers, name), taken)


def _server(fleet: Fleet, member: Member, cluster: Cluster, sightings: proof.Sightings) -> Reading:
    return sightings.note(postgres.read(fleet.identity, member, cluster))


def _of(answers: Answers, cluster: str) -> dict[tuple[str, Any], Any]:
    """The answers about one cluster, by kind and by whom was asked."""
    return {(kind, whom): answer for (kind, name, whom), answer in answers.items() if name == cluster}


def _kind(answers: Mapping[tuple[str, Any], Any], kind: str) -> dict[Any, Any]:
    return {whom: answer for (each, whom), answer in answers.items() if each == kind}


def _snapshot(fleet: Fleet, name: str, cluster: Cluster, answers: Answers, taken: datetime) -> Snapshot:
    own, shared = _of(answers, name), _of(answers, "")
    readings, apis = _kind(own, "postgres"), _kind(own, "patroni")
    view = next((answer for answer in apis.values() if isinstance(answer, View)), None)
    told = own["proof", ""]
    servers = _servers(cluster, readings, apis, view, _kind(own, "disk"))
    used = [reading.used for reading in readings.values() if isinstance(reading, Reading) and reading.used is not None]
    return Snapshot(
        cluster=name,
        taken=taken,
        servers=servers,
        paused=bool(view.cluster.get("pause")) if view else None,
        settings=view.settings if view else {},
        etcd=control.etcd_view(_kind(shared, "etcd")) if fleet.etcd else None,
        routers=routers.views(name, _kind(shared, "router").items()),
        certificates=certificates.certificates(_kind(own, "certificate").items()),
        proof=told if isinstance(told, Proof) else proof.unread(told),
        trouble="" if view else f"no member's Patroni answers: {_reasons(apis)}",
        extensions=tuple(sorted(frozenset.union(*used))) if used else None,
    )


def _reasons(answers: Mapping[str, object]) -> str:
    return "; ".join(f"{name}: {trouble(answer)}" for name, answer in answers.items() if isinstance(answer, OpsError))


def _servers(
    cluster: Cluster, readings: dict[str, Any], apis: dict[str, Any], view: View | None, disks: dict[str, Any]
) -> tuple[Server, ...]:
    """Everybody whom the fleet map or Patroni names."""
    told = view.members if view else {}
    primary = _primary(readings, told)
    found = []
    for member in [*cluster.members, *(stranger for stranger in told if stranger not in cluster.members)]:
        says = told.get(member, {})
        reading, api = readings.get(member), apis.get(member)
        common = {
            "name": member,
            "role": says.get("role", "unknown"),
            "state": says.get("state", "unknown"),
            "nofailover": bool(says.get("tags", {}).get("nofailover")),
            "api_trouble": trouble(api) if isinstance(api, OpsError) else "",
            "sync_state": primary.standbys.get(member) if primary else None,
            **_disk_fields(disks.get(member)),
        }
        if isinstance(reading, Reading):
            found.append(_read_server(common, reading, primary))
        else:
            why = trouble(reading) if isinstance(reading, OpsError) else "the fleet map does not name it"
            found.append(Server(reachable=False, trouble=why, timeline=says.get("timeline"), **common))
    return tuple(found)


def _primary(readings: dict[str, Any], told: dict[str, dict[str, Any]]) -> Reading | None:
    """What the others are measured by: Patroni's leader, or for want of its answer another one that is no replica."""
    found = {name: one for name, one in readings.items() if isinstance(one, Reading) and not one.in_recovery}
    leaders = [one for name, one in found.items() if told.get(name, {}).get("role") == "leader"]
    return next(iter(leaders or found.values()), None)


def _read_server(common: dict[str, Any], reading: Reading, primary: Reading | None) -> Server:
    used = primary.used if primary and primary.used else frozenset[str]()
    lag = None if primary is None or not reading.in_recovery else max(primary.lsn - reading.lsn, 0)
    return Server(
        reachable=True,
        in_recovery=reading.in_recovery,
        writable=reading.writable,
        timeline=reading.timeline,
        lsn=reading.lsn,
        received=reading.received,
        lag_bytes=lag,
        # Who has all of the primary's WAL is not behind, however long ago the last commit was.
        lag_seconds=reading.replayed_age if reading.in_recovery and lag != 0 else None,
        streaming=reading.streaming if reading.in_recovery else None,
        slots=reading.slots,
        pending_restart=reading.pending_restart,
        settings=reading.settings,
        libraries=tuple(sorted(used & reading.available)),
        version=reading.version,
        can_rewind=not reading.rewind_lacks,
        rewind_lacks=reading.rewind_lacks,
        **common,
    )


def _disk(cluster: Cluster, member: str, context: ssl.SSLContext) -> Disk:
    """Of this host by itself, of another one by its exporter: PostgreSQL tells nobody of the disk below it."""
    if member == os.uname().nodename.partition(".")[0] and (data_dir := load(cluster.config).postgres.data_dir):
        return disks.here(data_dir)
    at = cluster.members[member]
    return disks.of_exporter(context, at.address, at.exporter_port)


def _disk_fields(answer: Any) -> dict[str, Any]:
    if isinstance(answer, Disk):
        return {"disk_free": answer.free, "disk_size": answer.size}
    return {"disk_trouble": trouble(answer) if isinstance(answer, OpsError) else "nobody was asked"}
