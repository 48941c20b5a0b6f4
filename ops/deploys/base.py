"""Every host: the right time, room for open files, kernel settings, and the site's CA."""

from __future__ import annotations

from pyinfra import host
from pyinfra.facts.hardware import Memory

from ops.deploys.operations import config_file, directory, service
from ops.deploys.site import Host, IsContainer, section
from ops.model.sizing import MIB, sizes

CA_FILE = "/etc/ops/pki/ca.crt"
SYSCTL = "/etc/sysctl.d/60-pend-ops.conf"


@section("Base system")
def base(this: Host) -> None:
    """Kernel and limits, then the CA that every service is verified against."""
    is_container = host.get_fact(IsContainer)
    config_file("base/limits.conf.j2", "/etc/security/limits.d/60-pend-ops.conf")
    config_file("base/sysctl.conf.j2", SYSCTL, huge_pages=_huge_pages(this))
    if not is_container:  # a container has its machine's kernel and clock, set by whoever runs the machine
        service("systemd-sysctl.service", SYSCTL)
        service("chrony.service")
    directory("/etc/ops")
    directory("/etc/ops/pki")
    config_file("base/ca.crt.j2", CA_FILE, ca=this.ca)


def _huge_pages(this: Host) -> int:
    """For PostgreSQL's shared memory, on hosts that have it."""
    if this.cluster is None or "shared_buffers" in this.postgres.settings:
        return 0  # pages set aside for another size than PostgreSQL asks for are lost to everybody
    sizing = this.postgres.sizing
    memory = sizing.memory_mib or host.get_fact(Memory) or 1024
    return sizes(memory * MIB, sizing.cores or 1).huge_pages
