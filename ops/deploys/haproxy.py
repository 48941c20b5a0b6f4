"""HAProxy on the routers: to each cluster a port for writes and a port for reads. Who leads it asks Patroni."""

from __future__ import annotations

import hashlib
from io import StringIO

from pyinfra import host
from pyinfra.api.command import FileUploadCommand
from pyinfra.api.operation import operation
from pyinfra.facts.files import Sha256File

from ops.deploys.base import CA_FILE
from ops.deploys.marks import only_checks
from ops.deploys.operations import (
    Commands,
    config_file,
    directory,
    render,
    secret_file,
    service,
    text_file,
)
from ops.deploys.pki import host_leaf
from ops.deploys.site import Host, section

UNIT = "haproxy.service"
DROP_IN = f"/etc/systemd/system/{UNIT}.d/pend-ops.conf"
SETTINGS = "/etc/haproxy/haproxy.cfg"
STATS_PORT, METRICS_PORT = 8404, 8405
CERTIFICATE, KEY = "/etc/ops/pki/router.crt", "/etc/ops/pki/router.key"


@section("HAProxy")
def haproxy(this: Host) -> None:
    """Every router routes to every cluster."""
    if not this.is_in("router"):
        return
    material = this.issue(host_leaf("router", this.name, this.address))
    config_file("base/certificate.crt.j2", CERTIFICATE, certificate=material.certificate)
    secret_file(name=f"Write {KEY}", dest=KEY, content=lambda: material.key)
    settings = configuration(this)
    acceptable(name=f"Check what is to be {SETTINGS}", dest=SETTINGS, text=settings, check="haproxy -c -q -f")
    text_file(settings, SETTINGS)
    directory(f"/etc/systemd/system/{UNIT}.d")
    config_file("haproxy/haproxy.service.conf.j2", DROP_IN)
    # A reload takes over the listening sockets: no client that knocks meanwhile is turned away.
    service(UNIT, SETTINGS, DROP_IN, CA_FILE, CERTIFICATE, KEY, verb="reload")


def configuration(this: Host) -> str:
    """haproxy.cfg as it should be."""
    inventory = this.inventory
    return render(
        "haproxy/haproxy.cfg.j2",
        router=inventory.router(),
        ca=CA_FILE,
        networks=" ".join(map(str, inventory.site.networks)),
        stats_port=STATS_PORT,
        metrics_port=METRICS_PORT,
        certificate=CERTIFICATE,
        clusters=[
            {
                "name": cluster,
                "members": inventory.groups[cluster],
                "routing": inventory.routing(cluster),
                "pooler_port": inventory.pooler(cluster).port,
                "api_port": inventory.patroni(cluster).port,
            }
            for cluster in inventory.clusters
        ],
    )


@operation()
def acceptable(dest: str, text: str, check: str) -> Commands:
    """`text` passes `check` before it becomes `dest`: a service must find nothing there that it cannot start with."""
    if host.get_fact(Sha256File, path=dest) == hashlib.sha256(text.encode()).hexdigest():
        host.noop(f"{dest} is up to date")
        return
    only_checks()
    candidate = f"{dest}.candidate"
    yield FileUploadCommand(StringIO(text), candidate)
    yield f"{check} {candidate}; verdict=$?; rm -f {candidate}; exit $verdict"
