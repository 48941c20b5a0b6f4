"""Reading an inventory folder: `hosts.py` and `group_data/`, checked as a whole before any host is contacted.

pyinfra loads the same files for itself; here every key is turned into its model, so that a mistake is named by
file, key and the nearest valid name.
"""

from __future__ import annotations

import runpy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from ops.config import Model, nearest, validate
from ops.deploys.checks import CHECKS
from ops.deploys.settings import (
    KEYS,
    Drill,
    Monitoring,
    Patroni,
    Pooler,
    Postgres,
    Redis,
    Repository,
    Router,
    Routing,
    Schedules,
    SeaweedFS,
    Site,
    TimescaleDB,
)
from ops.errors import UsageError
from ops.model.jobs import Job, jobs

# Groups that a service looks for, and prefixes of groups that there may be any number of.
SERVICE_GROUPS = ("etcd", "object_store", "router", "drill", "monitoring")
CLUSTER_PREFIX, REDIS_PREFIX = "pg_", "redis_"
PREFIXES = {CLUSTER_PREFIX: "PostgreSQL cluster", REDIS_PREFIX: "set of Redis servers"}

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
        """The groups that are PostgreSQL clusters."""
        return tuple(group for group in self.groups if group.startswith(CLUSTER_PREFIX))

    @property
    def redis_groups(self) -> tuple[str, ...]:
        """The groups whose hosts run Redis together."""
        return tuple(group for group in self.groups if group.startswith(REDIS_PREFIX))

    @property
    def site(self) -> Site:
        return self._get("all", "site", Site)

    @property
    def repository(self) -> Repository:
        return self._get("all", "repository", Repository)

    def postgres(self, cluster: str) -> Postgres:
        """A cluster as declared, with what TimescaleDB asks of it where it has that."""
        declared, timescaledb = self._get(cluster, "postgres", Postgres), self.timescaledb(cluster)
        return timescaledb.on(declared) if timescaledb else declared

    def patroni(self, cluster: str) -> Patroni:
        return self._get(cluster, "patroni", Patroni)

    def timescaledb(self, cluster: str) -> TimescaleDB | None:
        """TimescaleDB of a cluster; None where its group data have no such key."""
        value = self.data.get(cluster, {}).get("timescaledb")
        return value if isinstance(value, TimescaleDB) else None

    def pooler(self, cluster: str) -> Pooler:
        return self._get(cluster, "pooler", Pooler)

    def routing(self, cluster: str) -> Routing:
        return self._get(cluster, "routing", Routing)

    def router(self) -> Router:
        return self._get("router", "router", Router)

    def redis(self, group: str) -> Redis:
        return self._get(group, "redis", Redis)

    def drill(self) -> Drill:
        return self._get("drill", "drill", Drill)

    def schedules(self, cluster: str) -> dict[Job, str]:
        """When each job is due that there is in this cluster; empty: never."""
        chosen = self._get(cluster, "schedules", Schedules).model_dump()
        return {job: chosen[job] for job in jobs(self.postgres(cluster).databases)}

    def monitoring(self) -> Monitoring:
        return self._get("monitoring", "monitoring", Monitoring)

    def seaweedfs(self) -> SeaweedFS:
        return self._get("object_store", "seaweedfs", SeaweedFS)

    def cluster_of(self, host: str) -> str | None:
        """The PostgreSQL cluster that a host belongs to."""
        return next((cluster for cluster in self.clusters if host in self.groups[cluster]), None)

    def redis_of(self, host: str) -> str | None:
        """The Redis group that a host belongs to."""
        return next((group for group in self.redis_groups if host in self.groups[group]), None)

    def without(self, left_out: dict[str, str]) -> Inventory:
        """The same with hosts taken out of a group each (host -> group); a group that nobody is left in is gone."""
        kept = {name: tuple(h for h in hosts if left_out.get(h) != name) for name, hosts in self.groups.items()}
        return replace(self, groups={name: hosts for name, hosts in kept.items() if hosts})

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
    for check in CHECKS:
        check(inventory)
    return inventory


def _read_groups(file: Path) -> dict[str, tuple[str, ...]]:
    if not file.is_file():
        raise UsageError(f"there is no inventory at {file}", hint="An inventory is a folder with hosts.py in it.")
    groups: dict[str, tuple[str, ...]] = {}
    for name, value in _variables(file).items():
        if not isinstance(value, list) or not all(isinstance(host, str) for host in value):
            raise UsageError(f"{file}: {name} is not a list of host names", hint='Write: pg_main = ["pg1", "pg2"]')
        if name not in SERVICE_GROUPS and not name.startswith(tuple(PREFIXES)):
            guess = nearest(name, [*SERVICE_GROUPS, *(g for g in groups if g.startswith(tuple(PREFIXES)))])
            many = ", ".join(f"{prefix}<name> for each {what}" for prefix, what in PREFIXES.items())
            raise UsageError(
                f"{file}: no service looks for the group {name!r}" + (f"; did you mean {guess!r}?" if guess else ""),
                detail=f"Groups: {', '.join(SERVICE_GROUPS)}, and {many}.",
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
