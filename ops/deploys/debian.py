"""Debian's packages, for all services of a host in one run of apt: each run takes longer than most of what it installs.

What a service needs is said in ops/deploys/needs.py. None of them is started here: that is done once it is configured.
"""

from __future__ import annotations

from pyinfra import host

from ops.deploys.needs import needs
from ops.deploys.operations import config_file, directory, packages
from ops.deploys.platform import serves
from ops.deploys.site import Host, IsContainer, section
from ops.model.impact import Impact


@section("Packages")
def debian(this: Host) -> None:
    """Those without a pin at once, then the pinned ones; what comes from a source of its own is left to its service."""
    if serves(this):
        # Patroni makes the clusters; one made by the package would only hold the port.
        directory("/etc/postgresql-common")
        config_file("postgresql/createcluster.conf.j2", "/etc/postgresql-common/createcluster.conf")
    asked = [need for need in needs(this.inventory, this.name) if need.packages and not need.source]
    names = {name for need in asked if not need.version for name in need.packages}
    if not host.get_fact(IsContainer):  # a container has its machine's clock
        names.add("chrony")
    packages(name="Install what the services of this host need", names=sorted(names))
    # What runs goes on with the programs that it was started from: `ops cluster restart` is what changes to the new.
    impacts = (Impact.RESTART, Impact.SWITCHOVER) if this.cluster else ()
    for pinned, version in {need.packages: need.version for need in asked if need.version}.items():
        packages(name=f"Install {pinned[0]} as pinned", names=list(pinned), version=version, impacts=impacts)
