"""PostgreSQL under Patroni: certificates, patroni.yml, the service, and what is declared in the cluster itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyinfra import host, state
from pyinfra.api.exceptions import DeployError
from pyinfra.facts.hardware import Cpus, Memory
from pyinfra.operations import files

from ops.deploys import fleet, pgbouncer
from ops.deploys.base import CA_FILE
from ops.deploys.etcd_members import CLIENT_PORT
from ops.deploys.marks import marks
from ops.deploys.member_settings import say_what_follows
from ops.deploys.operations import (
    config_file,
    converge,
    directory,
    python_environment,
    render,
    secret_file,
    service,
    text_file,
    unit_file,
)
from ops.deploys.pki import Leaf, host_leaf
from ops.deploys.platform import OPS, WAL_CLIENT, bin_dir, data_dir
from ops.deploys.settings.postgres import PLATFORM_EXTENSIONS, Patroni, Postgres, Settings
from ops.deploys.settings.timescaledb import EXTENSION
from ops.deploys.site import Host, section
from ops.deploys.wheels import PROJECT, environment
from ops.model.command import restore_command
from ops.model.migrations import PURPOSES, ROLLBACK, digest
from ops.model.settings import written
from ops.model.sizing import MIB, analytics_member, sizes

HOLD = "hold"  # pyinfra --data hold=pg_main: what was lost whole is restored first (docs/runbooks/restore.md)
PATRONI = "/etc/patroni"  # Patroni reads every *.yml in it
PATRONI_YML = f"{PATRONI}/patroni.yml"
CLUSTER_JSON = "/etc/ops/cluster.json"
# Users that log in with a certificate of this common name, and with nothing else.
CERTIFICATE_USERS = ("replicator", "rewind", fleet.USER)
# In each declared database, from sql/extensions/: what the pooler needs there, and what monitoring does.
OWN_EXTENSIONS = ("pend_pooler", "pend_monitor")


@section("PostgreSQL")
def postgres(this: Host) -> None:
    """One member of its cluster; who leads is Patroni's to decide."""
    if this.cluster is None:
        return
    settings, patroni = this.postgres, this.inventory.patroni(this.cluster)
    python_environment(name="Install Patroni", environment=environment("patroni", "/opt/patroni"))
    files.link(
        name="Put patronictl on the PATH", path="/usr/local/bin/patronictl", target="/opt/patroni/bin/patronictl"
    )
    files.link(name="Let root's patronictl find it", path="/root/.config/patroni/patronictl.yaml", target=PATRONI_YML)
    certificates = _certificates(this)
    directory(PATRONI)
    local = _local_parameters(settings)
    config_file(
        "patroni/patroni.yml.j2",
        PATRONI_YML,
        cluster=this.cluster,
        site=this.inventory.site,
        member=this.name,
        address=str(this.address),
        etcd=[f"{name}:{CLIENT_PORT}" for name in this.inventory.groups["etcd"]],
        ca=CA_FILE,
        postgres=settings,
        patroni=patroni,
        bin_dir=bin_dir(settings),
        data_dir=data_dir(settings, this.cluster),
        local=local,
        ops=OPS,
    )
    if PATRONI_YML in marks().written:
        say_what_follows(PATRONI_YML, local, members=len(this.inventory.groups[this.cluster]))
    # Apart, because it is read once: a changed setting of the cluster must not reload Patroni on every host.
    bootstrap = render("patroni/bootstrap.yml.j2", dynamic=dynamic_configuration(settings, patroni))
    text_file(bootstrap, f"{PATRONI}/bootstrap.yml", carries=this.cluster)
    unit_file("patroni/patroni.service.j2", "patroni", configuration=PATRONI)
    directory(f"/var/lib/postgresql/{settings.version}", user="postgres")
    if _is_held(this):
        return
    # A reload is enough for what may change while it runs; who needs a restart of PostgreSQL is restarted below.
    service("patroni.service", PATRONI_YML, *certificates, verb="reload")
    _declare(this, settings, patroni)
    _migrate(settings)
    unit_file("ops/ops-heartbeat.service.j2", "ops-heartbeat", ops=OPS)
    service(
        "ops-heartbeat.service", "/etc/systemd/system/ops-heartbeat.service", "/etc/ops/ops.toml", "/opt/ops/.installed"
    )


