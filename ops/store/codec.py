"""Sealing and opening stored objects: digest, compression, envelope. Pure functions over bytes.

An object is believed only after kind, name, owner, size and digest have all been compared with what was asked
for: a store can hand out the wrong object as well as a damaged one.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import zstandard

from ops.errors import OpsError
from ops.model.envelope import MAX_HEADER, EnvelopeError, Header, decode, decode_header, encode

ObjectKind = Literal["wal", "manifest", "evidence"]

# The header lies within this many bytes from the start of any object: what `peek` needs at most.
PEEK = 12 + MAX_HEADER
# The largest WAL segment that PostgreSQL can be built with; no manifest comes near. Bounds what a forged
# header can make us allocate.
MAX_PLAIN = 1 << 30


class Damaged(OpsError):
    """A stored object is not what was put there."""


class Foreign(OpsError):
    """A stored object belongs to another cluster: its system identifier is not ours."""


def seal(kind: ObjectKind, name: str, system_identifier: int, plain: bytes, *, level: int) -> bytes:
    """`plain` as the object to store; `level` is zstd's, 1 to 19."""
    if len(plain) > MAX_PLAIN:
        raise ValueError(f"{name}: {len(plain)} bytes are more than the {MAX_PLAIN} that readers accept")
    header = Header(
        kind=kind,
        name=name,
        system_identifier=system_identifier,
        size=len(plain),
        sha256=hashlib.sha256(plain).hexdigest(),
    )
    return encode(header, zstandard.ZstdCompressor(level=level).compress(plain))


def unseal(blob: bytes, *, kind: ObjectKind, name: str, system_identifier: int | None) -> bytes:
    """The plain bytes of the object called `name`.

    `system_identifier` None accepts any owner. Raises Foreign where the owner is another cluster, Damaged
    where anything else does not agree.
    """
    try:
        header, payload = decode(blob)
    except EnvelopeError as error:
        raise _damaged(name, str(error)) from error
    if (header.kind, header.name) != (kind, name):
        raise _damaged(name, f"it says that it is the {header.kind} {header.name!r}, not the {kind} {name!r}")
    if system_identifier is not None and header.system_identifier != system_identifier:
        raise Foreign(
            f"{name} in the store belongs to another cluster",
            detail=f"its system identifier is {header.system_identifier}, ours is {system_identifier}",
            hint="Do not delete it. Find out which cluster wrote here: two of them share one repository.",
        )
    if header.encryption is not None:
        raise _damaged(name, f"it is encrypted ({header.encryption.get('cipher', 'unknown')}), which we cannot open")
    plain = _decompress(header, payload)
    digest = hashlib.sha256(plain).hexdigest()
    if digest != header.sha256:
        raise _damaged(name, f"its contents have SHA-256 {digest}, its header says {header.sha256}")
    return plain


def peek(blob_prefix: bytes) -> Header:
    """The header alone, from the first `PEEK` bytes of an object (or all of a smaller one); Damaged if none."""
    try:
        return decode_header(blob_prefix)[0]
    except EnvelopeError as error:
        raise _damaged("an object", str(error)) from error


def _decompress(header: Header, payload: bytes) -> bytes:
    if header.compression not in ("zstd", "none"):
        raise _damaged(header.name, f"it is compressed with {header.compression!r}, which we do not know")
    try:
        size = zstandard.frame_content_size(payload) if header.compression == "zstd" else len(payload)
        # Compared before unpacking, so that a small object cannot fill the memory.
        if size != header.size or size > MAX_PLAIN:
            raise _damaged(header.name, f"it would unpack to {size} bytes, its header says {header.size}")
        if header.compression == "none":
            return payload
        return zstandard.ZstdDecompressor().decompress(payload, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise _damaged(header.name, f"it does not unpack: {error}") from error


def _damaged(name: str, detail: str) -> Damaged:
    return Damaged(
        f"{name} in the store is damaged",
        detail=detail,
        hint="Do not delete it. Look for an intact copy: another repository, an older version, a replica's pg_wal.",
    )
