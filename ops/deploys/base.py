"""Every host: the right time, room for open files, kernel settings, and the site's CA."""

from __future__ import annotations

from pyinfra import host
from pyinfra.facts.hardware import Memory
from pyinfra.operations import server

from ops.deploys.operations import config_file, directory, packages, service
from ops.deploys.site import Host, IsContainer, section
from ops.model.sizing import MIB, sizes

CA_FILE = "/etc/ops/pki/ca.crt"


@section("Base system")
def base(this: Host) -> None:
    """Install, then kernel and limits, then the CA that every service is verified against."""
    is_container = host.get_fact(IsContainer)
    packages(
        name="Install the base packages",
        names=["ca-certificates", "python3", "python3-venv", "curl"] + ([] if is_container else ["chrony"]),
    )
    config_file("base/limits.conf.j2", "/etc/security/limits.d/60-pend-ops.conf")
    kernel = config_file("base/sysctl.conf.j2", "/etc/sysctl.d/60-pend-ops.conf", huge_pages=_huge_pages(this))
    if not is_container:  # a container has its machine's kernel and clock, set by whoever runs the machine
        server.shell(name="Apply the kernel settings", commands=["sysctl --quiet --system"], _if=kernel.did_change)
        service("chrony.service")
    directory("/etc/ops")
    directory("/etc/ops/pki")
    config_file("base/ca.crt.j2", CA_FILE, ca=this.ca)


def _huge_pages(this: Host) -> int:
    """For PostgreSQL's shared memory, on hosts that have it."""
    if this.cluster is None:
        return 0
    sizing = this.postgres.sizing
    memory = sizing.memory_mib or host.get_fact(Memory) or 1024
    return sizes(memory * MIB, sizing.cores or 1).huge_pages