def _is_held(this: Host) -> bool:
    """Whether this deploy is to start nothing of the cluster: a Patroni that finds no data makes an empty database."""
    held = host.data.get(HOLD)
    if held and held not in this.inventory.clusters:
        raise DeployError(f"{HOLD}: there is no cluster {held!r}; there are {', '.join(this.inventory.clusters)}")
    return bool(held == this.cluster)


def _certificates(this: Host) -> list[str]:
    """The server's certificate, which Patroni shows too, and those of the certificate users. Returns their files."""
    leaves = [("postgres", host_leaf("postgres", this.name, this.address, client=True))]
    leaves += [(user, Leaf(f"{this.name}-{user}", user, client=True)) for user in CERTIFICATE_USERS]
    written = []
    for name, leaf in leaves:
        material = this.issue(leaf)
        certificate, key = f"/etc/ops/pki/{name}.crt", f"/etc/ops/pki/{name}.key"
        config_file("base/certificate.crt.j2", certificate, certificate=material.certificate)
        secret_file(name=f"Write {key}", dest=key, content=_constant(material.key), user="postgres")
        written += [certificate, key]
    return written


def _constant(text: str) -> Callable[[], str]:
    return lambda: text


def _local_parameters(settings: Postgres) -> dict[str, str]:
    """What follows from this host's size; other members may be larger or smaller."""
    memory = settings.sizing.memory_mib or host.get_fact(Memory) or 1024
    cores = settings.sizing.cores or host.get_fact(Cpus) or 1
    chosen = sizes(memory * MIB, cores).settings()
    if EXTENSION in settings.preload:
        chosen |= analytics_member(memory * MIB, cores, int(settings.settings.get("max_connections", 100)))
    return {name: value for name, value in chosen.items() if name not in settings.settings}


def dynamic_configuration(settings: Postgres, patroni: Patroni) -> dict[str, Any]:
    """What holds for the whole cluster: Patroni keeps it in etcd, and `ops cluster apply` brings it to this.

    The parameters are those that the platform requires (DESIGN.md §5), then the inventory's own.
    """
    parameters: dict[str, Any] = {
        "max_connections": 100,
        "work_mem": "4MB",
        "maintenance_work_mem": "64MB",
        "wal_buffers": "16MB",
        "checkpoint_completion_target": 0.9,
        "checkpoint_timeout": "15min",
        "max_wal_size": "4GB",
        "wal_level": "replica",
        "wal_log_hints": "on",
        "track_commit_timestamp": "on",
        "archive_mode": "on",
        "archive_timeout": "60s",
        "archive_command": f"{WAL_CLIENT} push %p",
        "max_wal_senders": 10,
        # A primary that is cut off stops only when its replicas have all, or are given up; it follows no sooner.
        "wal_sender_timeout": "20s",
        # A new leader does not archive what the old one had not: it stays on every member, to be pushed from there.
        "wal_keep_size": "1GB",
        "max_replication_slots": 10,
        # After a switchover commits wait for a replica, and that for this before it tries the new primary again.
        "wal_retrieve_retry_interval": "1s",
        "shared_preload_libraries": ",".join(settings.preload),
        "password_encryption": "scram-sha-256",
        "idle_in_transaction_session_timeout": "15min",
        "log_checkpoints": "on",
        "log_lock_waits": "on",
        "log_autovacuum_min_duration": "10s",
        "log_line_prefix": "%m [%p] %q%u@%d %a ",
        "log_statement": "ddl",
        "log_timezone": "UTC",
        "timezone": "UTC",
    }
    parameters |= {name: _as_written(value) for name, value in settings.settings.items()}
    return {
        **patroni.timing(),
        "maximum_lag_on_failover": 16 * MIB,
        "check_timeline": True,
        "failsafe_mode": True,
        "synchronous_mode": "quorum",
        "synchronous_mode_strict": patroni.strict,
        "synchronous_node_count": patroni.synchronous_nodes,
        "postgresql": {
            "use_pg_rewind": True,
            "use_slots": True,
            "parameters": parameters,
            "recovery_conf": {"restore_command": restore_command(WAL_CLIENT)},
        },
    }


