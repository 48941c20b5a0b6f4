"""Packs: the objects that hold the blocks of base backups (docs/repository-format.md).

    bytes 0-7   magic, b"PENDPACK"
    then        the blocks, one after another, each compressed on its own or stored as it is, then sealed or not
    then        the index: one ENTRY a block, in the same order
    then        the footer, FOOTER.size bytes: where the index is, its SHA-256, and how the blocks are sealed

A pack is named by the SHA-256 of all its bytes: the name proves the contents, and a retry or a race puts the
same bytes under the same key. Cipher, key and salt of the footer are zero where the blocks are not encrypted.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Protocol

MAGIC = b"PENDPACK"
FORMAT = 1
# block id, offset in the pack, stored length, plain length, flags
ENTRY = struct.Struct(">32sQIII")
# offset of the index, its length, its SHA-256, key id, salt, cipher, format, magic
FOOTER = struct.Struct(">QQ32s16s16sII8s")
FLAG_ZSTD = 1
NO_CIPHER = 0
AES_256_GCM = 1
_ZEROS = bytes(16)

# A pack is closed when it reaches either, or is smaller if it was told so: 32 MiB keep a PUT efficient and four workers
# below 128 MiB of memory, 4096 blocks (512 MiB of very compressible pages) keep the index below 208 KiB.
TARGET_SIZE = 32 * 1024 * 1024
MAX_BLOCKS = 4096


class PackError(ValueError):
    """The bytes are no pack of ours, or a damaged one."""


@dataclass(frozen=True, slots=True)
class Sealing:
    """How the blocks of a pack are sealed: the data key, by its id, and the salt of this pack."""

    key_id: str
    salt: bytes


class Cipher(Protocol):
    """What seals the blocks of one pack."""

    @property
    def sealing(self) -> Sealing: ...

    def seal(self, payload: bytes | bytearray | memoryview, offset: int) -> bytes:
        """The bytes to store at `offset` of the pack."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One block of a pack. `offset` and `stored` are bytes in the pack, `plain` is its length when unpacked."""

    id: bytes
    offset: int
    stored: int
    plain: int
    compressed: bool


@dataclass(frozen=True, slots=True)
class PackRef:
    """A pack as a backup refers to it: name, size in bytes, number of blocks, SHA-256 of index and footer.

    The digest makes the chain whole for ranged reads: a backup vouches for the index, the index for each block.
    """

    id: str
    size: int
    blocks: int
    tail_sha256: str

    @property
    def tail(self) -> int:
        """Bytes at the end of the pack that hold index and footer."""
        return self.blocks * ENTRY.size + FOOTER.size


class Builder:
    """Collects the blocks of one pack in memory, sealed where there is a cipher."""

    def __init__(self, cipher: Cipher | None = None, *, target: int = TARGET_SIZE) -> None:
        self._cipher = cipher
        self._target = target
        # BytesIO.getvalue() hands out its own buffer, so a pack is never held twice.
        self._body = BytesIO()
        self._body.write(MAGIC)
        self._entries: list[Entry] = []

    @property
    def full(self) -> bool:
        return self._body.tell() >= self._target or len(self._entries) >= MAX_BLOCKS

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, block: bytes, payload: bytes | bytearray | memoryview, plain: int, *, compressed: bool) -> int:
        """Append a block, by its id; its ordinal in the pack."""
        if self._cipher is not None:
            payload = self._cipher.seal(payload, self._body.tell())
        self._entries.append(Entry(block, self._body.tell(), len(payload), plain, compressed))
        self._body.write(payload)
        return len(self._entries) - 1

    def seal(self) -> tuple[PackRef, bytes]:
        """The finished pack and its bytes."""
        offset = self._body.tell()
        index = b"".join(
            ENTRY.pack(entry.id, entry.offset, entry.stored, entry.plain, FLAG_ZSTD if entry.compressed else 0)
            for entry in self._entries
        )
        digest = hashlib.sha256(index).digest()
        key, salt, cipher = _ZEROS, _ZEROS, NO_CIPHER
        if self._cipher is not None:
            sealing = self._cipher.sealing
            key, salt, cipher = bytes.fromhex(sealing.key_id), sealing.salt, AES_256_GCM
        tail = index + FOOTER.pack(offset, len(index), digest, key, salt, cipher, FORMAT, MAGIC)
        self._body.write(tail)
        body = self._body.getvalue()
        name = hashlib.sha256(body).hexdigest()
        return PackRef(name, len(body), len(self._entries), hashlib.sha256(tail).hexdigest()), body


def parse_tail(tail: bytes, pack: PackRef) -> list[Entry]:
    """The index of `pack` from its last `pack.tail` bytes.

    PackError unless every byte is as the backup that refers to it recorded it.
    """
    if len(tail) != pack.tail:
        raise PackError(f"index and footer are {len(tail)} bytes, not {pack.tail}")
    if hashlib.sha256(tail).hexdigest() != pack.tail_sha256:
        raise PackError("index and footer are not those that the backup refers to")
    return _parse(tail, pack.size)


