"""What each service asks of its host: one function for each, and the list of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from ops.deploys import etcd_members, fleet, haproxy, pgbouncer, targets
from ops.deploys.apt_source import releases
from ops.deploys.inventory import Inventory
from ops.deploys.settings import Postgres
from ops.model.preflight import GIB, MIB, Need

# max_wal_size and wal_keep_size of every cluster, and a little to live on.
WAL_ROOM = 6 * GIB
CLUSTER_BUS = 10000  # Redis Cluster's nodes talk to each other on their port plus this


def needs(inventory: Inventory, host: str) -> tuple[Need, ...]:
    """Everything that is to run on `host`."""
    return tuple(need for service in SERVICES for need in service(inventory, host))


def _base(inventory: Inventory, host: str) -> Iterator[Need]:
    yield Need("the base system", packages=("ca-certificates", "python3", "python3-venv", "curl"))


def _etcd(inventory: Inventory, host: str) -> Iterator[Need]:
    if inventory.is_in(host, "etcd"):
        ports = dict.fromkeys((etcd_members.CLIENT_PORT, etcd_members.PEER_PORT), etcd_members.UNIT)
        yield Need("etcd", ("etcd-server", "etcd-client"), ports, data="/var/lib/etcd", room=1 * GIB, memory=256 * MIB)


def _postgresql(inventory: Inventory, host: str) -> Iterator[Need]:
    cluster = inventory.cluster_of(host)
    if cluster is None:
        return
    postgres = inventory.postgres(cluster)
    yield Need(
        "PostgreSQL",
        packages=_programs(postgres),
        version=postgres.package_version,
        ports=dict.fromkeys((postgres.port, inventory.patroni(cluster).port), "patroni.service"),
        data="/var/lib/postgresql",
        room=WAL_ROOM,
        memory=(postgres.sizing.memory_mib or 768) * MIB,
    )
    yield Need("PgBouncer", ("pgbouncer",), {inventory.pooler(cluster).port: pgbouncer.UNIT}, memory=32 * MIB)
    yield from _timescaledb(inventory, cluster, leave=cluster)


def _drill(inventory: Inventory, host: str) -> Iterator[Need]:
    if inventory.is_in(host, "drill") and (cluster := inventory.drill().cluster) in inventory.clusters:
        postgres = inventory.postgres(cluster)
        yield Need(
            "restore drills",
            packages=_programs(postgres),
            version=postgres.package_version,
            data="/var/lib/ops",
            room=WAL_ROOM,
            memory=768 * MIB,
        )
        yield from _timescaledb(inventory, cluster, leave="drill")


def _programs(postgres: Postgres) -> tuple[str, ...]:
    return f"postgresql-{postgres.version}", f"postgresql-client-{postgres.version}"


def _timescaledb(inventory: Inventory, cluster: str, *, leave: str) -> Iterator[Need]:
    if settings := inventory.timescaledb(cluster):
        yield Need(
            "TimescaleDB",
            packages=settings.packages,
            source=releases(settings.source),
            version=settings.version,
            optional_in="" if settings.required else leave,
        )


def _redis(inventory: Inventory, host: str) -> Iterator[Need]:
    group = inventory.redis_of(host)
    if group is None:
        return
    redis = inventory.redis(group)
    packages, ports = ["redis-server"], [redis.port]
    if redis.mode == "sentinel":
        packages, ports = [*packages, "redis-sentinel"], [*ports, redis.sentinel_port]
    elif redis.mode == "cluster":
        ports = [*ports, redis.port + CLUSTER_BUS]
    size, unit = re.fullmatch(r"(\d+)(mb|gb)", redis.maxmemory).groups()  # type: ignore[union-attr]
    limit = int(size) * (MIB if unit == "mb" else GIB)
    # The limit counts keys and values; a snapshot is a copy of what changes while it is written.
    yield Need("Redis", tuple(packages), dict.fromkeys(ports, "redis"), "/var/lib/redis", 2 * limit, limit * 3 // 2)


def _haproxy(inventory: Inventory, host: str) -> Iterator[Need]:
    if inventory.is_in(host, "router"):
        routes = [inventory.routing(cluster) for cluster in inventory.clusters]
        ports = {port for route in routes for port in (route.write_port, route.read_port)}
        ports.add(haproxy.METRICS_PORT)
        yield Need("HAProxy", ("haproxy",), dict.fromkeys(ports, haproxy.UNIT), memory=256 * MIB)


def _seaweedfs(inventory: Inventory, host: str) -> Iterator[Need]:
    if inventory.is_in(host, "object_store"):
        port = urlsplit(inventory.repository.endpoint).port or inventory.seaweedfs().port
        yield Need("SeaweedFS", (), {port: "seaweedfs.service"}, "/var/lib/seaweedfs", 4 * GIB, 256 * MIB)


def _monitoring(inventory: Inventory, host: str) -> Iterator[Need]:
    """Who asks, and on every host those who answer."""
    watchers = inventory.groups.get("monitoring", ())
    if not watchers:
        return
    yield _exporter("the node exporter", "prometheus-node-exporter", targets.NODE_PORT)
    if inventory.cluster_of(host):
        yield _exporter("the PostgreSQL exporter", "prometheus-postgres-exporter", targets.POSTGRES_PORT)
        yield Need("ops exporter host", ports={targets.OPS_PORT: "ops-exporter"}, memory=96 * MIB)
    if inventory.redis_of(host):
        yield _exporter("the Redis exporter", "prometheus-redis-exporter", targets.REDIS_PORT)
    if host in watchers:
        settings, alertmanager = inventory.monitoring(), "prometheus-alertmanager"
        port, room = {fleet.PROMETHEUS_PORT: "prometheus.service"}, settings.retention_gib * GIB
        yield Need("Prometheus", ("prometheus",), port, "/var/lib/prometheus", room, 512 * MIB)
        ports = (fleet.ALERTMANAGER_PORT, *([targets.GOSSIP_PORT] if len(watchers) > 1 else []))
        yield Need("Alertmanager", (alertmanager,), dict.fromkeys(ports, alertmanager), memory=64 * MIB)
        yield Need("ops exporter fleet", ports={targets.FLEET_PORT: "ops-fleet-exporter"}, memory=192 * MIB)


def _exporter(service: str, package: str, port: int) -> Need:
    return Need(service, (package,), {port: package}, memory=32 * MIB)


SERVICES = (_base, _etcd, _postgresql, _drill, _redis, _haproxy, _seaweedfs, _monitoring)
