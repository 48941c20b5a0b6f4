"""What a deploy function asks about the host that it is running for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import cache, cached_property, wraps
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import cast

from pyinfra import config, host
from pyinfra.api import deploy
from pyinfra.api.exceptions import DeployError
from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import ctx_host
from pyinfra.facts.hardware import Ipv4Addrs

from ops.deploys.connection import without_delay
from ops.deploys.inventory import Inventory, load
from ops.deploys.memory import remember_facts
from ops.deploys.pki import Authority, Leaf, Material
from ops.deploys.secrets import Secrets
from ops.deploys.settings import Postgres

# Where `ops plan` and `ops drift` say which inventory it is: they prepare deploy.py without pyinfra's command line.
INVENTORY = "pend_ops_inventory"


@dataclass(frozen=True)
class Host:
    """One host of the inventory, seen from inside a deploy: its name, address, groups, secrets and certificates."""

    name: str
    inventory: Inventory

    @property
    def cluster(self) -> str | None:
        """The PostgreSQL cluster that it belongs to."""
        return self.inventory.cluster_of(self.name)

    @property
    def postgres(self) -> Postgres:
        assert self.cluster
        return self.inventory.postgres(self.cluster)

    def is_in(self, group: str) -> bool:
        return self.inventory.is_in(self.name, group)

    @cached_property
    def address(self) -> IPv4Address:
        """Its address in the site's networks; DeployError where it has none."""
        networks = self.inventory.site.networks
        found = [ip_address(a) for addresses in host.get_fact(Ipv4Addrs).values() for a in addresses]
        for address in found:
            if isinstance(address, IPv4Address) and any(address in network for network in networks):
                return address
        raise DeployError(
            f"{self.name} has no address in {', '.join(map(str, networks))} (it has {', '.join(map(str, found))}); "
            "mend site.networks in group_data/all.py"
        )

    def secret(self, name: str) -> str:
        return Secrets(self.inventory.site.secrets).get(name)

    @property
    def ca(self) -> str:
        """The certificate of the site's CA, PEM."""
        return authority(self.inventory.site.pki, self.inventory.site.name).ca

    def issue(self, leaf: Leaf) -> Material:
        """A certificate of the site's CA."""
        return authority(self.inventory.site.pki, self.inventory.site.name).issue(leaf)


@cache
def authority(folder: Path, site: str) -> Authority:
    """The CA of a site, read once."""
    return Authority(folder, site)


@cache
def _load(path: Path) -> Inventory:
    return load(path)


def inventory_path(arguments: list[str]) -> Path | None:
    """The hosts.py that pyinfra was given on its command line; it hands this to nobody."""
    return next((Path(a) for a in arguments if a.endswith("hosts.py") and Path(a).is_file()), None)


def section(name: str) -> Callable[[Callable[[Host], None]], Callable[[Host], None]]:
    """A service of deploy.py: its operations are shown under `name`, and every host waits for it before the next.

    pyinfra keeps the order of operations on each host, and between hosts only where they share one: the last
    operation of each section is shared by all, so that the order of deploy.py is the order of events.
    """

    def decorate(service: Callable[[Host], None]) -> Callable[[Host], None]:
        @wraps(service)
        def run(this: Host) -> None:
            service(this)
            everybody_is_here(name="done on every host")

        return cast(Callable[[Host], None], deploy(name)(run))

    return decorate


@operation()
def everybody_is_here() -> Generator[str, None, None]:
    """Nothing, on every host, when all have come to it."""
    host.noop("done")
    yield from ()


def this_host() -> Host:
    """The host that pyinfra is preparing a deploy for."""
    without_delay(host)
    remember_facts(ctx_host.get())
    if folder := host.data.get(INVENTORY):
        return Host(host.name, _load(folder))
    path = inventory_path(sys.argv[1:])
    if path is None:
        raise DeployError("deploy.py needs an inventory folder: pyinfra inventories/<name>/hosts.py deploy.py")
    if config.FAIL_PERCENT != 0:
        raise DeployError(
            "run pyinfra from the top of the checkout: it reads config.py, our safety settings, only there"
        )
    return Host(host.name, _load(path.resolve()))


class IsContainer(FactBase[bool]):
    """Whether the host shares its kernel, and so can set neither the clock nor most of sysctl."""

    def command(self) -> str:
        return "systemd-detect-virt --container --quiet && echo yes || echo no"

    def process(self, output: list[str]) -> bool:
        return output == ["yes"]
