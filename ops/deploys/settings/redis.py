"""What an inventory may say about a group of Redis servers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ops.config import Model
from ops.deploys.settings.names import Port


class Redis(Model):
    """Redis on the hosts of one group. Who is the master is never declared: Sentinel, or the cluster, knows.

    `mode`: `sentinel` is three data nodes, each with a Sentinel beside it; `cluster` spreads the keys over the hosts,
    with `replicas` copies of each; `standalone` is one host.
    """

    mode: Literal["standalone", "sentinel", "cluster"] = "sentinel"
    port: Port = 6379
    sentinel_port: Port = 26379
    maxmemory: Annotated[str, Field(pattern=r"^[1-9][0-9]*(mb|gb)$")] = "512mb"
    maxmemory_policy: Literal[
        "noeviction", "allkeys-lru", "allkeys-lfu", "allkeys-random",
        "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl",
    ] = "allkeys-lru"  # fmt: skip
    save: str = "900 1 300 10 60 10000"
    appendonly: bool = False
    replicas: Annotated[int, Field(ge=0)] = 1
    down_after_seconds: Annotated[int, Field(ge=1)] = 5
