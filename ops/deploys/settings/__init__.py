"""What an inventory may say: one model per key of group data. Everything that has a sensible default has one."""

from __future__ import annotations

from ops.config import Model
from ops.deploys.settings.monitoring import Monitoring
from ops.deploys.settings.postgres import Patroni, Postgres
from ops.deploys.settings.redis import Redis
from ops.deploys.settings.routing import Pooler, Router, Routing
from ops.deploys.settings.site import Drill, Repository, Schedules, SeaweedFS, Site
from ops.deploys.settings.timescaledb import TimescaleDB

__all__ = [
    "KEYS",
    "Drill",
    "Monitoring",
    "Patroni",
    "Pooler",
    "Postgres",
    "Redis",
    "Repository",
    "Router",
    "Routing",
    "Schedules",
    "SeaweedFS",
    "Site",
    "TimescaleDB",
]

# Key of group data -> its model. Keys that start with ssh_ are pyinfra's own.
KEYS: dict[str, type[Model]] = {
    "site": Site,
    "repository": Repository,
    "postgres": Postgres,
    "patroni": Patroni,
    "timescaledb": TimescaleDB,
    "pooler": Pooler,
    "routing": Routing,
    "router": Router,
    "redis": Redis,
    "drill": Drill,
    "schedules": Schedules,
    "monitoring": Monitoring,
    "seaweedfs": SeaweedFS,
}
