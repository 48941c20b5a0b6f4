"""etcd: where Patroni keeps the leader lock. TLS on every connection, client certificates on every client."""

from __future__ import annotations

from pathlib import Path

from ops.deploys.base import CA_FILE
from ops.deploys.etcd_members import (
    CERTIFICATE,
    CLIENT_PORT,
    DATA,
    INITIAL,
    KEY,
    PEER_PORT,
    UNIT,
    admitted,
    look_for_data,
)
from ops.deploys.operations import config_file, directory, secret_file, service
from ops.deploys.pki import host_leaf
from ops.deploys.site import Host, section

SETTINGS = "/etc/default/etcd"
DROP_IN = "/etc/systemd/system/etcd.service.d/pend-ops.conf"


@section("etcd")
def etcd(this: Host) -> None:
    """One member on each host of the group `etcd`. Who the members are is etcd's own knowledge: see etcd_members."""
    if not this.is_in("etcd"):
        return
    look_for_data(this.name)
    material = this.issue(host_leaf("etcd", this.name, this.address, client=True))
    config_file("base/certificate.crt.j2", CERTIFICATE, certificate=material.certificate)
    secret_file(name=f"Write {KEY}", dest=KEY, content=lambda: material.key, user="etcd")
    config_file(
        "etcd/etcd.default.j2",
        SETTINGS,
        member=this.name,
        address=str(this.address),
        client_port=CLIENT_PORT,
        peer_port=PEER_PORT,
        ca=CA_FILE,
        certificate=CERTIFICATE,
        key=KEY,
    )
    directory(str(Path(DROP_IN).parent))
    config_file("etcd/pend-ops.conf.j2", DROP_IN, data=DATA, initial=INITIAL)
    admitted(
        name="Be a member of etcd",
        member=this.name,
        peers={peer: f"https://{peer}:{PEER_PORT}" for peer in this.inventory.groups["etcd"]},
        site=this.inventory.site.name,
        _serial=True,
    )
    # etcd reads its certificates anew for each connection; only its settings need a restart, one member at a time.
    service(UNIT, SETTINGS, DROP_IN)
