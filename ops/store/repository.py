"""The repository of one cluster in a store: which there are, and the facts that hold for all of it.

`repository.json` is put once, by whoever comes first (the first WAL push or the first backup). From then on it
is read and compared: what was true of the repository stays true.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ops.errors import OpsError, UsageError
from ops.model.envelope import ObjectKind
from ops.model.keys import CIPHER, KEY_SIZE, SALT_SIZE, NotAuthentic, block_key_context
from ops.model.layout import Layout, cluster_root
from ops.model.pack import PackError, Sealing
from ops.store import codec
from ops.store.base import AlreadyExists, NotFound, Store

if TYPE_CHECKING:
    from ops.config import Keys
    from ops.store.keyring import Keyring, PackCipher

FORMAT = 1


@dataclass(frozen=True)
class RepositoryInfo:
    """The contents of `repository.json`.

    `segment_size` and `block_size` are in bytes, `postgres_version` is the major version. `block_key` names the blocks
    of base backups by keyed hash: 32 bytes in hexadecimal, or, with encryption, what `Repository.block_key` opens.
    """

    cluster: str
    system_identifier: int
    segment_size: int
    postgres_version: int
    block_key: str | dict[str, str]
    block_size: int = 128 * 1024
    block_hash: str = "hmac-sha256"
    encryption: str = "none"
    format: int = FORMAT


@dataclass(frozen=True)
class Repository:
    """One cluster's part of a store. Without a keyring it is plaintext, as its settings declare."""

    store: Store
    layout: Layout
    keyring: Keyring | None = None

    @property
    def system_identifier(self) -> int:
        return self.layout.system_identifier

    def describe(self) -> RepositoryInfo:
        """What `repository.json` says; NotFound where nothing was ever put here."""
        return _parse(self.store.get(self.layout.repository), self.layout, self.store)

    def seal(self, kind: ObjectKind, name: str, plain: bytes, *, level: int) -> bytes:
        """`plain` as the object to store in this repository."""
        return codec.seal(kind, name, self.system_identifier, plain, level=level, keyring=self.keyring)

    def unseal(self, blob: bytes, *, kind: ObjectKind, name: str) -> bytes:
        """The plain bytes of one of this repository's objects; the errors of `codec.unseal`."""
        return codec.unseal(blob, kind=kind, name=name, system_identifier=self.system_identifier, keyring=self.keyring)

    def block_key(self, info: RepositoryInfo) -> bytes:
        """The key that names blocks; Damaged where it cannot be opened, KeyUnavailable without its data key."""
        check_encryption(info, self)
        if self.keyring is None:
            return bytes.fromhex(str(info.block_key))
        from ops.store.keyring import Purpose  # noqa: PLC0415

        context = block_key_context(self.layout.cluster, self.layout.system_identifier)
        try:
            assert isinstance(info.block_key, dict)
            key, salt = self.keyring.get(info.block_key["key"]), bytes.fromhex(info.block_key["salt"])
            return key.open(Purpose.BLOCK_KEY, salt, bytes.fromhex(info.block_key["sealed"]), context)
        except (NotAuthentic, ValueError, KeyError, AssertionError) as error:
            raise codec.damaged(self.layout.repository, f"its block key does not open: {error}") from error

    def new_pack_cipher(self) -> PackCipher | None:
        """What seals the blocks of a new pack; None in a repository of plaintext."""
        return None if self.keyring is None else self.keyring.newest().pack_cipher(secrets.token_bytes(SALT_SIZE))

    def pack_cipher(self, sealing: Sealing | None) -> PackCipher | None:
        """What opens the blocks of a stored pack; PackError where it is not sealed as this repository is to be."""
        if self.keyring is None and sealing is None:
            return None
        if self.keyring is None:
            raise PackError("is encrypted, and this repository is declared to be plaintext")
        if sealing is None:
            raise PackError("is plaintext, and this repository is declared to be encrypted")
        return self.keyring.get(sealing.key_id).pack_cipher(sealing.salt)


def repository_at(store: Store, layout: Layout, encryption: str, keys: Keys) -> Repository:
    """The repository at that place, with its keyring where it is encrypted. Nothing is read yet."""
    if encryption == "none":
        return Repository(store, layout)
    from ops.store.keyring import KeyFiles, Keyring  # noqa: PLC0415  40 ms, which plaintext need not pay

    return Repository(store, layout, Keyring(store, layout, KeyFiles(keys)))


def find(store: Store, prefix: str, cluster: str) -> list[Repository]:
    """The repositories of all databases that ever went by the name `cluster`, by system identifier.

    They come without keys, fit for what needs none.
    """
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


def ensure(repository: Repository, *, segment_size: int, postgres_version: int) -> RepositoryInfo:
    """What `repository.json` says, after putting it there if nobody has yet. One request where it is there.

    Raises OpsError where it says something else than this server or our settings.
    """
    store, layout = repository.store, repository.layout
    try:
        info = repository.describe()
    except NotFound:
        info = RepositoryInfo(
            cluster=layout.cluster,
            system_identifier=layout.system_identifier,
            segment_size=segment_size,
            postgres_version=postgres_version,
            block_key=_new_block_key(repository),
            encryption="none" if repository.keyring is None else CIPHER,
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
    check_encryption(info, repository)
    return info


def check_encryption(info: RepositoryInfo, repository: Repository) -> None:
    """OpsError where the repository is encrypted and our settings say that it is not, or the other way round."""
    declared = "none" if repository.keyring is None else CIPHER
    if info.encryption != declared:
        raise OpsError(
            f"{repository.layout.root} in {repository.store.name} has encryption {info.encryption!r}, and the "
            f"configuration says {declared!r}",
            detail="A repository stays what it was made as, so that nobody can turn its encryption off from outside.",
            hint="Correct `encryption` in the repository's section. To begin to encrypt, name a new prefix there and "
            "take a base backup at once; the old repository stays readable under its own settings.",
        )


def _new_block_key(repository: Repository) -> str | dict[str, str]:
    """A key to name blocks by, sealed with a first data key where the repository is to be encrypted."""
    secret = secrets.token_bytes(KEY_SIZE)
    if repository.keyring is None:
        return secret.hex()
    from ops.store.keyring import Purpose  # noqa: PLC0415

    layout = repository.layout
    # Wrapped keys that are there already are those of a host that was as fast, or was killed before the next step.
    key = repository.keyring.newest() if repository.keyring.wraps() else repository.keyring.make()
    salt = secrets.token_bytes(SALT_SIZE)
    context = block_key_context(layout.cluster, layout.system_identifier)
    return {"key": key.id, "salt": salt.hex(), "sealed": key.seal(Purpose.BLOCK_KEY, salt, secret, context).hex()}


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
        if fields["encryption"] not in ("none", CIPHER):
            raise OpsError(
                f"{layout.repository} in {store.name} is encrypted with {fields['encryption']}, which is not known",
                hint="A newer `ops` has written here. Update this host.",
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
