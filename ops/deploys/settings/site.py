"""What holds for a whole site: its networks, secrets, repository, drills, and the lab's object storage."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ops.config import Encryption, KeyId, Model, RepositoryName, Retention
from ops.deploys.settings.names import Name, Port


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
    """The whole environment. `networks`: where its hosts and clients are, and nobody else is let in from. `zones`: what
    fails together (a rack, a data centre), and the hosts in it, so that the preflight can judge where etcd votes."""

    name: Name
    networks: Annotated[list[IPv4Network], Field(min_length=1)]
    pki: Path
    secrets: SecretsSource
    zones: dict[Name, list[str]] = {}


class Bucket(Model):
    """Object storage. `ca`: `site` where its certificate comes from our own CA, `system` for the host's trust store, or
    the path of a file on the hosts. `credentials`: `secrets` for an access key and a secret key from the secrets
    source, `role` for the role that the hosts have. The rest is what `ops/config.py` says of a repository.
    """

    endpoint: Annotated[str, Field(pattern=r"^https://[^/]+$")]
    bucket: Annotated[str, Field(min_length=3, max_length=63)]
    prefix: str = "pend"
    region: str = "us-east-1"
    path_style: bool = True
    ca: str = "system"
    credentials: Literal["secrets", "role"] = "secrets"
    encryption: Encryption = "aes-256-gcm"
    bandwidth: Annotated[int, Field(ge=64 * 1024)] | None = None
    retention: Retention = Retention()
    sse: Literal["AES256", "aws:kms"] | None = None
    kms_key: str | None = None
    storage_class: str | None = None
    tags: dict[str, str] = {}


class Repository(Bucket):
    """The bucket that WAL and backups go to, and `others` that all WAL goes to as well; `policy` says when it counts as
    archived: when the `first` bucket has it, or when `all` have.

    `keys`: key-encryption keys by id; each is the secret `repository_key_<id>`, 32 bytes as `openssl rand -base64 32`
    prints them. The first one wraps new data keys, the others only open, for as long as a rotation lasts. `encryption`
    is "none" for who knows that WAL and backups are stored as they are.
    """

    keys: Annotated[list[KeyId], Field(min_length=1)] = ["main"]
    others: dict[RepositoryName, Bucket] = {}
    policy: Literal["first", "all"] = "first"


class Drill(Model):
    """A host that proves restores of `cluster`, and what is promised: RTO and RPO in seconds."""

    cluster: Name
    rto_seconds: Annotated[int, Field(gt=0)] = 3600
    rpo_seconds: Annotated[int, Field(gt=0)] = 120


class Schedules(Model):
    """When a cluster is backed up and what is stored looked after: as systemd says it (`man systemd.time`, OnCalendar),
    in UTC unless it names a zone; empty for never. Every member's timer fires, and one member does the work.

    The last three are of a cluster with the application's database: views that are too old, months made ahead, and
    whether its audit trail is what was written.
    """

    backup: str = "*-*-* 01:00:00 UTC"
    verify: str = "Sun *-*-* 05:00:00 UTC"
    expire: str = "*-*-* 04:00:00 UTC"
    mirror: str = "*-*-* *:30:00 UTC"
    refresh: str = "*-*-* *:*:20 UTC"
    partitions: str = "*-*-* 00:20:00 UTC"
    audit: str = "*-*-* 03:00:00 UTC"


class SeaweedFS(Model):
    """Object storage of the lab: a single server, so never of production."""

    port: Port = 8333
