"""What an inventory may say about a group of Redis servers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ops.config import Model
from ops.deploys.settings.names import Port


class Redis(Model):
    """Redis on the hosts of one group. Who is the master is never declared: Sentinel, or the cluster, knows.

    `mode`: `sentinel` is three data nodes, each with a Sentinel beside it; `cluster` spreads the keys over the hosts,
    with `replicas` copies of each; `standalone` is one host. `save`: seconds and changes, in pairs; empty for no
    snapshots. `io_threads`: more than one where TLS keeps a core busy; a change of it restarts the servers.
    `min_replicas`: a master with fewer that keep up refuses writes, which bounds what is lost when it is cut off, and
    costs a second of errors at each failover.
    """

    mode: Literal["standalone", "sentinel", "cluster"] = "sentinel"
    port: Port = 6379
    sentinel_port: Port = 26379
    maxmemory: Annotated[str, Field(pattern=r"^[1-9][0-9]*(mb|gb)$")] = "512mb"
    maxmemory_policy: Literal[
        "noeviction", "allkeys-lru", "allkeys-lfu", "allkeys-random",
        "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl",
    ] = "allkeys-lru"  # fmt: skip
    save: Annotated[str, Field(pattern=r"^(\d+ \d+( \d+ \d+)*)?$")] = "900 1 300 10 60 10000"
    appendonly: bool = False
    io_threads: Annotated[int, Field(ge=1, le=128)] = 1
    replicas: Annotated[int, Field(ge=0)] = 1
    min_replicas: Annotated[int, Field(ge=0)] = 0
    down_after_seconds: Annotated[int, Field(ge=1)] = 5
