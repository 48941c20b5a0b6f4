"""Whom Prometheus asks, from the inventory: the jobs, and the targets of each. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ops.deploys.etcd_members import CLIENT_PORT as ETCD_PORT
from ops.deploys.fleet import ALERTMANAGER_PORT, PROMETHEUS_PORT
from ops.deploys.haproxy import METRICS_PORT as HAPROXY_PORT
from ops.deploys.inventory import Inventory

NODE_PORT, POSTGRES_PORT, REDIS_PORT = 9100, 9187, 9121  # as everybody has them
OPS_PORT, FLEET_PORT = 9630, 9631
GOSSIP_PORT = 9094  # between Alertmanagers


@dataclass(frozen=True)
class Target:
    """A port of a host. `cluster`: the PostgreSQL cluster or the Redis group that the host belongs to."""

    host: str
    port: int
    cluster: str | None


@dataclass(frozen=True)
class Job:
    """Targets of one kind. `honor_labels`: what it tells is of others, and says itself of whom."""

    name: str
    targets: tuple[Target, ...]
    honor_labels: bool = False


def jobs(inventory: Inventory) -> tuple[Job, ...]:
    """Every job that has a target."""
    groups, databases = inventory.groups, _members(inventory, inventory.clusters)
    every = (
        _job(inventory, "node", inventory.hosts, NODE_PORT),
        _job(inventory, "ops", databases, OPS_PORT),
        _job(inventory, "fleet", groups.get("monitoring", ()), FLEET_PORT, honor_labels=True),
        _job(inventory, "postgres", databases, POSTGRES_PORT),
        _job(inventory, "redis", _members(inventory, inventory.redis_groups), REDIS_PORT),
        _job(inventory, "etcd", groups.get("etcd", ()), ETCD_PORT),
        _job(inventory, "haproxy", groups.get("router", ()), HAPROXY_PORT),
        _job(inventory, "prometheus", groups.get("monitoring", ()), PROMETHEUS_PORT),
        _job(inventory, "alertmanager", groups.get("monitoring", ()), ALERTMANAGER_PORT),
    )
    return tuple(job for job in every if job.targets)


def _job(inventory: Inventory, name: str, hosts: Iterable[str], port: int, *, honor_labels: bool = False) -> Job:
    return Job(name, tuple(Target(host, port, _cluster(inventory, host)) for host in hosts), honor_labels)


def _cluster(inventory: Inventory, host: str) -> str | None:
    return inventory.cluster_of(host) or inventory.redis_of(host)


def _members(inventory: Inventory, groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(host for group in groups for host in inventory.groups[group])
