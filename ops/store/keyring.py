"""The keys of one repository: key-encryption keys from files of this host, data keys unwrapped from the store.

How an object is sealed: AES-256-GCM under a key of its own, which HKDF-SHA256 derives from the data key, the object's
random salt of 16 bytes and the purpose. So no nonce is ever chosen at random, and none is used twice: that would take
two equal salts, whose chance stays below 2^-32 up to 2^48 objects under one data key. docs/adr/0010-encryption.md has
the reasons.
"""

from __future__ import annotations

import base64
import binascii
import os
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ops.config import Keys
from ops.errors import OpsError, Unreachable, UsageError
from ops.model.keys import (
    KEY_SIZE,
    NotAuthentic,
    WrappedKey,
    block_context,
    is_kek_id,
    new_data_key_id,
    wrap_context,
    wraps_by_data_key,
)
from ops.model.layout import Layout
from ops.model.pack import Sealing
from ops.store.base import AlreadyExists, NotFound, Store
from ops.store.damage import Damaged
from ops.store.private import read_private

# Every derived key seals one message, so that its nonce needs no choosing.
_ONLY_NONCE = bytes(12)
# A data key that another host has made is used here after this many seconds at the latest.
_LOOK_AGAIN = 300
_HINT_FILE = "It is the output of `openssl rand -base64 32`; the deploy writes it, mode 0400, from the secrets source."


class KeyUnavailable(Unreachable):
    """The store has what was asked for, and this host has no key to it."""


class Purpose(Enum):
    """What a key is derived for: the same data key and salt give unrelated keys for different purposes."""

    OBJECT = b"pend-ops 1 object"
    PACK = b"pend-ops 1 pack"
    BLOCK_KEY = b"pend-ops 1 block key"
    FINGERPRINT = b"pend-ops 1 fingerprint"


@dataclass(frozen=True)
class Kek:
    """A key-encryption key, as a file on this host holds it."""

    id: str
    secret: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """Tells two secrets apart and betrays neither."""
        return _derive(self.secret, b"", Purpose.FINGERPRINT)[:8].hex()


@dataclass(frozen=True)
class DataKey:
    """A data key, unwrapped. The secret stays out of repr, and so out of tracebacks and logs."""

    id: str
    secret: bytes = field(repr=False)

    def seal(self, purpose: Purpose, salt: bytes, plain: bytes, context: bytes) -> bytes:
        """`plain` and a tag of 16 bytes; `context` is authenticated with it. Never twice with one salt and purpose."""
        return AESGCM(_derive(self.secret, salt, purpose)).encrypt(_ONLY_NONCE, plain, context)

    def open(self, purpose: Purpose, salt: bytes, sealed: bytes | memoryview, context: bytes) -> bytes:
        """What was sealed; NotAuthentic unless all of it is as it was."""
        try:
            return AESGCM(_derive(self.secret, salt, purpose)).decrypt(_ONLY_NONCE, sealed, context)
        except InvalidTag:
            raise NotAuthentic("its bytes are not those that were sealed with that key") from None

    def pack_cipher(self, salt: bytes) -> PackCipher:
        """What seals the blocks of one pack."""
        return PackCipher(self.id, salt, AESGCM(_derive(self.secret, salt, Purpose.PACK)))


@dataclass(frozen=True)
class PackCipher:
    """Seals the blocks of one pack under one key: the nonce is where a block lies, which no other block does."""

    key_id: str
    salt: bytes
    aead: AESGCM = field(repr=False)

    @property
    def sealing(self) -> Sealing:
        return Sealing(self.key_id, self.salt)

    def seal(self, payload: bytes | bytearray | memoryview, offset: int) -> bytes:
        return self.aead.encrypt(offset.to_bytes(12, "big"), payload, block_context(self.salt, offset))

    def open(self, sealed: bytes | memoryview, offset: int) -> bytes:
        """NotAuthentic unless it is what was sealed for that offset of that pack."""
        try:
            return self.aead.decrypt(offset.to_bytes(12, "big"), sealed, block_context(self.salt, offset))
        except InvalidTag:
            raise NotAuthentic(f"the block at {offset} is not what was sealed with data key {self.key_id}") from None


