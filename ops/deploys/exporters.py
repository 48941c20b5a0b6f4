"""What tells Prometheus of a host and of its services: Debian's exporters, and our own.

All of them speak TLS, with nobody who shows no certificate of the site's CA, and read certificates anew for each
connection. Each runs as a user of its own who may read its key and what it looks with, and nothing else.
What ours tell, Debian's are told to leave out: no figure has two names.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256

from ops.deploys.base import CA_FILE
from ops.deploys.fleet import CLUSTERS, FLEET, SYSTEM_USER, USER
from ops.deploys.operations import (
    account,
    config_file,
    directory,
    secret_file,
    service,
    unit_file,
)
from ops.deploys.pki import Leaf, host_leaf
from ops.deploys.platform import OPS
from ops.deploys.redis_users import password
from ops.deploys.site import Host, section
from ops.deploys.targets import FLEET_PORT, NODE_PORT, OPS_PORT, POSTGRES_PORT, REDIS_PORT
from ops.model.login import verifier

FOLDER = "/etc/prometheus-exporters"
LOGIN = "/etc/ops/status-login"
# What a host's trouble is told by; the rest of what node_exporter knows nobody asks for.
NODE_COLLECTORS = (
    "cpu", "diskstats", "filefd", "filesystem", "loadavg", "meminfo", "netdev", "netstat", "pressure", "stat",
    "time", "timex", "uname", "vmstat",
)  # fmt: skip
NO_DISKS = "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|mqueue|nsfs|proc|pstore|ramfs|securityfs|sysfs|tmpfs|tracefs)$"  # noqa: E501


@dataclass(frozen=True)
class Exporter:
    """One of Debian's: `package` is also its unit, its program and the name of its certificate."""

    package: str
    user: str
    arguments: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()  # what it reads when it starts
    families: str = ""
    home: str = "yes"

    @property
    def unit(self) -> str:
        return f"{self.package}.service"

    @property
    def drop_in(self) -> str:
        return f"/etc/systemd/system/{self.unit}.d/pend-ops.conf"


@section("Exporters")
def exporters(this: Host) -> None:
    """On every host, where there is somebody to ask them."""
    if not this.inventory.groups.get("monitoring"):
        return
    directory(FOLDER)
    _node(this)
    _postgres(this)
    _redis(this)
    if this.cluster:
        _ours(this, "ops-exporter", "host", user="postgres", port=OPS_PORT, reads=["/etc/ops/ops.toml"])
    if this.is_in("monitoring"):
        secret_file(name=f"Write {LOGIN}", dest=LOGIN, content=partial(_logins, this), user=SYSTEM_USER)
        reads = [f"{CLUSTERS}/{cluster}.toml" for cluster in this.inventory.clusters]
        _ours(this, "ops-fleet-exporter", "fleet", user=SYSTEM_USER, port=FLEET_PORT, reads=reads, login=LOGIN)


def identity(this: Host, name: str, user: str) -> tuple[str, str]:
    """A certificate of this host for one service, which `user` shows and nobody else can; the paths of its files."""
    certificate, key = f"/etc/ops/pki/{name}.crt", f"/etc/ops/pki/{name}.key"
    return _written(this, host_leaf(name, this.name, this.address, client=True), certificate, key, user)


def _written(this: Host, leaf: Leaf, certificate: str, key: str, user: str) -> tuple[str, str]:
    material = this.issue(leaf)
    config_file("base/certificate.crt.j2", certificate, certificate=material.certificate)
    secret_file(name=f"Write {key}", dest=key, content=lambda: material.key, user=user)
    return certificate, key


def web_config(dest: str, certificate: str, key: str) -> None:
    """The file by which programs of the Prometheus project know their TLS."""
    config_file("exporters/web.yml.j2", dest, certificate=certificate, key=key, ca=CA_FILE)


def _node(this: Host) -> None:
    name, web = "prometheus-node-exporter", f"{FOLDER}/node-web.yml"
    web_config(web, *identity(this, name, "prometheus"))
    arguments = (
        f"--web.listen-address={this.address}:{NODE_PORT}",
        f"--web.config.file={web}",
        "--web.disable-exporter-metrics",
        "--collector.disable-defaults",
        *(f"--collector.{collector}" for collector in NODE_COLLECTORS),
        f"--collector.filesystem.fs-types-exclude={NO_DISKS.replace('$', '$$')}",  # systemd knows variables by their $
    )
    # Netlink, for its look at network devices; what lies below /home it may count, not read.
    _run(Exporter(name, "prometheus", arguments, files=(web,), families=" AF_NETLINK", home="read-only"))


