"""Where a lab keeps its things: every path and every name of a kernel object is said here, once.

Two environment variables make a second lab beside the first (its inventory needs other host names, because
systemd-nspawn names the network links after the hosts): OPS_LAB_NAME and OPS_LAB_SUBNET.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from ops.errors import UsageError

DEFAULT_NAME = "ops-lab"
DEFAULT_SUBNET = IPv4Network("10.213.7.0/24")
VAR = Path("/var")
DEFAULT_INVENTORY = Path(__file__).resolve().parents[2] / "inventories" / "lab" / "hosts.py"
FIRST_HOST = 11  # .1 is the bridge; the rest below is room for whatever a person attaches by hand


@dataclass(frozen=True)
class Lab:
    """One lab: `state` is gone after `down`, `cache` is kept until `down --purge`."""

    name: str = DEFAULT_NAME
    subnet: IPv4Network = DEFAULT_SUBNET
    var: Path = VAR

    @property
    def state(self) -> Path:
        return self.var / "lib" / self.name

    @property
    def cache(self) -> Path:
        return self.var / "cache" / self.name

    @property
    def lock(self) -> Path:
        return self.state / "lock"

    @property
    def hosts(self) -> Path:
        return self.state / "hosts"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def ssh(self) -> Path:
        return self.state / "ssh"

    @property
    def ssh_key(self) -> Path:
        return self.ssh / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.ssh / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        return self.state / "ssh_config"

    @property
    def ip_forward_before(self) -> Path:
        """What /proc/sys/net/ipv4/ip_forward held before the lab came up."""
        return self.state / "ip_forward"

    @property
    def bases(self) -> Path:
        return self.cache / "base"

    @property
    def archives(self) -> Path:
        return self.cache / "debs"

    @property
    def bridge(self) -> str:
        return self.name.replace("-", "") + "0"

    @property
    def table(self) -> str:
        """The nftables table (family ip)."""
        return self.name

    @property
    def cgroup(self) -> str:
        """The directory below each cgroup hierarchy that holds one directory per host."""
        return self.name

    @property
    def gateway(self) -> IPv4Address:
        return self.subnet[1]

    def root(self, host: str) -> Path:
        """Where the disk of a host is mounted."""
        return self.hosts / host / "root"

    def journal(self, host: str) -> Path:
        """The journal of a host, on its disk: readable also when it does not run."""
        return self.hosts / host / "upper/var/log/journal"

    def console(self, host: str) -> Path:
        return self.logs / f"{host}.log"


def from_environment() -> Lab:
    """The lab that OPS_LAB_NAME and OPS_LAB_SUBNET name. UsageError if they make no sense."""
    name = os.environ.get("OPS_LAB_NAME", DEFAULT_NAME)
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,12}[a-z0-9]", name):
        raise UsageError(
            f"OPS_LAB_NAME={name!r} cannot name a lab",
            hint="2 to 14 lower-case letters, digits and dashes, starting with a letter",
        )
    subnet = os.environ.get("OPS_LAB_SUBNET", str(DEFAULT_SUBNET))
    try:
        return Lab(name, IPv4Network(subnet))
    except ValueError as error:
        raise UsageError(f"OPS_LAB_SUBNET={subnet!r} is no IPv4 network", detail=str(error)) from None


def veth(host: str) -> str:
    """The controller's end of the link of a host, as systemd-nspawn names it."""
    return f"vb-{host}"