class KeyFiles:
    """The key-encryption keys on this host. Nothing is read before it is asked for."""

    def __init__(self, settings: Keys) -> None:
        self._settings = settings

    def ids(self) -> list[str]:
        """The ids of all keys that there are, the current one first."""
        try:
            found = sorted(path.name for path in self._settings.directory.iterdir() if is_kek_id(path.name))
        except FileNotFoundError:
            found = []
        except OSError as error:
            raise UsageError(f"could not read {self._settings.directory}", detail=error.strerror) from error
        return sorted(found, key=lambda name: name != self._settings.current)

    def place(self, kek: str) -> str:
        """Where the file of a key belongs."""
        return str(self._settings.directory / kek)

    def get(self, kek: str) -> Kek:
        """The key of that id; UsageError where its file cannot be used."""
        path = self._settings.directory / kek
        text = read_private(path, "key file", _HINT_FILE).strip()
        try:
            secret = base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
        except (binascii.Error, ValueError):
            secret = b""
        if len(secret) != KEY_SIZE:
            raise UsageError(f"the key file {path} holds no key", detail="expected 32 bytes in base64", hint=_HINT_FILE)
        return Kek(kek, secret)

    def current(self) -> Kek:
        """The key that new data keys are wrapped with; KeyUnavailable where there is none, or too many to choose."""
        known, chosen = self.ids(), self._settings.current
        if chosen is None and len(known) == 1:
            chosen = known[0]
        if chosen in known and chosen is not None:
            return self.get(chosen)
        if chosen is None and known:
            raise UsageError(
                f"{self._settings.directory} holds {len(known)} keys, and none is named as the current one",
                detail=f"there are: {', '.join(known)}",
                hint='Say which wraps new data keys: current = "…" in the section [keys] of the configuration.',
            )
        raise KeyUnavailable(
            f"there is no key-encryption key {chosen or ''}".rstrip() + f" in {self._settings.directory}",
            detail="The repository is to be encrypted, and nothing can be sealed without a key.",
            hint=f'{_HINT_FILE}\nTo store plaintext, and knowing it: encryption = "none" in the repository\'s section.',
        )


