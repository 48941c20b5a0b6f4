"""/etc/ops/fleet.toml: what there is to look at beside a host (ops/fleet.py), and the means to look.

A database host is told of its own cluster. A monitoring host is told of everything, and looks as the system user `ops`,
which has what opens the repository and is `monitor` to everybody else: it may read statistics, and no table of anybody.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from ops.deploys import haproxy, redis_users
from ops.deploys.base import CA_FILE
from ops.deploys.etcd_members import CLIENT_PORT
from ops.deploys.inventory import Inventory
from ops.deploys.operations import account, config_file, directory, secret_file
from ops.deploys.pki import Leaf
from ops.deploys.platform import ops_toml, repository_access
from ops.deploys.settings import Postgres
from ops.deploys.site import Host, section

USER = "monitor"  # in every cluster; it logs in with a certificate of that name, and with nothing else
SYSTEM_USER = "ops"  # on monitoring hosts
CERTIFICATE, KEY = f"/etc/ops/pki/{USER}.crt", f"/etc/ops/pki/{USER}.key"
FLEET = "/etc/ops/fleet.toml"
CLUSTERS, SECRETS = "/etc/ops/clusters", "/etc/ops/fleet"
PROMETHEUS_PORT, ALERTMANAGER_PORT = 9090, 9093


def role(postgres: Postgres) -> dict[str, Any]:
    """The role `monitor`, as a cluster declares it; what its databases tell of themselves they tell `exporter`."""
    # The limit is for each server: exporters hold a few connections, and a few people may check at once.
    groups = ["pg_monitor", *({"exporter"} & postgres.roles.keys())]
    return {"login": True, "createdb": False, "member_of": groups, "connection_limit": 12}


@section("Fleet map")
def fleet(this: Host) -> None:
    """For database hosts, whose certificates PostgreSQL's deploy has written, and for monitoring hosts."""
    if this.is_in("monitoring"):
        _means(this)
        config_file("ops/fleet.toml.j2", FLEET, **whole_map(this.inventory))
    elif this.cluster:
        config_file("ops/fleet.toml.j2", FLEET, **own_map(this.inventory, this.cluster))


def _means(this: Host) -> None:
    """Of a monitoring host: the user, its certificate, and what opens the repository and looks at Redis."""
    account(name=f"Make the user {SYSTEM_USER}", user=SYSTEM_USER)
    material = this.issue(Leaf(f"{this.name}-{USER}", USER, client=True))
    config_file("base/certificate.crt.j2", CERTIFICATE, certificate=material.certificate)
    secret_file(name=f"Write {KEY}", dest=KEY, content=_constant(material.key), user=SYSTEM_USER)
    for folder in (CLUSTERS, SECRETS):
        directory(folder)
    access = repository_access(this, SECRETS, user=SYSTEM_USER)
    for cluster in this.inventory.clusters:
        ops_toml(
            this, cluster, f"{CLUSTERS}/{cluster}.toml", access,
            system_user=SYSTEM_USER, data_dir=None, patroni_url=None, drill=None,
        )  # fmt: skip
    for group in this.inventory.redis_groups:
        path = password_file(group)
        password = partial(redis_users.password, this, group, "exporter")
        secret_file(name=f"Write {path}", dest=path, content=password, user=SYSTEM_USER)


def _constant(text: str) -> Callable[[], str]:
    return lambda: text


def password_file(group: str) -> str:
    """Where a monitoring host keeps the password of a Redis group's user `exporter`."""
    return f"{SECRETS}/{group}.password"


def own_map(inventory: Inventory, cluster: str) -> dict[str, Any]:
    """What ops/fleet.toml.j2 says on a host of `cluster`: nothing of other clusters, and nothing of Redis."""
    return _map(inventory, [_cluster(inventory, cluster)], redis=[])


def whole_map(inventory: Inventory) -> dict[str, Any]:
    """What ops/fleet.toml.j2 says on a monitoring host."""
    clusters = [
        _cluster(inventory, cluster) | {"config": f"{CLUSTERS}/{cluster}.toml"} for cluster in inventory.clusters
    ]
    return _map(inventory, clusters, [_redis(inventory, group) for group in inventory.redis_groups])


def _map(inventory: Inventory, clusters: list[dict[str, Any]], redis: list[dict[str, Any]]) -> dict[str, Any]:
    monitoring = inventory.groups.get("monitoring", ())
    return {
        "site": inventory.site.name,
        "identity": {"ca_file": CA_FILE, "cert_file": CERTIFICATE, "key_file": KEY},
        "etcd": {"members": list(inventory.groups.get("etcd", ())), "port": CLIENT_PORT},
        "clusters": clusters,
        "routers": dict.fromkeys(inventory.groups.get("router", ()), haproxy.METRICS_PORT),
        "redis": redis,
        "watch": _watch(inventory, [one["name"] for one in clusters], [one["name"] for one in redis]),
        "prometheus": f"https://{monitoring[0]}:{PROMETHEUS_PORT}" if monitoring else None,
        "alertmanager": f"https://{monitoring[0]}:{ALERTMANAGER_PORT}" if monitoring else None,
    }


def _cluster(inventory: Inventory, cluster: str) -> dict[str, Any]:
    postgres, routing = inventory.postgres(cluster), inventory.routing(cluster)
    is_drilled = bool(inventory.groups.get("drill")) and inventory.drill().cluster == cluster
    return {
        "name": cluster,
        "config": "/etc/ops/ops.toml",
        "databases": list(postgres.databases),
        "write_port": routing.write_port,
        "read_port": routing.read_port,
        "timescaledb": inventory.timescaledb(cluster) is not None,
        "promises": inventory.drill() if is_drilled else None,
        "schedules": {job: when for job, when in inventory.schedules(cluster).items() if when},
        "members": inventory.groups[cluster],
        "port": postgres.port,
        "api_port": inventory.patroni(cluster).port,
        "pooler_port": inventory.pooler(cluster).port,
    }


def _redis(inventory: Inventory, group: str) -> dict[str, Any]:
    settings = inventory.redis(group)
    return {
        "name": group,
        "mode": settings.mode,
        "hosts": list(inventory.groups[group]),
        "port": settings.port,
        "sentinel_port": settings.sentinel_port,
        "master": group if settings.mode == "sentinel" else "",
        "password_file": password_file(group),
    }


def _watch(inventory: Inventory, clusters: list[str], redis_groups: list[str]) -> list[dict[str, Any]]:
    """TLS endpoints whose certificates are looked at, beside PostgreSQL's and PgBouncer's own."""
    found = [("etcd", host, CLIENT_PORT, "") for host in inventory.groups.get("etcd", ())]
    for cluster in clusters:
        api_port = inventory.patroni(cluster).port
        found += [("patroni", host, api_port, cluster) for host in inventory.groups[cluster]]
    found += [("router", host, haproxy.METRICS_PORT, "") for host in inventory.groups.get("router", ())]
    for bucket in (inventory.repository, *inventory.repository.others.values()):
        url = urlsplit(bucket.endpoint)
        found.append(("object store", url.hostname or "", url.port or 443, ""))
    for group in redis_groups:
        settings, hosts = inventory.redis(group), inventory.groups[group]
        found += [("redis", host, settings.port, group) for host in hosts]
        if settings.mode == "sentinel":
            found += [("sentinel", host, settings.sentinel_port, group) for host in hosts]
    names = ("service", "address", "port", "cluster")
    return [dict(zip(names, one, strict=True)) for one in dict.fromkeys(found)]
