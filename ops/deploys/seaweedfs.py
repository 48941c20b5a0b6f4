"""SeaweedFS: the lab's object storage, a single server with TLS (docs/adr/0004-seaweedfs-in-the-lab.md)."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from pyinfra import host
from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.operations import server

from ops.deploys.operations import Commands, config_file, directory, python_environment, secret_file, service, unit_file
from ops.deploys.pki import host_leaf
from ops.deploys.site import Host, section
from ops.deploys.wheels import environment

IDENTITIES = "/etc/seaweedfs/s3.json"
CERTIFICATE, KEY = "/etc/ops/pki/s3.crt", "/etc/ops/pki/s3.key"
UNIT_FILE = "/etc/systemd/system/seaweedfs.service"


@section("SeaweedFS")
def seaweedfs(this: Host) -> None:
    """The server and its bucket, on the one host of the group `object_store`."""
    if not this.is_in("object_store"):
        return
    repository = this.inventory.repository
    python_environment(name="Install SeaweedFS", environment=environment("seaweedfs", "/opt/seaweedfs"))
    server.user(  # noqa: S604  a login shell's path, not a flag
        name="Make the user seaweedfs",
        user="seaweedfs",
        system=True,
        shell="/usr/sbin/nologin",
        home="/var/lib/seaweedfs",
    )
    directory("/etc/seaweedfs")
    directory("/var/lib/seaweedfs", user="seaweedfs", mode="700")
    material = this.issue(host_leaf("s3", this.name, this.address))
    config_file("base/certificate.crt.j2", CERTIFICATE, certificate=material.certificate)
    secret_file(name=f"Write {KEY}", dest=KEY, content=lambda: material.key, user="seaweedfs")
    secret_file(name=f"Write {IDENTITIES}", dest=IDENTITIES, content=lambda: _identities(this), user="seaweedfs")
    port = urlsplit(repository.endpoint).port or this.inventory.seaweedfs().port
    unit_file(
        "seaweedfs/seaweedfs.service.j2",
        "seaweedfs",
        address=str(this.address),
        port=port,
        identities=IDENTITIES,
        certificate=CERTIFICATE,
        key=KEY,
    )
    service("seaweedfs.service", UNIT_FILE, IDENTITIES, CERTIFICATE, KEY)
    make_bucket(name=f"Make the bucket {repository.bucket}", bucket=repository.bucket)


def _identities(this: Host) -> str:
    """Who may do what: one identity, with one bucket."""
    bucket = this.inventory.repository.bucket
    return json.dumps(
        {
            "identities": [
                {
                    "name": "ops",
                    "credentials": [
                        {
                            "accessKey": this.secret("repository_access_key"),
                            "secretKey": this.secret("repository_secret_key"),
                        }
                    ],
                    "actions": [f"{action}:{bucket}" for action in ("Read", "Write", "List", "Tagging")],
                }
            ]
        },
        indent=2,
    )


@operation()
def make_bucket(bucket: str) -> Commands:
    """A bucket with versioning and Object Lock, which can be had only at its making."""
    if bucket in (host.get_fact(Buckets) or []):
        host.noop(f"bucket {bucket} exists")
        return
    # The server answers a few seconds after systemd calls it started.
    yield f"for i in $(seq 60); do {_shell('s3.bucket.list')} >/dev/null && break; sleep 0.5; done"
    yield _shell(f"s3.bucket.create -name {bucket} -withLock")


class Buckets(FactBase[list[str]]):
    """The names of the server's buckets; none while it does not answer."""

    default = list

    def command(self) -> str:
        return f"{_shell('s3.bucket.list')} 2>/dev/null || true"

    def process(self, output: list[str]) -> list[str]:
        return [line.split()[0] for line in output if line.strip()]


def _shell(command: str) -> str:
    return f"echo '{command}' | timeout 10 /opt/seaweedfs/bin/weed shell -master=127.0.0.1:9333"