class Keyring:
    """The data keys of one repository. Safe to share between threads; make one for a process, not for an object."""

    def __init__(self, store: Store, layout: Layout, files: KeyFiles) -> None:
        self.files = files
        self._store = store
        self._layout = layout
        self._opened: dict[str, DataKey] = {}
        self._newest: tuple[str, float] | None = None
        self._lock = threading.RLock()

    def wraps(self) -> dict[str, frozenset[str]]:
        """Data key → the key-encryption keys that wrap it, oldest first, as the store lists them."""
        root = self._layout.keys
        return wraps_by_data_key(stored.key.removeprefix(root) for stored in self._store.list(root))

    def newest(self) -> DataKey:
        """The data key that new objects are sealed with; Damaged where the store has none at all."""
        with self._lock:
            if self._newest is None or time.monotonic() - self._newest[1] > _LOOK_AGAIN:
                known = list(self.wraps())
                if not known:
                    raise Damaged(
                        f"the repository {self._layout.root} in {self._store.name} has no data key",
                        detail=f"nothing lies below {self._layout.keys}, so that nothing in it can be opened",
                        hint="Bring these objects back from another copy of the repository. If there is none, what was "
                        "stored is lost; `ops keys rotate --data-key` makes a key for what comes.",
                    )
                self._newest = (known[-1], time.monotonic())
            return self.get(self._newest[0])

    def get(self, data_key: str) -> DataKey:
        """The data key of that id. KeyUnavailable where this host has no key to it, Damaged where it is lost."""
        with self._lock:
            if data_key not in self._opened:
                self._opened[data_key] = self._unwrap(data_key)
            return self._opened[data_key]

    def make(self) -> DataKey:
        """A new data key, wrapped by the current key-encryption key; what is sealed from now on is sealed with it."""
        with self._lock:
            newest = max(self.wraps(), default=None)
            made = DataKey(new_data_key_id(datetime.now(UTC), os.urandom(10), newest), os.urandom(KEY_SIZE))
            self.wrap(made, self.files.current())
            self._opened[made.id] = made
            self._newest = (made.id, time.monotonic())
            return made

    def wrap(self, data_key: DataKey, kek: Kek) -> None:
        """Store the data key under a key-encryption key; one that is stored so already is opened and compared."""
        nonce, layout = os.urandom(12), self._layout
        context = wrap_context(layout.cluster, layout.system_identifier, data_key.id, kek.id)
        wrapped = AESGCM(kek.secret).encrypt(nonce, data_key.secret, context)
        body = WrappedKey(data_key.id, kek.id, kek.fingerprint, nonce, wrapped).encode()
        try:
            self._store.put(layout.key(data_key.id, kek.id), body)
        except AlreadyExists:
            if self.open(data_key.id, kek) != data_key:
                raise Damaged(f"{layout.key(data_key.id, kek.id)} in {self._store.name} wraps another key") from None

    def open(self, data_key: str, kek: Kek) -> DataKey:
        """A data key out of the object that this key-encryption key wraps; NotFound where there is none."""
        layout = self._layout
        key = layout.key(data_key, kek.id)
        body = self._store.get(key)
        try:
            found = WrappedKey.decode(body, data_key, kek.id)
        except ValueError as error:
            raise self._damaged(key, str(error)) from error
        if found.fingerprint != kek.fingerprint:
            raise KeyUnavailable(
                f"{self.files.place(kek.id)} is not the key that wrapped data key {data_key}",
                detail=f"its fingerprint is {kek.fingerprint}, that of the key in question {found.fingerprint}",
                hint=f"Put the right {kek.id} there. If another key was made under an old name, give it its own.",
            )
        context = wrap_context(layout.cluster, layout.system_identifier, data_key, kek.id)
        try:
            return DataKey(data_key, AESGCM(kek.secret).decrypt(found.nonce, found.wrapped, context))
        except (InvalidTag, ValueError) as error:
            raise self._damaged(key, str(error) or "it was not sealed with that key, or has changed since") from None

    def _unwrap(self, data_key: str) -> DataKey:
        problem: OpsError | None = None
        for name in self.files.ids():
            try:
                return self.open(data_key, self.files.get(name))
            except NotFound:
                continue
            except (KeyUnavailable, Damaged) as error:
                problem = problem or error
        if problem:
            raise problem
        keks = sorted(self.wraps().get(data_key, ()))
        if not keks:
            raise self._damaged(self._layout.key(data_key, "*"), "the store has no copy of that data key under any key")
        raise KeyUnavailable(
            f"this host has no key to data key {data_key} of {self._store.name}",
            detail=f"It can be opened with the key-encryption key {' or '.join(keks)}; "
            f"here there is {', '.join(self.files.ids()) or 'none'}.",
            hint=f"Put it into {self.files.place(keks[-1])}, mode 0400, owned by the user that PostgreSQL runs as.\n"
            "The deploy does it from the secrets source.",
        )

    def _damaged(self, key: str, detail: str) -> Damaged:
        return Damaged(
            f"{key} in {self._store.name} is damaged",
            detail=detail,
            hint="It is a data key. Bring this object back from another copy of the repository, or an older version.",
        )


def _derive(secret: bytes, salt: bytes, purpose: Purpose) -> bytes:
    return HKDF(SHA256(), KEY_SIZE, salt or None, purpose.value).derive(secret)