def _as_written(value: str | float) -> str | float:
    """A switch as PostgreSQL writes it: Patroni takes `true` for a change of `on`, one that needs a restart."""
    return written(value) if isinstance(value, bool) else value


def _as_text(settings: Settings) -> dict[str, str]:
    return {name: written(value) for name, value in settings.items()}


def _declare(this: Host, settings: Postgres, patroni: Patroni) -> None:
    """Roles, databases, extensions and the dynamic configuration: written as a file, applied by whoever leads."""
    assert this.cluster
    _own_extensions(this)
    directory("/etc/ops/secrets")
    logins = [name for name, role in settings.roles.items() if role.login]
    for name in logins:
        dest = f"/etc/ops/secrets/role_{name}"
        secret_file(name=f"Write {dest}", dest=dest, content=_constant(this.secret(f"role_{name}")), user="postgres")
    document = {
        "patroni": dynamic_configuration(settings, patroni),
        "roles": {
            name: role.model_dump()
            | {"settings": _as_text(role.settings)}
            | ({"password_file": f"/etc/ops/secrets/role_{name}"} if role.login else {})
            for name, role in settings.roles.items()
        }
        | {pgbouncer.USER: pgbouncer.ROLE, fleet.USER: fleet.role(settings)},
        "databases": {
            name: {
                "owner": database.owner,
                "extensions": [*PLATFORM_EXTENSIONS, *OWN_EXTENSIONS, *database.extensions],
                "connection_limit": database.connection_limit,
                "settings": _as_text(database.settings),
            }
            for name, database in settings.databases.items()
        },
        "platform_extensions": list(PLATFORM_EXTENSIONS),
        "migrations": "/opt/ops/sql/ops",
    }
    declared = json.dumps(document, indent=2) + "\n"
    text_file(declared, CLUSTER_JSON, carries=this.cluster)
    converge(
        name="Bring the cluster to what is declared",
        command=f"{OPS} cluster apply",
        declared=declared,
        settles=this.cluster,
    )
    if _speaks_for_its_cluster(this):
        converge(name=f"Restart who is due in {this.cluster}", command=f"{OPS} cluster restart")


def _migrate(settings: Postgres) -> None:
    """The migrations of the databases that have some, by whoever leads. The check is told what they are to be: while a
    deploy is prepared the folder on the host is still the one before."""
    for name in settings.databases:
        if declared := migrations_of(name):
            converge(
                name=f"Apply the migrations of {name}",
                command=f"{OPS} db migrate --database {name}",
                declared=json.dumps(declared),
            )


def migrations_of(database: str, sql: Path = PROJECT / "sql") -> dict[str, str]:
    """Migration → digest of its text, in order; empty for a database that has no folder of them."""
    files = sorted((sql / PURPOSES[database]).glob("*.sql")) if database in PURPOSES else []
    return {file.stem: digest(file.read_text()) for file in files if not file.name.endswith(ROLLBACK)}


def _own_extensions(this: Host) -> None:
    """Where PostgreSQL looks for them: on every member, since any may be the one that makes them."""
    for name in OWN_EXTENSIONS:
        for file in sorted((PROJECT / "sql" / "extensions").glob(f"{name}*")):
            text_file(file.read_text(), f"/usr/share/postgresql/{this.postgres.version}/extension/{file.name}")


def _speaks_for_its_cluster(this: Host) -> bool:
    """One member of each cluster drives its rolling restart. Who leads does not matter for that, and changes by it."""
    assert this.cluster
    reached = {one.name for one in state.inventory if state.is_host_in_limit(one)}
    return this.name == next(name for name in this.inventory.groups[this.cluster] if name in reached)