def index_length(footer: bytes) -> int:
    """The bytes of index that lie before a footer, when no backup says how many; PackError where it is no footer."""
    if len(footer) != FOOTER.size or not footer.endswith(MAGIC):
        raise PackError(f"does not end with {MAGIC!r}")
    length: int = FOOTER.unpack(footer)[1]
    return length


def parse_index(name: str, size: int, tail: bytes) -> tuple[PackRef, list[Entry]]:
    """A pack of `size` bytes called `name` from its index and footer alone, when no backup refers to it.

    PackError where they are damaged. They vouch for themselves only; the name is taken on trust.
    """
    if len(tail) < FOOTER.size:
        raise PackError("is cut off")
    entries = _parse(tail, size)
    return PackRef(name, size, len(entries), hashlib.sha256(tail).hexdigest()), entries


def sealing(tail: bytes) -> Sealing | None:
    """How the blocks are sealed, by the footer at the end of `tail`; None where they are not.

    PackError where it is no footer. Nothing else is compared: `parse_tail` does that.
    """
    if len(tail) < FOOTER.size:
        raise PackError("is cut off")
    _, _, _, key, salt, cipher, _, magic = FOOTER.unpack_from(tail, len(tail) - FOOTER.size)
    if magic != MAGIC:
        raise PackError(f"ends with {magic!r}, not with {MAGIC!r}")
    return Sealing(key.hex(), salt) if cipher == AES_256_GCM else None


def parse(body: bytes) -> tuple[PackRef, list[Entry]]:
    """A pack from all its bytes, when no backup says how long its index is.

    PackError where it is none of ours. The caller compares `PackRef.id` with the name it was stored under.
    """
    if len(body) < len(MAGIC) + FOOTER.size or body[: len(MAGIC)] != MAGIC:
        raise PackError(f"does not start with {MAGIC!r}, or is cut off")
    length = FOOTER.unpack_from(body, len(body) - FOOTER.size)[1]
    if length > len(body) - len(MAGIC) - FOOTER.size:
        raise PackError("the footer does not point to the index")
    tail = body[-length - FOOTER.size :]
    entries = _parse(tail, len(body))
    name = hashlib.sha256(body).hexdigest()
    return PackRef(name, len(body), len(entries), hashlib.sha256(tail).hexdigest()), entries


def _parse(tail: bytes, size: int) -> list[Entry]:
    """The entries of an index that lies before its footer at the end of a pack of `size` bytes."""
    offset, length, digest, _, _, cipher, format_, magic = FOOTER.unpack_from(tail, len(tail) - FOOTER.size)
    index = tail[: -FOOTER.size]
    if magic != MAGIC:
        raise PackError(f"ends with {magic!r}, not with {MAGIC!r}")
    if format_ != FORMAT:
        raise PackError(f"has format {format_}; this version reads format {FORMAT}")
    if cipher not in (NO_CIPHER, AES_256_GCM):
        raise PackError(f"is sealed with cipher {cipher}, which this version does not know")
    if length != len(index) or length % ENTRY.size or offset + length + FOOTER.size != size:
        raise PackError("the footer does not point to the index")
    if hashlib.sha256(index).digest() != digest:
        raise PackError("the index does not have the digest that the footer gives")
    entries = [_entry(fields) for fields in ENTRY.iter_unpack(index)]
    edges = [len(MAGIC), *(entry.offset + entry.stored for entry in entries)]
    if [*(entry.offset for entry in entries), offset] != edges:
        raise PackError("the blocks in the index do not follow one another")
    return entries


def _entry(fields: tuple[bytes, int, int, int, int]) -> Entry:
    block, offset, stored, plain, flags = fields
    if flags & ~FLAG_ZSTD:
        raise PackError(f"block {block.hex()} has flags {flags:#x} that this version does not know")
    return Entry(block, offset, stored, plain, bool(flags & FLAG_ZSTD))


@dataclass(frozen=True, slots=True)
class Range:
    """Neighbouring blocks that one ranged GET brings: ordinals `first` to `last`, `length` bytes from `offset`."""

    first: int
    last: int
    offset: int
    length: int


def ranges(entries: list[Entry], wanted: Iterable[int], *, limit: int, gap: int) -> list[Range]:
    """The fewest GETs for the blocks with the ordinals `wanted`.

    A range is at most `limit` bytes, unless one block is larger; a hole of up to `gap` bytes is read and thrown
    away, because a request costs more than that.
    """
    found: list[Range] = []
    for ordinal in sorted(set(wanted)):
        entry = entries[ordinal]
        end = entry.offset + entry.stored
        last = found[-1] if found else None
        if last and entry.offset - (last.offset + last.length) <= gap and end - last.offset <= limit:
            found[-1] = Range(last.first, ordinal, last.offset, end - last.offset)
        else:
            found.append(Range(ordinal, ordinal, entry.offset, entry.stored))
    return found
