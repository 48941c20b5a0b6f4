"""The `ops` package on the hosts that archive, back up and drill, with its configuration and credentials."""

from __future__ import annotations

from pyinfra.operations import files

from ops.deploys.base import CA_FILE
from ops.deploys.etcd_members import CLIENT_PORT
from ops.deploys.operations import config_file, directory, packages, python_environment, secret_file
from ops.deploys.settings import Postgres
from ops.deploys.site import Host, section
from ops.deploys.wheels import PROJECT, wheelhouse
from ops.model.impact import Impact

OPS = "/opt/ops/bin/ops"
CREDENTIALS = "/etc/ops/s3-credentials"


def bin_dir(postgres: Postgres) -> str:
    return f"/usr/lib/postgresql/{postgres.version}/bin"


def data_dir(postgres: Postgres, cluster: str) -> str:
    return f"/var/lib/postgresql/{postgres.version}/{cluster}"


@section("PostgreSQL packages")
def postgres_packages(this: Host) -> None:
    """The server's programs: on database hosts to run it, on drill hosts to run what was restored."""
    cluster = serves(this)
    if cluster is None:
        return
    settings = this.inventory.postgres(cluster)
    # Patroni makes the clusters; one made by the package would only hold the port.
    directory("/etc/postgresql-common")
    config_file("postgresql/createcluster.conf.j2", "/etc/postgresql-common/createcluster.conf")
    # What runs goes on with the programs that it was started from: `ops cluster restart` is what changes to the new.
    names = [f"postgresql-{settings.version}", f"postgresql-client-{settings.version}"]
    impacts = (Impact.RESTART, Impact.SWITCHOVER) if this.cluster else ()
    packages(name="Install PostgreSQL", names=names, version=settings.package_version, impacts=impacts)


@section("ops")
def platform(this: Host) -> None:
    """`ops` from wheels, /etc/ops/ops.toml, the credentials of the repository, and the SQL that `ops` runs."""
    cluster = serves(this)
    if cluster is None:
        return
    postgres, repository = this.inventory.postgres(cluster), this.inventory.repository
    python_environment(name="Install ops from wheels", path="/opt/ops", house=wheelhouse("host", with_ops=True))
    files.link(name="Put ops on the PATH", path="/usr/local/bin/ops", target=OPS)
    files.sync(
        name="Copy the SQL that ops runs", src=str(PROJECT / "sql"), dest="/opt/ops/sql", user="root", group="root",
        mode="644", dir_mode="755", delete=True,
    )  # fmt: skip
    ca_files = {"site": CA_FILE, "system": "/etc/ssl/certs/ca-certificates.crt"}
    config_file(
        "ops/ops.toml.j2",
        "/etc/ops/ops.toml",
        cluster=cluster,
        repository=repository,
        ca_file=ca_files.get(repository.ca, repository.ca),
        credentials=CREDENTIALS,
        postgres=postgres,
        bin_dir=bin_dir(postgres),
        data_dir=data_dir(postgres, cluster) if this.cluster else None,
        patroni_url=f"https://{this.address}:{this.inventory.patroni(cluster).port}" if this.cluster else None,
        etcd=list(this.inventory.groups.get("etcd", ())),
        etcd_port=CLIENT_PORT,
        drill=this.inventory.drill() if this.is_in("drill") else None,
    )
    secret_file(name=f"Write {CREDENTIALS}", dest=CREDENTIALS, content=lambda: _credentials(this), user="postgres")
    if this.is_in("drill"):
        directory("/var/lib/ops")
        directory("/var/lib/ops/drill", user="postgres", mode="700")


def serves(this: Host) -> str | None:
    """The cluster whose data this host handles: its own, or the one that it drills."""
    if this.cluster or not this.is_in("drill"):
        return this.cluster
    drilled = this.inventory.drill().cluster
    return drilled if drilled in this.inventory.clusters else None  # it may be left out of this deploy


def _credentials(this: Host) -> str:
    return (
        "[default]\n"
        f"aws_access_key_id = {this.secret('repository_access_key')}\n"
        f"aws_secret_access_key = {this.secret('repository_secret_key')}\n"
    )
