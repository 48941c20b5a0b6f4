"""Reading an inventory folder: `hosts.py` and `group_data/`, checked as a whole before any host is contacted.

pyinfra loads the same files for itself; here every key is turned into its model, so that a mistake is named by
file, key and the nearest valid name.
"""

from __future__ import annotations

import runpy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ops.config import Model, nearest, validate
from ops.deploys.settings import KEYS, Drill, Patroni, Postgres, Repository, SeaweedFS, Site
from ops.errors import UsageError

# Groups that a service looks for. Beside them any group whose name starts with pg_ is a PostgreSQL cluster.
SERVICE_GROUPS = ("etcd", "object_store", "drill")
CLUSTER_PREFIX = "pg_"

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Inventory:
    """An inventory that has been checked. `groups`: group name -> host names, in the order of hosts.py."""

    path: Path
    groups: dict[str, tuple[str, ...]]
    data: dict[str, dict[str, Model]]

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host once, in order of first appearance."""
        return tuple(dict.fromkeys(host for hosts in self.groups.values() for host in hosts))

    @property
    def clusters(self) -> tuple[str, ...]:
        return tuple(group for group in self.groups if group.startswith(CLUSTER_PREFIX))

    @property
    def site(self) -> Site:
        return self._get("all", "site", Site)

    @property
    def repository(self) -> Repository:
        return self._get("all", "repository", Repository)

    def postgres(self, cluster: str) -> Postgres:
        return self._get(cluster, "postgres", Postgres)

    def patroni(self, cluster: str) -> Patroni:
        return self._get(cluster, "patroni", Patroni)

    def drill(self) -> Drill:
        return self._get("drill", "drill", Drill)

    def seaweedfs(self) -> SeaweedFS:
        return self._get("object_store", "seaweedfs", SeaweedFS)

    def cluster_of(self, host: str) -> str | None:
        """The PostgreSQL cluster that a host belongs to."""
        return next((cluster for cluster in self.clusters if host in self.groups[cluster]), None)

    def is_in(self, host: str, group: str) -> bool:
        return host in self.groups.get(group, ())

    def _get(self, group: str, key: str, model: type[M]) -> M:
        value = self.data.get(group, {}).get(key)
        return value if isinstance(value, model) else validate(model, {}, f"{self.path}/group_data/{group}.py: {key}")


def load(path: Path) -> Inventory:
    """The inventory in folder `path`, or of the `hosts.py` in it; UsageError for the first file that has mistakes."""
    folder = path.parent if path.name == "hosts.py" else path
    groups = _read_groups(folder / "hosts.py")
    data = {file.stem: _read_data(file, groups) for file in sorted((folder / "group_data").glob("*.py"))}
    inventory = Inventory(folder, groups, data)
    _check_one_group_a_key(inventory)
    _check_whole(inventory)
    return inventory


def _read_groups(file: Path) -> dict[str, tuple[str, ...]]:
    if not file.is_file():
        raise UsageError(f"there is no inventory at {file}", hint="An inventory is a folder with hosts.py in it.")
    groups: dict[str, tuple[str, ...]] = {}
    for name, value in _variables(file).items():
        if not isinstance(value, list) or not all(isinstance(host, str) for host in value):
            raise UsageError(f"{file}: {name} is not a list of host names", hint='Write: pg_main = ["pg1", "pg2"]')
        if name not in SERVICE_GROUPS and not name.startswith(CLUSTER_PREFIX):
            guess = nearest(name, [*SERVICE_GROUPS, *(g for g in groups if g.startswith(CLUSTER_PREFIX))])
            raise UsageError(
                f"{file}: no service looks for the group {name!r}" + (f"; did you mean {guess!r}?" if guess else ""),
                detail=f"Groups: {', '.join(SERVICE_GROUPS)}, and {CLUSTER_PREFIX}<name> for each PostgreSQL cluster.",
            )
        groups[name] = tuple(value)
    return groups


def _read_data(file: Path, groups: dict[str, tuple[str, ...]]) -> dict[str, Model]:
    if file.stem != "all" and file.stem not in groups:
        guess = nearest(file.stem, ["all", *groups])
        raise UsageError(
            f"{file}: hosts.py has no group {file.stem!r}" + (f"; did you mean {guess!r}?" if guess else ""),
            hint="Name the file after the group whose hosts it is for, or all.py.",
        )
    models = {}
    for key, value in _variables(file).items():
        if key.startswith("ssh_"):  # how pyinfra connects: its own to check
            continue
        if key not in KEYS:
            guess = nearest(key, list(KEYS))
            raise UsageError(
                f"{file}: unknown key {key!r}" + (f"; did you mean {guess!r}?" if guess else ""),
                detail=f"Known keys: {', '.join(KEYS)}, and those of pyinfra that start with ssh_.",
            )
        models[key] = validate(KEYS[key], value, f"{file}: {key}")
    return models


def _variables(file: Path) -> dict[str, Any]:
    try:
        found = runpy.run_path(str(file))
    except Exception as error:  # any mistake that Python finds in a settings file is the reader's to mend
        raise UsageError(f"{file}: Python cannot read it", detail=f"{type(error).__name__}: {error}") from error
    return {key: value for key, value in found.items() if not key.startswith("_")}


def _check_one_group_a_key(inventory: Inventory) -> None:
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


def _check_whole(inventory: Inventory) -> None:
    """What no single key can know."""
    where = inventory.path
    inventory.site, inventory.repository  # noqa: B018  both are needed; the properties say what is missing
    if inventory.clusters and not inventory.groups.get("etcd"):
        raise UsageError(f"{where}/hosts.py: PostgreSQL clusters need the group 'etcd', which keeps their leader lock")
    if len(inventory.groups.get("etcd", ())) % 2 == 0 and inventory.clusters:
        raise UsageError(
            f"{where}/hosts.py: etcd has {len(inventory.groups['etcd'])} members; an even one adds no safety",
            hint="Use 3 or 5 hosts.",
        )
    for host in inventory.hosts:
        owners = [cluster for cluster in inventory.clusters if host in inventory.groups[cluster]]
        if len(owners) > 1:
            both = " and ".join(owners)
            raise UsageError(f"{where}/hosts.py: host {host!r} is in {both}; a host serves one cluster")
        if owners and inventory.is_in(host, "drill"):
            raise UsageError(
                f"{where}/hosts.py: host {host!r} is in 'drill' and in {owners[0]!r}",
                hint="Restores are proven on a host that serves no database: a drill must cost production nothing.",
            )
    if inventory.groups.get("drill") and inventory.drill().cluster not in inventory.clusters:
        cluster = inventory.drill().cluster
        guess = nearest(cluster, list(inventory.clusters))
        raise UsageError(
            f"{where}/group_data/drill.py: drill.cluster: there is no cluster {cluster!r}"
            + (f"; did you mean {guess!r}?" if guess else "")
        )
