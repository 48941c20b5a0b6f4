"""The repository of one cluster in a store: which there are, and the facts that hold for all of it.

`repository.json` is put once, by whoever comes first (the first WAL push or the first backup). From then on it
is read and compared: what was true of the repository stays true.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass

from ops.errors import OpsError, Unreachable, UsageError
from ops.model.layout import Layout, cluster_root
from ops.store.base import AlreadyExists, NotFound, Store

FORMAT = 1


@dataclass(frozen=True)
class RepositoryInfo:
    """The contents of `repository.json`.

    `segment_size` and `block_size` are in bytes, `postgres_version` is the major version. `block_key` (32 bytes
    in hexadecimal) names the blocks of base backups by keyed hash; with encryption it will be wrapped.
    """

    cluster: str
    system_identifier: int
    segment_size: int
    postgres_version: int
    block_key: str
    block_size: int = 128 * 1024
    block_hash: str = "hmac-sha256"
    encryption: str = "none"
    format: int = FORMAT


@dataclass(frozen=True)
class Repository:
    """One cluster's part of a store."""

    store: Store
    layout: Layout

    @property
    def system_identifier(self) -> int:
        return self.layout.system_identifier

    def describe(self) -> RepositoryInfo:
        """What `repository.json` says; NotFound where nothing was ever put here."""
        return _parse(self.store.get(self.layout.repository), self.layout, self.store)


def find(store: Store, prefix: str, cluster: str) -> list[Repository]:
    """The repositories of all databases that ever went by the name `cluster`, by system identifier."""
    names = store.folders(cluster_root(prefix, cluster))
    layouts = [Layout(prefix, cluster, int(name)) for name in names if name.isdecimal()]
    return [Repository(store, layout) for layout in sorted(layouts, key=_identifier) if _exists(store, layout)]


def current(store: Store, prefix: str, cluster: str, system_identifier: int | None) -> Repository:
    """The repository with that system identifier, or the only one there is for None.

    Raises OpsError where there is none, UsageError where there are several to choose from.
    """
    if system_identifier is not None:
        layout = Layout(prefix, cluster, system_identifier)
        if _exists(store, layout):
            return Repository(store, layout)
        raise OpsError(
            f"{store.name} holds nothing of cluster {cluster!r} with system identifier {system_identifier}",
            hint="Is this the right bucket, prefix and cluster? The first WAL push or backup creates the repository.",
        )
    found = find(store, prefix, cluster)
    if not found:
        raise OpsError(
            f"{store.name} holds nothing of cluster {cluster!r}",
            detail=f"looked below {cluster_root(prefix, cluster)}",
            hint="Is this the right bucket, prefix and cluster? The first WAL push or backup creates the repository.",
        )
    if len(found) > 1:
        raise UsageError(
            f"{store.name} holds {len(found)} databases that were called {cluster!r}",
            detail="system identifiers: " + ", ".join(str(repository.system_identifier) for repository in found),
            hint="Name one with --system-identifier; that of a running server is in pg_control_system().",
        )
    return found[0]


def ensure(store: Store, layout: Layout, *, segment_size: int, postgres_version: int) -> RepositoryInfo:
    """What `repository.json` says, after putting it there if nobody has yet. One request where it is there.

    Raises OpsError where it says something else than this server.
    """
    repository = Repository(store, layout)
    try:
        info = repository.describe()
    except NotFound:
        info = RepositoryInfo(
            cluster=layout.cluster,
            system_identifier=layout.system_identifier,
            segment_size=segment_size,
            postgres_version=postgres_version,
            block_key=secrets.token_hex(32),
        )
        try:
            store.put(layout.repository, (json.dumps(asdict(info), indent=2) + "\n").encode())
        except AlreadyExists:  # another host was faster, or our own PUT was sent twice
            info = repository.describe()
    theirs, ours = (info.segment_size, info.postgres_version), (segment_size, postgres_version)
    if theirs != ours:
        raise OpsError(
            f"{store.name} holds the repository of a server of another make",
            detail=f"segment size and major version there: {theirs}, here: {ours}",
            hint="A database keeps both for as long as it keeps its system identifier. Which server is this?",
        )
    return info


@dataclass(frozen=True)
class Probe:
    """What a store did with a throwaway object. `cleaned` False: it may not be deleted, as in a bucket under lock."""

    conditional_writes: bool
    reads_back: bool
    cleaned: bool

    @property
    def usable(self) -> bool:
        return self.conditional_writes and self.reads_back


def probe(store: Store, layout: Layout) -> Probe:
    """Try whether the store refuses to overwrite, which everything here rests on, and returns what was put.

    A store that ignores the condition would let two servers overwrite each other's WAL in silence.
    """
    key = f"{layout.root}probe/{secrets.token_hex(8)}"
    first, second = secrets.token_bytes(64), secrets.token_bytes(64)
    store.put(key, first)
    try:
        store.put(key, second)
        refused = False
    except AlreadyExists:
        refused = True
    reads_back = store.get(key) == (first if refused else second)
    try:
        store.delete(key)
        cleaned = not any(store.list(key))
    except Unreachable:
        cleaned = False
    return Probe(refused, reads_back, cleaned)


def _identifier(layout: Layout) -> int:
    return layout.system_identifier


def _exists(store: Store, layout: Layout) -> bool:
    try:
        store.head(layout.repository)
    except NotFound:
        return False
    return True


def _parse(body: bytes, layout: Layout, store: Store) -> RepositoryInfo:
    try:
        fields = json.loads(body)
        if fields["format"] > FORMAT:
            raise OpsError(
                f"{layout.repository} in {store.name} has format {fields['format']}, this version knows {FORMAT}",
                hint="A newer `ops` has written here. Update this host.",
            )
        if fields["encryption"] != "none":
            raise OpsError(
                f"{layout.repository} in {store.name} is encrypted ({fields['encryption']}), which this version cannot",
                hint="A newer `ops` has written here. Update this host: plain objects do not belong there.",
            )
        info = RepositoryInfo(**fields)
    except (ValueError, TypeError, KeyError) as error:
        raise OpsError(
            f"{layout.repository} in {store.name} is damaged",
            detail=f"{type(error).__name__}: {error}",
            hint="Restore this one file from a copy of the bucket; nothing else may replace it.",
        ) from error
    if (info.cluster, info.system_identifier) != (layout.cluster, layout.system_identifier):
        raise OpsError(
            f"{layout.repository} in {store.name} describes another repository",
            detail=f"it names cluster {info.cluster!r} and system identifier {info.system_identifier}",
            hint="Somebody has copied or moved objects by hand. Find out before anything is written here.",
        )
    return info
