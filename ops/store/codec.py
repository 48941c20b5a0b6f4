"""Sealing and opening stored objects: digest, compression, encryption, envelope. Pure but for the keys.

An object is believed only after kind, name, owner, size and digest (of a sealed one: the cipher's tag, and the checksum
within) have all been compared with what was asked for: a store can hand out the wrong object as well as a damaged one.
With a keyring, plaintext is not believed either: whoever can write to the store could have put it there.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import zstandard

from ops.model.envelope import MAX_HEADER, EnvelopeError, Header, ObjectKind, decode, decode_header, encode_header
from ops.model.keys import CIPHER, SALT_SIZE, NotAuthentic, is_data_key_id
from ops.store.damage import Damaged, Foreign

if TYPE_CHECKING:
    from ops.store.keyring import DataKey, Keyring

__all__ = ["MAX_PLAIN", "PEEK", "Damaged", "Foreign", "ObjectKind", "damaged", "peek", "seal", "unseal"]

# The header lies within this many bytes from the start of any object: what `peek` needs at most.
PEEK = 12 + MAX_HEADER
# The largest WAL segment that PostgreSQL can be built with; no manifest comes near. Bounds what a forged
# header can make us allocate.
MAX_PLAIN = 1 << 30


def seal(
    kind: ObjectKind, name: str, system_identifier: int, plain: bytes, *, level: int, keyring: Keyring | None = None
) -> bytes:
    """`plain` as the object to store; `level` is zstd's, 1 to 19. Without a keyring it stays readable to everybody."""
    if len(plain) > MAX_PLAIN:
        raise ValueError(f"{name}: {len(plain)} bytes are more than the {MAX_PLAIN} that readers accept")
    header = Header(kind, name, system_identifier, len(plain), sha256=None)
    # The tag vouches for what is sealed, zstd's checksum for what comes before: a hash would cost as much as all else.
    payload = zstandard.ZstdCompressor(level=level, write_checksum=keyring is not None).compress(plain)
    if keyring is None:
        return encode_header(replace(header, sha256=hashlib.sha256(plain).hexdigest())) + payload
    from ops.store.keyring import Purpose  # noqa: PLC0415  40 ms, which plaintext need not pay

    key, salt = keyring.newest(), os.urandom(SALT_SIZE)
    encryption = {"cipher": CIPHER, "key": key.id, "salt": salt.hex()}
    front = encode_header(replace(header, encryption=encryption))
    sealed = key.seal(Purpose.OBJECT, salt, payload, front)
    del payload  # as large as a segment at worst, and each worker has one
    return front + sealed


def unseal(
    blob: bytes, *, kind: ObjectKind, name: str, system_identifier: int | None, keyring: Keyring | None = None
) -> bytes:
    """The plain bytes of the object called `name`.

    `system_identifier` None accepts any owner. Raises Foreign where the owner is another cluster, KeyUnavailable
    where this host has no key to it, Damaged where anything else does not agree.
    """
    try:
        header, payload = decode(blob)
    except EnvelopeError as error:
        raise damaged(name, str(error)) from error
    if (header.kind, header.name) != (kind, name):
        raise damaged(name, f"it says that it is the {header.kind} {header.name!r}, not the {kind} {name!r}")
    if system_identifier is not None and header.system_identifier != system_identifier:
        raise Foreign(
            f"{name} in the store belongs to another cluster",
            detail=f"its system identifier is {header.system_identifier}, ours is {system_identifier}",
            hint="Do not delete it. Find out which cluster wrote here: two of them share one repository.",
        )
    key = _key_of(header, keyring)
    if key is not None:
        payload = _decrypt(header, key, payload, blob[: len(blob) - len(payload)])
    plain = _decompress(header, payload)
    if key is None and header.sha256 != hashlib.sha256(plain).hexdigest():
        raise damaged(name, "its contents do not have the digest that its header gives")
    return plain


def peek(blob_prefix: bytes) -> Header:
    """The header alone, from the first `PEEK` bytes of an object (or all of a smaller one); Damaged if none.

    Nothing vouches for it: believe what it says only as far as a lie would do no harm.
    """
    try:
        return decode_header(blob_prefix)[0]
    except EnvelopeError as error:
        raise damaged("an object", str(error)) from error


def damaged(name: str, detail: str) -> Damaged:
    """The error for a stored object that cannot be believed."""
    return Damaged(
        f"{name} in the store is damaged",
        detail=detail,
        hint="Do not delete it. Look for an intact copy: another repository, an older version, a replica's pg_wal.",
    )


def _key_of(header: Header, keyring: Keyring | None) -> DataKey | None:
    """The data key of an object; None where it is plaintext, as the repository is declared to be."""
    if header.encryption is None:
        if keyring is not None:
            raise damaged(header.name, "it is plaintext, and this repository is declared to be encrypted")
        return None
    cipher, key_id = header.encryption.get("cipher"), header.encryption.get("key")
    if cipher != CIPHER or not is_data_key_id(key_id):
        raise damaged(header.name, f"it is sealed with {cipher!r} under the key {key_id!r}, which we do not know")
    from ops.store.keyring import KeyUnavailable  # noqa: PLC0415

    if keyring is None:
        raise KeyUnavailable(
            f"{header.name} in the store is encrypted, and this repository is declared to be plaintext",
            detail=f"it is sealed with data key {key_id}",
            hint='Set encryption = "aes-256-gcm" in the repository\'s section of the configuration.',
        )
    try:
        return keyring.get(str(key_id))
    except Damaged as error:
        raise damaged(header.name, f"its data key is lost: {error.message}: {error.detail}") from error
    except KeyUnavailable as error:
        message = f"{header.name} in the store cannot be opened: {error.message}"
        raise KeyUnavailable(message, detail=error.detail, hint=error.hint) from error


def _decrypt(header: Header, key: DataKey, sealed: bytes, front: bytes) -> bytes:
    from ops.store.keyring import Purpose  # noqa: PLC0415

    assert header.encryption is not None
    try:
        salt = bytes.fromhex(header.encryption["salt"])
        if len(salt) != SALT_SIZE:
            raise ValueError(f"its salt has {len(salt)} bytes")
        return key.open(Purpose.OBJECT, salt, sealed, front)
    except (NotAuthentic, ValueError, KeyError, TypeError) as error:
        raise damaged(header.name, f"{error} (data key {key.id})") from error


def _decompress(header: Header, payload: bytes) -> bytes:
    if header.compression not in ("zstd", "none"):
        raise damaged(header.name, f"it is compressed with {header.compression!r}, which we do not know")
    try:
        size = zstandard.frame_content_size(payload) if header.compression == "zstd" else len(payload)
        # Compared before unpacking, so that a small object cannot fill the memory.
        if size != header.size or size > MAX_PLAIN:
            raise damaged(header.name, f"it would unpack to {size} bytes, its header says {header.size}")
        if header.compression == "none":
            return payload
        return zstandard.ZstdDecompressor().decompress(payload, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise damaged(header.name, f"it does not unpack: {error}") from error
