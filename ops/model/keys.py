"""Names of keys, the form of a wrapped data key, and what the loss of a key would cost. Pure.

A *data key* seals objects; there is one for each generation of a repository, and it lies in the store only wrapped,
once for each *key-encryption key*, which lives on the hosts alone: `keys/<data key>.<key-encryption key>`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

FORMAT = 1
CIPHER = "aes-256-gcm"
KEY_SIZE = 32
SALT_SIZE = 16
KEK_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,31}$"

_KEK = re.compile(KEK_PATTERN)
_DATA_KEY = re.compile(r"[0-9a-f]{32}")


class NotAuthentic(ValueError):
    """The bytes were not sealed by this key for this purpose, or not one of them has stayed as it was."""


def new_data_key_id(now: datetime, randomness: bytes, after: str | None = None) -> str:
    """Milliseconds since 1970 and ten random bytes, in hex. It sorts behind `after`, whatever the clock says."""
    moment = int(now.timestamp() * 1000)
    if after is not None:
        moment = max(moment, int(after[:12], 16) + 1)
    return f"{moment:012x}{randomness[:10].hex()}"


def created_at(data_key: str) -> datetime:
    """When a data key was made, as its id tells."""
    return datetime.fromtimestamp(int(data_key[:12], 16) / 1000, UTC)


def is_data_key_id(text: object) -> bool:
    return isinstance(text, str) and _DATA_KEY.fullmatch(text) is not None


def is_kek_id(text: str) -> bool:
    """Whether `text` can name a key-encryption key: lower-case letters, digits, dashes and underscores."""
    return _KEK.fullmatch(text) is not None


def wraps_by_data_key(names: Iterable[str]) -> dict[str, frozenset[str]]:
    """Data key → the key-encryption keys that wrap it, oldest data key first, by the names of the objects in keys/."""
    found: dict[str, set[str]] = {}
    for name in sorted(names):
        data_key, dot, kek = name.partition(".")
        if dot and is_data_key_id(data_key) and is_kek_id(kek):
            found.setdefault(data_key, set()).add(kek)
    return {data_key: frozenset(keks) for data_key, keks in found.items()}


def lost_without(wraps: Mapping[str, frozenset[str]], keks: Iterable[str]) -> frozenset[str]:
    """The data keys that nothing could open if these key-encryption keys were gone."""
    gone = frozenset(keks)
    return frozenset(data_key for data_key, wrapped_by in wraps.items() if wrapped_by <= gone)


@dataclass(frozen=True)
class WrappedKey:
    """A data key under a key-encryption key, as it lies in the store.

    `fingerprint` tells which secret of that name wrapped it, so that a wrong key is told from a damaged object.
    """

    data_key: str
    key_encryption_key: str
    fingerprint: str
    nonce: bytes
    wrapped: bytes

    def encode(self) -> bytes:
        """The object: JSON, for people to look at."""
        document = {
            "format": FORMAT,
            "data_key": self.data_key,
            "key_encryption_key": self.key_encryption_key,
            "fingerprint": self.fingerprint,
            "cipher": CIPHER,
            "nonce": self.nonce.hex(),
            "wrapped": self.wrapped.hex(),
        }
        return (json.dumps(document, indent=2) + "\n").encode()

    @classmethod
    def decode(cls, body: bytes, data_key: str, key_encryption_key: str) -> WrappedKey:
        """ValueError where it is damaged, of a later format, or not what its name says."""
        try:
            fields = json.loads(body)
            if (fields["format"], fields["cipher"]) != (FORMAT, CIPHER):
                raise ValueError(
                    f"has format {fields['format']} and cipher {fields['cipher']!r}, unknown to this version"
                )
            found = cls(
                data_key=fields["data_key"],
                key_encryption_key=fields["key_encryption_key"],
                fingerprint=fields["fingerprint"],
                nonce=bytes.fromhex(fields["nonce"]),
                wrapped=bytes.fromhex(fields["wrapped"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
        if (found.data_key, found.key_encryption_key) != (data_key, key_encryption_key):
            raise ValueError(f"it says that it is {found.data_key}.{found.key_encryption_key}")
        return found


def wrap_context(cluster: str, system_identifier: int, data_key: str, key_encryption_key: str) -> bytes:
    """The associated data of a wrapped key: it opens in its own repository, under its own name, and nowhere else."""
    return f"pend-ops 1 data key\n{cluster}\n{system_identifier}\n{data_key}\n{key_encryption_key}".encode()


def block_key_context(cluster: str, system_identifier: int) -> bytes:
    """The associated data of the key that names blocks, as repository.json holds it."""
    return f"pend-ops 1 block key\n{cluster}\n{system_identifier}".encode()


def block_context(salt: bytes, offset: int) -> bytes:
    """The associated data of a block: the pack that it lies in, by the salt, and where."""
    return salt + offset.to_bytes(8, "big")
