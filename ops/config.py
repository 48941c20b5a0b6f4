"""`/etc/ops/ops.toml` as frozen models. Every mistake in it is named by file, key and what would fix it."""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from ops.errors import UsageError
from ops.model.keys import KEK_PATTERN

DEFAULT_PATH = Path("/etc/ops/ops.toml")
Valid = TypeVar("Valid", bound=BaseModel)
Seconds = Annotated[float, Field(gt=0)]


class Model(BaseModel):
    """Base of all settings: frozen, and no key that we do not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Postgres(Model):
    """The server on this host. On a drill host only `bin_dir` and `user` are used."""

    user: str = "postgres"
    bin_dir: Path = Path("/usr/lib/postgresql/15/bin")
    data_dir: Path | None = None
    socket_dir: Path = Path("/var/run/postgresql")
    port: int = 5432


class Patroni(Model):
    """Patroni's REST API on this host, and the files that identify us to it."""

    url: str
    ca_file: Path
    cert_file: Path
    key_file: Path


class Etcd(Model):
    """etcd's members as the inventory has them, and the files that identify us to them."""

    members: Annotated[list[str], Field(min_length=1)]
    port: int = 2379
    ca_file: Path
    cert_file: Path
    key_file: Path


KeyId = Annotated[str, Field(pattern=KEK_PATTERN)]
Encryption = Literal["aes-256-gcm", "none"]


class Keys(Model):
    """The key-encryption keys on this host: one file each in `directory`, named by its id.

    `current` wraps new data keys, the others only open; without it there has to be one file alone.
    """

    directory: Path = Path("/etc/ops/keys")
    current: KeyId | None = None


class Retention(Model):
    """What a repository keeps (docs/guides/retention.md).

    `days`: every moment of that long can be recovered to; unless it says so, 30 days in the first repository and 90 in
    the others. `count` backups are kept whatever their age, and the first of each month for `monthly_years`.
    `grace_hours`: what is to go is named that long before it goes, nothing younger goes, and clocks may differ by that.
    """

    days: Annotated[int, Field(ge=0)] | None = None
    count: Annotated[int, Field(ge=1)] = 2
    monthly_years: Annotated[int, Field(ge=0)] = 7
    grace_hours: Annotated[float, Field(ge=0)] = 24


class Place(Model):
    """What holds for a repository wherever it is.

    `encryption`: what is put there is sealed before it leaves the host; `none` is for who knows that it is not.
    `bandwidth`: bytes a second, both ways together, that each process of ours may take up, on average.
    """

    prefix: str = "pend"
    encryption: Encryption = "aes-256-gcm"
    bandwidth: Annotated[int, Field(ge=64 * 1024)] | None = None
    retention: Retention = Retention()


class S3Repository(Place):
    """A bucket.

    `credentials_file` is of the form that AWS tools share, `profile` a section of it; only its owner may read it.
    Without one, the role counts that the host or container has. `sse`, `kms_key`, `storage_class` and `tags` go with
    every object; `attempts` are made with growing pauses of random length between them.
    """

    type: Literal["s3"]
    endpoint: str
    bucket: Annotated[str, Field(min_length=3)]
    region: str = "us-east-1"
    path_style: bool = True
    ca_file: Path | None = None
    credentials_file: Path | None = None
    profile: str = "default"
    connect_timeout: Seconds = 5
    read_timeout: Seconds = 30
    attempts: Annotated[int, Field(ge=1, le=20)] = 4
    sse: Literal["AES256", "aws:kms"] | None = None
    kms_key: str | None = None
    storage_class: str | None = None
    tags: Annotated[dict[str, str], Field(max_length=10)] = {}

    @model_validator(mode="after")
    def _key_has_a_use(self) -> Self:
        if self.kms_key and self.sse != "aws:kms":
            raise ValueError('kms_key is used only with sse = "aws:kms"')
        return self


class FolderRepository(Place):
    """A folder on a mounted file system; for air-gapped copies and for tests."""

    type: Literal["folder"]
    path: Path


RepositoryName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Repository = Annotated[S3Repository | FolderRepository, Field(discriminator="type")]


class Wal(Model):
    """Archiving. `standby_patience`: how long a fetch on a standby asks again before PostgreSQL tries streaming.

    With several repositories, `policy` says when a segment counts as archived: when `all` have it, or when the `first`
    has it, which is `[repository]`; the others then get it from there, and `ops wal mirror --check` says how far behind
    they are.

    The service: `socket` is where it listens, `spool_dir` holds what it fetched ahead (`prefetch_mib` of it at most, on
    the disk of the data directory at best, outside of it always), `workers` push at the same time. With `tail` the
    current segment of a primary goes to the store too, once a second.
    """

    policy: Literal["all", "first"] = "first"
    compression_level: Annotated[int, Field(ge=1, le=19)] = 1
    standby_patience: Seconds = 10
    socket: Path = Path("/run/ops-archiver/socket")
    spool_dir: Path = Path("/var/lib/ops-archiver")
    workers: Annotated[int, Field(ge=1, le=16)] = 2
    prefetch_mib: Annotated[int, Field(ge=0)] = 128
    tail: bool = True


