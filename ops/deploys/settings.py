"""What an inventory may say: one model per key of group data. Everything that has a sensible default has one."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ops.config import Model

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Port = Annotated[int, Field(ge=1, le=65535)]

# DESIGN.md §5: what the platform asks of every database, and what its own checks need (amcheck).
REQUIRED_EXTENSIONS = ("uuid-ossp", "pgcrypto", "pg_trgm", "btree_gin")
PLATFORM_EXTENSIONS = ("amcheck", "pg_stat_statements")


# Settings that an inventory cannot override: each member's own file wins over the cluster's configuration, or the
# platform stops working without them.
_TLS = "certificates come from the site's CA"
FIXED_SETTINGS = {
    "archive_command": "WAL goes to the repository",
    "archive_mode": "WAL goes to the repository",
    "huge_pages": "it follows from the host's memory",
    "port": "set postgres.port",
    "listen_addresses": "it is the host's address in site.networks",
    "shared_preload_libraries": "set postgres.preload",
    "ssl": _TLS,
    "ssl_ca_file": _TLS,
    "ssl_cert_file": _TLS,
    "ssl_key_file": _TLS,
    "ssl_min_protocol_version": _TLS,
    "track_commit_timestamp": "restore drills are measured by it",
    "unix_socket_directories": "ops connects there",
}


class SecretsSource(Model):
    """Where secrets come from. `age`: a file beside the inventory, decrypted with `identity`; `environment`: variables
    named `<prefix><NAME>`; `command`: prints TOML; `generated`: made at first use and kept in `file` (labs only)."""

    source: Literal["age", "environment", "command", "generated"]
    file: Path | None = None
    identity: Path | None = None
    prefix: str = "PEND_"
    command: list[str] = []

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = {"age": ["file", "identity"], "generated": ["file"], "command": ["command"], "environment": []}
        missing = [key for key in needed[self.source] if not getattr(self, key)]
        if missing:
            raise ValueError(f"the source {self.source!r} also needs {' and '.join(missing)}")
        return self


class Site(Model):
    """The whole environment. `networks`: where its hosts and clients are, and nobody else is let in from."""

    name: Name
    networks: Annotated[list[IPv4Network], Field(min_length=1)]
    pki: Path
    secrets: SecretsSource


class Repository(Model):
    """The bucket that WAL and backups go to. `ca`: `site` where its certificate comes from our own CA, `system` for the
    host's trust store, or the path of a file on the hosts."""

    endpoint: Annotated[str, Field(pattern=r"^https://[^/]+$")]
    bucket: Annotated[str, Field(min_length=3, max_length=63)]
    prefix: str = "pend"
    region: str = "us-east-1"
    path_style: bool = True
    ca: str = "system"


class Role(Model):
    """A database role. With `login` it gets the password `role_<name>` of the secrets source."""

    login: bool = True
    createdb: bool = False
    member_of: list[Name] = []
    connection_limit: Annotated[int, Field(ge=-1)] = -1


class Database(Model):
    """A database, its owner and its extensions, beyond those of the platform."""

    owner: Name
    extensions: list[str] = list(REQUIRED_EXTENSIONS)


class Sizing(Model):
    """Take these instead of what the host reports: for hosts that share a machine, as the lab's do."""

    memory_mib: Annotated[int, Field(ge=512)] | None = None
    cores: Annotated[int, Field(ge=1)] | None = None


class Postgres(Model):
    """A PostgreSQL cluster. `settings` overrides parameters by their PostgreSQL names (not FIXED_SETTINGS)."""

    version: Annotated[int, Field(ge=15)] = 15
    port: Port = 5432
    databases: dict[Name, Database] = {}
    roles: dict[Name, Role] = {}
    settings: dict[str, str | int | float | bool] = {}
    preload: list[str] = ["pg_stat_statements"]
    sizing: Sizing = Sizing()

    @model_validator(mode="after")
    def _nothing_fixed(self) -> Self:
        for name in self.settings:
            if name in FIXED_SETTINGS:
                raise ValueError(f"settings.{name} is the platform's own: {FIXED_SETTINGS[name]}")
        return self

    @model_validator(mode="after")
    def _owners_exist(self) -> Self:
        for name, database in self.databases.items():
            if database.owner not in self.roles:
                raise ValueError(f"database {name!r} is owned by {database.owner!r}, which is not among the roles")
        return self


# ttl, loop_wait, retry_timeout, primary_start_timeout, in seconds. The loss of a host takes ttl - loop_wait to ttl.
PRESETS = {"fast": (20, 5, 5, 0), "balanced": (30, 10, 10, 15)}


class Patroni(Model):
    """High availability of one cluster. A preset, and its single values where a site knows better."""

    preset: Literal["fast", "balanced"] = "balanced"
    ttl: Annotated[int, Field(ge=20)] | None = None
    loop_wait: Annotated[int, Field(ge=1)] | None = None
    retry_timeout: Annotated[int, Field(ge=3)] | None = None
    primary_start_timeout: Annotated[int, Field(ge=0)] | None = None
    strict: bool = False
    synchronous_nodes: Annotated[int, Field(ge=1)] = 1
    port: Port = 8008

    def timing(self) -> dict[str, int]:
        """The four times in seconds."""
        names = ("ttl", "loop_wait", "retry_timeout", "primary_start_timeout")
        chosen = dict(zip(names, PRESETS[self.preset], strict=True))
        return chosen | {name: value for name in names if (value := getattr(self, name)) is not None}

    @model_validator(mode="after")
    def _timing_holds(self) -> Self:
        # Patroni would silently adjust what breaks this rule (its documentation, "Dynamic configuration").
        timing = self.timing()
        least = timing["loop_wait"] + 2 * timing["retry_timeout"]
        if least > timing["ttl"]:
            raise ValueError(f"ttl is {timing['ttl']} s but loop_wait + 2 * retry_timeout is {least} s; raise ttl")
        return self


class Drill(Model):
    """A host that proves restores of `cluster`, and what is promised: RTO and RPO in seconds."""

    cluster: Name
    rto_seconds: Annotated[int, Field(gt=0)] = 3600
    rpo_seconds: Annotated[int, Field(gt=0)] = 120


class SeaweedFS(Model):
    """Object storage of the lab: a single server, so never of production."""

    port: Port = 8333


# Key of group data -> its model. Keys that start with ssh_ are pyinfra's own.
KEYS: dict[str, type[Model]] = {
    "site": Site,
    "repository": Repository,
    "postgres": Postgres,
    "patroni": Patroni,
    "drill": Drill,
    "seaweedfs": SeaweedFS,
}
