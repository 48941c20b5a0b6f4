"""The way to a database, as an inventory declares it."""

from __future__ import annotations

from ops.config import nearest
from ops.deploys.inventory import Inventory
from ops.errors import UsageError
from ops.model.routing import Route


def routes(inventory: Inventory, database: str, *, ca_file: str, user: str | None = None) -> tuple[Route, Route]:
    """One to write and one to read, as `user` or as the owner of `database`; UsageError where there is no such way."""
    declared = {cluster: inventory.postgres(cluster).databases for cluster in inventory.clusters}
    homes = [cluster for cluster, databases in declared.items() if database in databases]
    if len(homes) > 1:
        raise UsageError(f"{inventory.path} declares a database {database!r} in {' and in '.join(homes)}")
    if not homes:
        names = [name for databases in declared.values() for name in databases]
        guess = nearest(database, names)
        raise UsageError(
            f"{inventory.path} declares no database {database!r}" + (f"; did you mean {guess!r}?" if guess else ""),
            detail=f"Databases: {', '.join(names) or 'none'}.",
        )
    [cluster] = homes
    postgres, ports = inventory.postgres(cluster), inventory.routing(cluster)
    user = user or postgres.databases[database].owner
    if user not in postgres.roles or not postgres.roles[user].login:
        raise UsageError(
            f"{inventory.path} declares no role {user!r} that may log in to {database!r}",
            detail=f"Roles: {', '.join(name for name, role in postgres.roles.items() if role.login)}.",
        )
    routers = inventory.groups.get("router", ())
    if not routers:
        raise UsageError(f"{inventory.path}/hosts.py has no group 'router': there is nothing to connect through")
    name = next(iter(inventory.router().names), routers[0])
    write, read = (Route(routers, name, port, database, user, ca_file) for port in (ports.write_port, ports.read_port))
    return write, read
