"""/etc/ops/fleet.toml: what there is to look at beside this host. The deploy writes it from the inventory.

A database host is told of its own cluster; a host of the `monitoring` group of everything, and gets for each
cluster an ops.toml of its own (`Cluster.config`), so that it can look into its repository.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ops.config import Etcd, Model, validate
from ops.errors import UsageError

DEFAULT_PATH = Path("/etc/ops/fleet.toml")

Port = Annotated[int, Field(ge=1, le=65535)]


class Identity(Model):
    """Whom we show ourselves as: a client certificate for the PostgreSQL role `monitor`, good for Patroni, etcd and the
    routers too, and the CA by which all of them are verified."""

    ca_file: Path
    cert_file: Path
    key_file: Path


class Member(Model):
    """A database host. `address` is the name that its certificates bear."""

    address: str
    port: Port = 5432
    api_port: Port = 8008
    pooler_port: Port = 6432


class Router(Model):
    """A host with HAProxy. On `metrics_port` it tells whoever shows a certificate what it thinks of each server."""

    address: str
    metrics_port: Port = 8405


class Cluster(Model):
    """A PostgreSQL cluster. `config` is the ops.toml to look into its repository with; the promises are of drills, in
    seconds; `schedules`: job → systemd's OnCalendar, for what is scheduled at all."""

    config: Path = Path("/etc/ops/ops.toml")
    members: Annotated[dict[str, Member], Field(min_length=1)]
    databases: list[str] = []
    write_port: Port = 5000
    read_port: Port = 5001
    timescaledb: bool = False
    rto_seconds: int = 3600
    rpo_seconds: int = 120
    schedules: dict[str, str] = {}


class Redis(Model):
    """Servers of one `redis_` group. `user` is the one that may only look; its password is the file's first line."""

    mode: Literal["standalone", "sentinel", "cluster"]
    hosts: Annotated[list[str], Field(min_length=1)]
    port: Port = 6379
    sentinel_port: Port = 26379
    master: str = ""
    user: str = "exporter"
    password_file: Path


class Watch(Model):
    """Another TLS endpoint whose certificate is looked at on the wire: `service` names it for people. `cluster` (or the
    Redis group) is the one that needs it; empty: all PostgreSQL clusters do."""

    service: str
    address: str
    port: Port
    cluster: str = ""


class Fleet(Model):
    """Everything that a check, the exporter of the fleet or the status page looks at."""

    site: str
    identity: Identity
    etcd: Etcd | None = None
    clusters: dict[str, Cluster] = {}
    routers: dict[str, Router] = {}
    redis: dict[str, Redis] = {}
    watch: list[Watch] = []
    prometheus: str | None = None
    alertmanager: str | None = None


def load(path: Path | None = None) -> Fleet:
    """The fleet from `path`, else from $OPS_FLEET, else from /etc/ops/fleet.toml; UsageError as `ops.config.load`."""
    path = path or Path(os.environ.get("OPS_FLEET", DEFAULT_PATH))
    try:
        document = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise UsageError(
            f"this host knows of no fleet: there is no {path}",
            hint="The deploy writes it on database and monitoring hosts: run this there, or name one with $OPS_FLEET.",
        ) from None
    except PermissionError:
        raise UsageError(f"may not read {path}", hint="Run as root, or as the user that PostgreSQL runs as.") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML", detail=str(error)) from error
    return validate(Fleet, document, str(path))
