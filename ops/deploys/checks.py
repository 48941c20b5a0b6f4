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


def monitoring_stands_apart(inventory: Inventory) -> None:
    """Who watches must not fall with what is watched, and opens the repository as another user than PostgreSQL's."""
    for host in inventory.groups.get("monitoring", ()):
        if cluster := inventory.cluster_of(host):
            raise UsageError(
                f"{inventory.path}/hosts.py: host {host!r} is in 'monitoring' and in {cluster!r}",
                hint="Give monitoring a host that serves no database: who watches must not fall with what is watched.",
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


def zones_hold_hosts_that_there_are(inventory: Inventory) -> None:
    """Each in one zone: a zone is what fails together."""
    where, seen = f"{inventory.path}/group_data/all.py: site.zones", dict[str, str]()
    for zone, hosts in inventory.site.zones.items():
        for host in hosts:
            if host not in inventory.hosts:
                guess = nearest(host, list(inventory.hosts))
                hint = f"did you mean {guess!r}?" if guess else None
                raise UsageError(f"{where}.{zone}: hosts.py has no host {host!r}", hint=hint)
            if host in seen:
                raise UsageError(f"{where}: host {host!r} is in {seen[host]!r} and in {zone!r}", hint="Keep one.")
            seen[host] = zone


def timescaledb_is_made_for_its_postgresql(inventory: Inventory) -> None:
    """A package that apt could never install, or that the server could never load."""
    for cluster in inventory.clusters:
        timescaledb = inventory.timescaledb(cluster)
        reason = timescaledb and timescaledb.unfit_for(inventory.postgres(cluster).version)
        if reason:
            raise UsageError(
                f"{inventory.path}/group_data/{cluster}.py: timescaledb: {reason}",
                hint="Pin an older series, or give the cluster a newer postgres.version and the package made for it.",
            )


def redis_groups_have_the_hosts_of_their_mode(inventory: Inventory) -> None:
    """A vote needs an odd number, a cluster three masters with their replicas, and a lone server is alone."""
    for group in inventory.redis_groups:
        redis, count = inventory.redis(group), len(inventory.groups[group])
        masters, rest = divmod(count, 1 + redis.replicas)
        wrong, hint = {
            "standalone": (count != 1, "Mode standalone is one host; with three, choose sentinel."),
            "sentinel": (count < 3 or count % 2 == 0, "Sentinels vote: use 3 or 5 hosts."),
            "cluster": (
                masters < 3 or rest > 0,
                f"With replicas: {redis.replicas} it is three or more times {1 + redis.replicas} hosts.",
            ),
        }[redis.mode]
        if wrong:
            raise UsageError(
                f"{inventory.path}/hosts.py: {group} has {count} hosts, which is no {redis.mode!r} group", hint=hint
            )


def redis_shares_no_host_with_postgresql(inventory: Inventory) -> None:
    """Redis forks to save and needs memory to be promised freely; PostgreSQL is safe only where it is not."""
    for host in inventory.hosts:
        cluster, group = inventory.cluster_of(host), inventory.redis_of(host)
        if cluster and group:
            raise UsageError(
                f"{inventory.path}/hosts.py: host {host!r} is in {cluster!r} and in {group!r}",
                hint="vm.overcommit_memory must be 2 for the one and 1 for the other: give Redis hosts of its own.",
            )


def routers_have_somewhere_to_lead(inventory: Inventory) -> None:
    """To each cluster by ports of its own."""
    if not inventory.groups.get("router"):
        return
    if not inventory.clusters:
        raise UsageError(
            f"{inventory.path}/hosts.py: the group 'router' has nothing to lead to: there is no PostgreSQL cluster",
            hint='Add one, pg_main = ["pg1", "pg2", "pg3"], or take the routers out.',
        )
    uses: dict[int, str] = {}
    for cluster in inventory.clusters:
        routing = inventory.routing(cluster)
        for key, port in (("write_port", routing.write_port), ("read_port", routing.read_port)):
            if port in uses:
                raise UsageError(
                    f"{inventory.path}/group_data/{cluster}.py: routing.{key} is {port}, and so is {uses[port]}",
                    hint="Every router leads to every cluster: give each use a port of its own.",
                )
            uses[port] = f"{key} of {cluster}"


def alerts_reach_somebody(inventory: Inventory) -> None:
    """Without group data too: the settings say what is missing."""
    if inventory.groups.get("monitoring"):
        inventory.monitoring()


CHECKS = (
    one_home_for_a_key,
    needed_keys_are_there,
    etcd_can_vote,
    hosts_serve_one_cluster,
    monitoring_stands_apart,
    drills_name_a_cluster,
    zones_hold_hosts_that_there_are,
    timescaledb_is_made_for_its_postgresql,
    redis_groups_have_the_hosts_of_their_mode,
    redis_shares_no_host_with_postgresql,
    routers_have_somewhere_to_lead,
    alerts_reach_somebody,
)
