"""The `ops` package on the hosts that archive, back up, drill and watch, with its configuration and credentials."""

from __future__ import annotations

from functools import partial
from typing import Any

from pyinfra import host
from pyinfra.facts.files import Directory, FindFiles
from pyinfra.operations import files

from ops.deploys.base import CA_FILE
from ops.deploys.etcd_members import CLIENT_PORT
from ops.deploys.operations import (
    config_file,
    directory,
    folder,
    python_environment,
    secret_file,
    service,
    unit_file,
)
from ops.deploys.settings import Postgres, Repository
from ops.deploys.settings.site import Bucket
from ops.deploys.site import Host, section
from ops.deploys.wheels import PROJECT, environment

OPS = "/opt/ops/bin/ops"
# What PostgreSQL runs for each segment (ops/wal/client.py). The shell fills in the version of Python, which members of
# one cluster need not share; the file comes and goes with the rest of ops, by the move of one link.
WAL_CLIENT = "/usr/bin/python3 -I -S /opt/ops/lib/python3.*/site-packages/ops/wal/client.py"
CREDENTIALS = "/etc/ops/s3-credentials"
KEYS = "/etc/ops/keys"


def bin_dir(postgres: Postgres) -> str:
    return f"/usr/lib/postgresql/{postgres.version}/bin"


def data_dir(postgres: Postgres, cluster: str) -> str:
    return f"/var/lib/postgresql/{postgres.version}/{cluster}"


@section("ops")
def platform(this: Host) -> None:
    """`ops` from wheels and the SQL that it runs; where data are handled, its configuration and the archiver too."""
    cluster = serves(this)
    if cluster is None and not this.is_in("monitoring"):
        return
    python_environment(name="Install ops", environment=environment("host", "/opt/ops", with_ops=True))
    files.link(name="Put ops on the PATH", path="/usr/local/bin/ops", target=OPS)
    folder(name="Copy the SQL that ops runs", src=PROJECT / "sql", dest="/opt/ops/sql")
    if cluster:
        _configuration(this, cluster)


def _configuration(this: Host, cluster: str) -> None:
    """/etc/ops/ops.toml, what it names, and the archiver, for the cluster whose data this host handles."""
    postgres = this.inventory.postgres(cluster)
    ops_toml(
        this,
        cluster,
        "/etc/ops/ops.toml",
        repository_access(this, "/etc/ops", user="postgres"),
        data_dir=data_dir(postgres, cluster) if this.cluster else None,
        patroni_url=f"https://{this.address}:{this.inventory.patroni(cluster).port}" if this.cluster else None,
        etcd=list(this.inventory.groups.get("etcd", ())),
        etcd_port=CLIENT_PORT,
        drill=this.inventory.drill() if this.is_in("drill") else None,
    )
    # On a drill host too: what is restored there by hand fetches its WAL ahead of replay.
    unit_file("ops/ops-archiver.service.j2", "ops-archiver", ops=OPS)
    unit = "/etc/systemd/system/ops-archiver.service"
    keys = [f"{KEYS}/{key}" for key in _wanted_keys(this.inventory.repository)]
    service("ops-archiver.service", unit, "/etc/ops/ops.toml", CREDENTIALS, *keys, "/opt/ops/.installed")
    if this.is_in("drill"):
        directory("/var/lib/ops")
        directory("/var/lib/ops/drill", user="postgres", mode="700")


def ops_toml(this: Host, cluster: str, dest: str, access: dict[str, Any], **host_data: Any) -> None:
    """An ops.toml for `cluster`, with the files that `repository_access` has written; `host_data`: the rest of it."""
    postgres, repository = this.inventory.postgres(cluster), this.inventory.repository
    config_file(
        "ops/ops.toml.j2",
        dest,
        cluster=cluster,
        repository=repository,
        ca_files={name: _ca_file(bucket) for name, bucket in _buckets(repository).items()},
        postgres=postgres,
        bin_dir=bin_dir(postgres),
        **access,
        **host_data,
    )


def repository_access(this: Host, folder: str, *, user: str) -> dict[str, Any]:
    """The credentials and keys of the repository, in `folder` and for `user` alone; their paths, as ops.toml.j2 asks.

    Of keys there are those that the inventory names, and no others: one that was rotated out leaves the host.
    """
    repository = this.inventory.repository
    credentials = {name: f"{folder}/{_credentials_name(name)}" for name in _buckets(repository)}
    for name, bucket in _buckets(repository).items():
        if bucket.credentials == "secrets":
            path = credentials[name]
            secret_file(name=f"Write {path}", dest=path, content=partial(_credentials, this, name), user=user)
    keys, wanted = f"{folder}/keys", _wanted_keys(repository)
    if wanted:
        directory(keys, user=user, mode="700")
    for key in wanted:
        path = f"{keys}/{key}"
        secret_file(name=f"Write {path}", dest=path, content=partial(_key, this, key), user=user)
    present = host.get_fact(Directory, path=keys) and host.get_fact(FindFiles, path=keys)
    for path in sorted(set(present or []) - {f"{keys}/{key}" for key in wanted}):
        files.file(name=f"Remove {path}", path=path, present=False)
    return {"credentials": credentials, "key_directory": keys if wanted else None}


def _wanted_keys(repository: Repository) -> list[str]:
    """The ids of the keys that its buckets need: none where all of them are declared to be plaintext."""
    sealed = any(bucket.encryption != "none" for bucket in _buckets(repository).values())
    return repository.keys if sealed else []


def serves(this: Host) -> str | None:
    """The cluster whose data this host handles: its own, or the one that it drills."""
    if this.cluster or not this.is_in("drill"):
        return this.cluster
    drilled = this.inventory.drill().cluster
    return drilled if drilled in this.inventory.clusters else None  # it may be left out of this deploy


def _key(this: Host, key: str) -> str:
    return this.secret(f"repository_key_{key}") + "\n"


def _buckets(repository: Repository) -> dict[str, Bucket]:
    """All buckets by the name of their repository; the first one has none."""
    return {"": repository, **repository.others}


def _ca_file(bucket: Bucket) -> str:
    return {"site": CA_FILE, "system": "/etc/ssl/certs/ca-certificates.crt"}.get(bucket.ca, bucket.ca)


def _credentials_name(name: str) -> str:
    return f"s3-credentials-{name}" if name else "s3-credentials"


def _credentials(this: Host, name: str) -> str:
    secret = f"repository_{name}" if name else "repository"
    return (
        "[default]\n"
        f"aws_access_key_id = {this.secret(f'{secret}_access_key')}\n"
        f"aws_secret_access_key = {this.secret(f'{secret}_secret_key')}\n"
    )
