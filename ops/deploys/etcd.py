"""etcd: where Patroni keeps the leader lock. TLS on every connection, client certificates on every client."""

from __future__ import annotations

from pathlib import Path

from ops.deploys.base import CA_FILE
from ops.deploys.operations import config_file, directory, packages, secret_file, service
from ops.deploys.pki import host_leaf
from ops.deploys.site import Host, section

CLIENT_PORT = 2379
PEER_PORT = 2380
DROP_IN = "/etc/systemd/system/etcd.service.d/pend-ops.conf"
CERTIFICATE, KEY = "/etc/ops/pki/etcd.crt", "/etc/ops/pki/etcd.key"


@section("etcd")
def etcd(this: Host) -> None:
    """One member on each host of the group `etcd`."""
    if not this.is_in("etcd"):
        return
    packages(name="Install etcd", names=["etcd-server", "etcd-client"])
    material = this.issue(host_leaf("etcd", this.name, this.address, client=True))
    config_file("base/certificate.crt.j2", CERTIFICATE, certificate=material.certificate)
    secret_file(name=f"Write {KEY}", dest=KEY, content=lambda: material.key, user="etcd")
    config_file(
        "etcd/etcd.default.j2",
        "/etc/default/etcd",
        member=this.name,
        address=str(this.address),
        peers=this.inventory.groups["etcd"],
        site=this.inventory.site.name,
        client_port=CLIENT_PORT,
        peer_port=PEER_PORT,
        ca=CA_FILE,
        certificate=CERTIFICATE,
        key=KEY,
    )
    directory(str(Path(DROP_IN).parent))
    config_file("etcd/restart.conf.j2", DROP_IN)
    # etcd reads its certificates anew for each connection; only its settings need a restart, one member at a time.
    service("etcd.service", "/etc/default/etcd", DROP_IN)
