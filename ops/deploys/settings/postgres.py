"""What an inventory may say about a PostgreSQL cluster and its high availability."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ops.config import Model
from ops.deploys.settings.names import Name, Port
from ops.model.migrations import GROUPS

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


Settings = dict[str, str | int | float | bool]


class Role(Model):
    """A database role. With `login` it gets the password `role_<name>` of the secrets source.

    `settings` are its own defaults, such as statement_timeout; new sessions begin with them.
    """

    login: bool = True
    createdb: bool = False
    member_of: list[Name] = []
    connection_limit: Annotated[int, Field(ge=-1)] = -1
    settings: Settings = {}


class Database(Model):
    """A database, its owner, its extensions beyond those of the platform, and defaults for every session in it."""

    owner: Name
    extensions: list[str] = list(REQUIRED_EXTENSIONS)
    connection_limit: Annotated[int, Field(ge=-1)] = -1
    settings: Settings = {}


class Sizing(Model):
    """Take these instead of what the host reports: for hosts that share a machine, as the lab's do."""

    memory_mib: Annotated[int, Field(ge=512)] | None = None
    cores: Annotated[int, Field(ge=1)] | None = None


class Postgres(Model):
    """A PostgreSQL cluster. `settings` overrides parameters by their PostgreSQL names (not FIXED_SETTINGS).

    `package_version` pins the minor release, as 15.20 or as exact as the package's 15.20-0+deb12u1: a deploy installs
    it and restarts the members one after the other. Empty takes the newest at the first install, and leaves it.

    `roles` has the groups of `databases`, too, which nobody needs to declare (ops.model.migrations.GROUPS).
    """

    version: Annotated[int, Field(ge=15)] = 15
    package_version: Annotated[str, Field(pattern=r"^([0-9]+\.[A-Za-z0-9.+~-]+)?$")] = ""
    port: Port = 5432
    databases: dict[Name, Database] = {}
    roles: dict[Name, Role] = {}
    settings: Settings = {}
    preload: list[str] = ["pg_stat_statements"]
    sizing: Sizing = Sizing()

    @model_validator(mode="before")
    @classmethod
    def _with_groups(cls, data: Any) -> Any:
        databases, roles = data.get("databases", {}), data.get("roles", {})
        if not (isinstance(databases, dict) and isinstance(roles, dict)):
            return data  # the fields say what is wrong
        groups = {group: {"login": False} for name in databases for group in GROUPS.get(name, ())}
        return data | {"roles": groups | roles}

    @model_validator(mode="after")
    def _nothing_fixed(self) -> Self:
        for name in self.settings:
            if name in FIXED_SETTINGS:
                raise ValueError(f"settings.{name} is the platform's own: {FIXED_SETTINGS[name]}")
        return self

    @model_validator(mode="after")
    def _pin_is_of_this_version(self) -> Self:
        if self.package_version and not self.package_version.startswith(f"{self.version}."):
            raise ValueError(f"package_version {self.package_version} is no release of version {self.version}")
        return self

    @model_validator(mode="after")
    def _owners_exist(self) -> Self:
        for name, database in self.databases.items():
            if database.owner not in self.roles:
                raise ValueError(f"database {name!r} is owned by {database.owner!r}, which is not among the roles")
        return self

    @model_validator(mode="after")
    def _memberships_exist(self) -> Self:
        for name, role in self.roles.items():
            for group in role.member_of:
                if group not in self.roles and not group.startswith("pg_"):  # those are PostgreSQL's own
                    raise ValueError(f"role {name!r} is a member of {group!r}, which is not among the roles")
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