class Backup(Model):
    """Base backups. `workers` read, seal and store at the same time, and take turns at the processor with the store.
    `wal_timeout`: how long to wait until the WAL that a backup needs is in the store. `verify_days`: what was read and
    proven that long ago is read again by `ops backup verify`. `rate`: bytes a second that a backup may send, on
    average, whatever the `bandwidth` of its repository. `page_checksums`: whether those of the database are looked at
    on the way, at half a second of one core for each GiB that is new.
    """

    workers: Annotated[int, Field(ge=1, le=64)] = 4
    compression_level: Annotated[int, Field(ge=1, le=19)] = 1
    wal_timeout: Seconds = 300
    verify_days: Annotated[int, Field(ge=0)] = 28
    rate: Annotated[int, Field(ge=64 * 1024)] | None = None
    page_checksums: bool = True


class Drill(Model):
    """Restore drills: where they run and what is promised (DESIGN.md, promise 3)."""

    directory: Path = Path("/var/lib/ops/drill")
    rto_seconds: Seconds = 3600
    rpo_seconds: Seconds = 120
    checks_dir: Path = Path("/opt/ops/sql/checks")


class Config(Model):
    """Everything that `ops` on one host knows. `cluster` names the cluster that this host serves or drills.

    `repository` is what everything goes to and comes from; `repositories` are further ones that hold all WAL
    too, and are asked for what it cannot give.
    """

    cluster: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    repository: Repository
    repositories: dict[RepositoryName, Repository] = {}
    keys: Keys = Keys()
    postgres: Postgres = Postgres()
    patroni: Patroni | None = None
    etcd: Etcd | None = None
    wal: Wal = Wal()
    backup: Backup = Backup()
    drill: Drill = Drill()

    @model_validator(mode="after")
    def _main_is_the_first(self) -> Self:
        if "main" in self.repositories:
            raise ValueError("repositories.main: `main` is what [repository] is called; give this one another name")
        return self

    def at(self, name: str | None) -> Config:
        """This configuration with another of its repositories as the one that counts; UsageError where there is none.

        None, and `main`, mean the one that counts already.
        """
        if name in (None, "main"):
            return self
        if name not in self.repositories:
            known = ["main", *self.repositories]
            guess = nearest(name, known)
            raise UsageError(
                f"there is no repository {name!r} in the configuration",
                detail=f"There are: {', '.join(known)}.",
                hint=f"Did you mean {guess!r}?" if guess else None,
            )
        return self.model_copy(update={"repository": self.repositories[name], "repositories": {}})


def load(path: Path | None = None) -> Config:
    """The configuration from `path`, else from $OPS_CONFIG, else from /etc/ops/ops.toml.

    Raises UsageError for a file that is missing, unreadable, not TOML, or says something we do not know.
    """
    path = path or Path(os.environ.get("OPS_CONFIG", DEFAULT_PATH))
    try:
        text = path.read_text()
    except FileNotFoundError:
        raise UsageError(
            f"there is no configuration at {path}",
            hint="The deploy writes it on every host. Name another one with $OPS_CONFIG.",
        ) from None
    except PermissionError:
        raise UsageError(f"may not read {path}", hint="Run as root, or as the user that PostgreSQL runs as.") from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML", detail=str(error)) from error
    return validate(Config, document, str(path))


def validate(model: type[Valid], document: object, source: str) -> Valid:
    """`document` as a `model`; UsageError naming source, key and the nearest valid name."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        lines = [f"{_dotted(problem['loc'])}: {_explain(model, problem)}" for problem in problems]
        plural = "s" if len(lines) > 1 else ""
        raise UsageError(f"{source}: {len(lines)} mistake{plural} in the settings", detail="\n".join(lines)) from None


def nearest(name: str, known: list[str]) -> str | None:
    """The known name that `name` was probably meant to be: one that it begins, else the most alike."""
    longer = [candidate for candidate in known if candidate.startswith(f"{name}_")]
    if longer:
        return min(longer, key=len)
    matches = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return matches[0] if matches else None


def _dotted(location: tuple[int | str, ...]) -> str:
    # pydantic names the member of a union in the path ("s3", "folder"); the reader's file has no such key.
    return ".".join(str(part) for part in location if part not in ("s3", "folder")) or "the file"


def _explain(model: type[BaseModel], problem: ErrorDetails) -> str:
    if problem["type"] != "extra_forbidden":
        return problem["msg"]
    known = _keys_at(model, problem["loc"][:-1])
    guess = nearest(str(problem["loc"][-1]), known)
    return "unknown key" + (f"; did you mean {guess!r}?" if guess else f"; known here: {', '.join(known)}")


def _keys_at(annotation: Any, location: tuple[int | str, ...]) -> list[str]:
    """The keys that are valid below `location`, found by walking the annotations."""
    models = _models_in(annotation)
    for part in location:
        fields = [model.model_fields[part] for model in models if part in model.model_fields]
        if fields:  # other parts are dictionary keys, list positions or names of union members
            models = [found for field in fields for found in _models_in(field.annotation)]
    return sorted({key for model in models for key in model.model_fields})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]
