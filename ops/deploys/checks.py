"""What no single key of an inventory can know: whether the whole makes sense. One function for each rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.config import nearest
from ops.errors import UsageError

if TYPE_CHECKING:
    from ops.deploys.inventory import Inventory


def one_home_for_a_key(inventory: Inventory) -> None:
    """pyinfra lets the group declared last win, silently; here a key has one home."""
    for host in inventory.hosts:
        homes: dict[str, str] = {}
        for group, keys in inventory.data.items():
            if group != "all" and not inventory.is_in(host, group):
                continue
            for key in keys:
                if key in homes:
                    files = f"group_data/{homes[key]}.py and group_data/{group}.py"
                    raise UsageError(
                        f"{inventory.path}: {key!r} is set twice for host {host!r}",
                        detail=f"In {files}: only one of them could win.",
                        hint="Keep it in one of the two.",
                    )
                homes[key] = group


def needed_keys_are_there(inventory: Inventory) -> None:
    """Both properties raise an error that says what is missing."""
    inventory.site, inventory.repository  # noqa: B018


def etcd_can_vote(inventory: Inventory) -> None:
    """Clusters keep their leader lock in etcd, and an even number of members adds no safety."""
    if not inventory.clusters:
        return
    members = inventory.groups.get("etcd", ())
    if not members:
        raise UsageError(
            f"{inventory.path}/hosts.py: PostgreSQL clusters need the group 'etcd', which keeps their leader lock"
        )
    if len(members) % 2 == 0:
        raise UsageError(
            f"{inventory.path}/hosts.py: etcd has {len(members)} members; an even one adds no safety",
            hint="Use 3 or 5 hosts.",
        )


def hosts_serve_one_cluster(inventory: Inventory) -> None:
    """Of PostgreSQL, and of Redis; and a drill must cost production nothing."""
    where = f"{inventory.path}/hosts.py"
    for host in inventory.hosts:
        for groups in (inventory.clusters, inventory.redis_groups):
            owners = [group for group in groups if host in inventory.groups[group]]
            if len(owners) > 1:
                raise UsageError(f"{where}: host {host!r} is in {' and '.join(owners)}; a host serves one cluster")
        cluster = inventory.cluster_of(host)
        if cluster and inventory.is_in(host, "drill"):
            raise UsageError(
                f"{where}: host {host!r} is in 'drill' and in {cluster!r}",
                hint="Restores are proven on a host that serves no database: a drill must cost production nothing.",
            )


def drills_name_a_cluster(inventory: Inventory) -> None:
    """Restores of a cluster that there is."""
    if not inventory.groups.get("drill") or inventory.drill().cluster in inventory.clusters:
        return
    cluster = inventory.drill().cluster
    guess = nearest(cluster, list(inventory.clusters))
    raise UsageError(
        f"{inventory.path}/group_data/drill.py: drill.cluster: there is no cluster {cluster!r}"
        + (f"; did you mean {guess!r}?" if guess else "")
    )


CHECKS = (
    one_home_for_a_key,
    needed_keys_are_there,
    etcd_can_vote,
    hosts_serve_one_cluster,
    drills_name_a_cluster,
)