def _postgres(this: Host) -> None:
    """As the role `monitor`, with a certificate of that name and a key of its own."""
    if this.cluster is None:
        return
    name, user = "prometheus-postgres-exporter", "postgres-exporter"
    web, queries = f"{FOLDER}/postgres-web.yml", f"{FOLDER}/postgres-queries.yml"
    account(name=f"Make the user {user}", user=user)
    web_config(web, *identity(this, name, user))
    certificate, key = _written(
        this, Leaf(f"{this.name}-{user}", USER, client=True), f"{FOLDER}/{USER}.crt", f"{FOLDER}/{USER}.key", user
    )
    config_file("exporters/postgres-queries.yml.j2", queries)
    source = {
        "host": this.address, "port": this.postgres.port, "user": USER, "dbname": "postgres",
        "sslmode": "verify-full", "sslrootcert": CA_FILE, "sslcert": certificate, "sslkey": key,
        "application_name": name, "connect_timeout": 5,
    }  # fmt: skip
    arguments = (
        f"--web.listen-address={this.address}:{POSTGRES_PORT}",
        f"--web.config.file={web}",
        "--disable-default-metrics",  # sessions, slots, the archiver and replication: ours
        "--disable-settings-metrics",
        "--no-collector.database",
        f"--extend.query-path={queries}",
    )
    environment = {"DATA_SOURCE_NAME": " ".join(f"{word}={value}" for word, value in source.items())}
    _run(Exporter(name, user, arguments, environment, files=(queries, web)))


def _redis(this: Host) -> None:
    """As the user `exporter`. What the Sentinels think is asked by the exporter of the fleet."""
    group = this.inventory.redis_of(this.name)
    if group is None:
        return
    name, user = "prometheus-redis-exporter", "redis-exporter"
    account(name=f"Make the user {user}", user=user)
    certificate, key = identity(this, name, user)
    server = f"rediss://{this.address}:{this.inventory.redis(group).port}"
    passwords = f"{FOLDER}/redis-passwords.json"  # by address: no other server is ever shown one
    text = json.dumps({server: password(this, group, "exporter")}) + "\n"
    secret_file(name=f"Write {passwords}", dest=passwords, content=_constant(text), user=user)
    arguments = (
        f"-web.listen-address={this.address}:{REDIS_PORT}",
        f"-redis.addr={server}",
        "-redis.user=exporter",
        f"-redis.password-file={passwords}",
        f"-tls-ca-cert-file={CA_FILE}",
        f"-tls-server-cert-file={certificate}",
        f"-tls-server-key-file={key}",
        f"-tls-server-ca-cert-file={CA_FILE}",
        # 1.45 forgets this once it asks for certificates: it is Prometheus that insists.
        "-tls-server-min-version=TLS1.3",
        "-config-command=-",  # what is declared is no measurement, and not for this user to read
        "-redis-only-metrics",
    )
    _run(Exporter(name, user, arguments, files=(passwords,)))


def _constant(text: str) -> Callable[[], str]:
    return lambda: text


def _run(exporter: Exporter) -> None:
    directory(f"/etc/systemd/system/{exporter.unit}.d")
    config_file("exporters/exporter.service.conf.j2", exporter.drop_in, exporter=exporter)
    service(exporter.unit, exporter.drop_in, *exporter.files)


def _logins(this: Host) -> str:
    """A line for each user of the status page. The salt differs by site and user, and not by run."""
    users = this.inventory.monitoring().viewers
    salts = {user: sha256(f"{this.inventory.site.name} {user}".encode()).digest()[:16] for user in users}
    return "".join(f"{user}:{verifier(this.secret(f'login_{user}'), salt)}\n" for user, salt in salts.items())


def _ours(this: Host, name: str, kind: str, *, user: str, port: int, reads: list[str], login: str = "") -> None:
    """`ops exporter`: of a host, or of the fleet. Certificates and logins it reads anew by itself."""
    certificate, key = identity(this, name, user)
    unit_file(
        "ops/ops-exporter.service.j2", name, ops=OPS, kind=kind, account=user, address=this.address, port=port,
        certificate=certificate, key=key, ca=CA_FILE, login=login,
    )  # fmt: skip
    service(f"{name}.service", f"/etc/systemd/system/{name}.service", FLEET, *reads, "/opt/ops/.installed")
