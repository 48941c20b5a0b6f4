"""The ways that clients go to a cluster: through the routers to write and to read, and straight to its members."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ops.deploys.inventory import Inventory, load
from ops.deploys.routes import routes
from ops.deploys.secrets import Secrets
from ops.errors import UsageError
from ops.lab import inventory as lab_inventory
from ops.lab import paths
from ops.lab.paths import DEFAULT_INVENTORY
from ops.model.journal import Client, Use
from ops.model.routing import Route, keywords

USES: tuple[Use, ...] = ("steady", "held", "idle")


@dataclass(frozen=True)
class Ways:
    """Connection strings with their password: not for printing. `members`: of each member's own server."""

    write: str
    read: str
    direct: str
    members: dict[str, str]

    def clients(self) -> dict[Client, str]:
        """Each client of a drill, and its way: on every route one that goes on, and two from before the fault."""
        return {
            Client(route if use == "steady" else f"{route}, {use}", route, use, writes=route != "read"): dsn
            for route, dsn in (("write", self.write), ("read", self.read), ("direct", self.direct))
            for use in USES
        }


def ways(inventory: Inventory, database: str, *, addresses: dict[str, str]) -> Ways:
    """The ways to `database` as its owner, with what `ops connect` prints. `addresses`: of hosts whose names this
    machine does not know. UsageError where no router leads there."""
    write, read = routes(inventory, database, ca_file=str(inventory.site.pki / "ca.crt"))
    [cluster] = [one for one in inventory.clusters if database in inventory.postgres(one).databases]
    members = inventory.groups[cluster]
    straight = replace(write, routers=members, port=inventory.postgres(cluster).port)
    password = Secrets(inventory.site.secrets).get(f"role_{write.user}")

    def dsn(route: Route) -> str:
        found = [addresses.get(host, "") for host in route.routers]
        where = f" hostaddr={','.join(found)}" if any(found) else ""
        return f"{keywords(route)}{where} password={password}"

    return Ways(
        write=dsn(write),
        read=dsn(read),
        direct=f"{dsn(straight)} target_session_attrs=read-write",
        members={member: dsn(replace(straight, routers=(member,))) for member in members},
    )


def database_of(inventory: Inventory, cluster: str) -> str:
    """The database that a drill's clients use: the first that is declared. UsageError where there is none."""
    databases = list(inventory.postgres(cluster).databases)
    if not databases:
        raise UsageError(
            f"{inventory.path} declares no database in {cluster}: a drill's clients have nothing to write to",
            hint=f"Declare one in group_data/{cluster}.py: postgres.databases.",
        )
    return databases[0]


def lab_addresses(inventory: Path) -> dict[str, str]:
    """Host → address in the lab: only its hosts know each other by name."""
    return {host.name: str(host.address) for host in lab_inventory.read(paths.from_environment(), inventory)}


def through_router(database: str, *, read: bool = False, inventory: Path | None = None) -> str:
    """The way to a database of the lab."""
    inventory = inventory or DEFAULT_INVENTORY
    found = ways(load(inventory), database, addresses=lab_addresses(inventory))
    return found.read if read else found.write
