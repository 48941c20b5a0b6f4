"""What an inventory may say about the way to a database: HAProxy on the routers, PgBouncer on each member."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from ops.config import Model
from ops.deploys.settings.names import Port


class Pooler(Model):
    """PgBouncer on every member of a cluster, in transaction mode. Times in seconds.

    `min_pool`, `max_pool`: server connections for each pair of database and user; `acquire`: how long a client waits
    for one of them; `idle`: when an unused one is closed; `connect`: how long making one may take.
    """

    port: Port = 6432
    min_pool: Annotated[int, Field(ge=0)] = 2
    max_pool: Annotated[int, Field(ge=1)] = 20
    idle: Annotated[int, Field(ge=1)] = 30
    acquire: Annotated[int, Field(ge=1)] = 60
    connect: Annotated[int, Field(ge=1)] = 2
    max_clients: Annotated[int, Field(ge=1)] = 1000

    @model_validator(mode="after")
    def _pool_is_a_range(self) -> Self:
        if self.min_pool > self.max_pool:
            raise ValueError(f"min_pool is {self.min_pool} but max_pool is {self.max_pool}; lower min_pool")
        return self


class Routing(Model):
    """A cluster's ports on every router: one that always leads to the primary, one for replicas that are behind by at
    most `max_lag` (bytes, as PostgreSQL writes sizes)."""

    write_port: Port = 5000
    read_port: Port = 5001
    max_lag: Annotated[str, Field(pattern=r"^[1-9][0-9]*(kB|MB|GB)$")] = "16MB"


HostName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]


class Router(Model):
    """HAProxy on the router hosts. `names`: what else clients know them by, such as the name of a shared address."""

    names: list[HostName] = []
    max_connections: Annotated[int, Field(ge=100)] = 4000
