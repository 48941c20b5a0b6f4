"""The envelope around every stored object: what it is, whose it is, and how to get the plain bytes back.

    bytes 0-7     magic, b"PENDOPS1"
    bytes 8-11    length N of the header, big endian
    bytes 12-     header: N bytes of UTF-8 JSON (`Header`)
    then          the payload: the plain bytes, compressed, then (where the header says so) encrypted

The header travels inside the object and not as S3 metadata, so that a copy in a plain folder, or a mirror
made by another tool, is still complete. It is never secret, and with encryption all bytes before the payload are
authenticated with it.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from typing import Literal

ObjectKind = Literal["wal", "manifest", "ledger"]

MAGIC = b"PENDOPS1"
_PREFIX = struct.Struct(">8sI")
MAX_HEADER = 64 * 1024


class EnvelopeError(ValueError):
    """The bytes are no envelope of ours, or a damaged one."""


@dataclass(frozen=True)
class Header:
    """What an object says of itself.

    `system_identifier` is the database's; `sha256` is of the plain bytes, in hexadecimal. `encryption` is None for
    plaintext; otherwise `sha256` is None, since it would confirm a guess, and these are the parameters of the cipher
    (`cipher`, `key`, `salt`), whose tag vouches for the payload.
    """

    kind: ObjectKind
    name: str
    system_identifier: int
    size: int
    sha256: str | None
    compression: Literal["zstd", "none"] = "zstd"
    encryption: dict[str, str] | None = None


def encode(header: Header, payload: bytes) -> bytes:
    """The object as it is stored."""
    return encode_header(header) + payload


def encode_header(header: Header) -> bytes:
    """All that comes before the payload."""
    text = json.dumps(asdict(header), separators=(",", ":"), sort_keys=True).encode()
    if len(text) > MAX_HEADER:
        raise ValueError(f"a header of {len(text)} bytes is more than the {MAX_HEADER} that readers accept")
    return _PREFIX.pack(MAGIC, len(text)) + text


def decode(blob: bytes) -> tuple[Header, bytes]:
    """Header and payload of a stored object; EnvelopeError where it is not one."""
    header, offset = decode_header(blob)
    return header, blob[offset:]


def decode_header(blob: bytes) -> tuple[Header, int]:
    """Header and the offset of the payload. `blob` may be cut off anywhere after the header."""
    if len(blob) < _PREFIX.size:
        raise EnvelopeError(f"{len(blob)} bytes are too few for an object of ours")
    magic, length = _PREFIX.unpack_from(blob)
    if magic != MAGIC:
        raise EnvelopeError(f"starts with {magic!r}, not with {MAGIC!r}")
    end = _PREFIX.size + length
    if length > MAX_HEADER or len(blob) < end:
        raise EnvelopeError("its header is cut off")
    try:
        header = Header(**json.loads(blob[_PREFIX.size : end]))
        if not isinstance(header.encryption, dict | None):
            raise TypeError(f"encryption is {header.encryption!r}")
        return header, end
    except (ValueError, TypeError) as error:
        raise EnvelopeError(f"its header is damaged: {error}") from error
