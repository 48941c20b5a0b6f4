"""From packs back into files: what is stored is read in ranges, proven block by block, and written in place."""

from __future__ import annotations

import hmac
import os
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import zstandard

from ops.backup.catalog import damaged
from ops.backup.report import Meter
from ops.model.blocks import Run, block_id
from ops.model.manifest import File
from ops.model.pack import MAGIC, Entry, PackError, PackRef, Range, parse_tail, ranges, sealing
from ops.store.base import NotFound
from ops.store.codec import Damaged
from ops.store.repository import Repository, RepositoryInfo
from ops.wal.faults import reached

if TYPE_CHECKING:
    from ops.store.keyring import PackCipher

# One GET brings at most this much; what lies between two wanted blocks is read along up to GAP bytes.
RANGE = 8 * 1024 * 1024
GAP = 256 * 1024
# Neighbouring blocks are written together up to this many bytes.
_TOGETHER = 2 * 1024 * 1024
# A pack up to this size comes in one piece, if most of it is wanted: those of a database of up to 3 GiB.
_WHOLE = 12 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring blocks of a pack that belong to `length` bytes from `offset` of the file at `path`."""

    path: str
    offset: int
    length: int
    run: Run


@dataclass(frozen=True, slots=True)
class Target:
    """Where the plain bytes of one block belong."""

    path: str
    offset: int
    length: int


def stretches(files: list[File], block_size: int) -> dict[int, list[Stretch]]:
    """What of the files lies in which pack, by its number."""
    found: defaultdict[int, list[Stretch]] = defaultdict(list)
    for file in files:
        offset = 0
        for run in file.runs:
            length = min(run.count * block_size, file.size - offset)
            found[run.pack].append(Stretch(file.path, offset, length, run))
            offset += length
    return dict(found)


def targets(wanted: list[Stretch], block_size: int) -> dict[int, list[Target]]:
    """Where each block belongs, by its ordinal in the pack: several places, if files share it."""
    found: defaultdict[int, list[Target]] = defaultdict(list)
    for part in wanted:
        for number in range(part.run.count):
            start = number * block_size
            target = Target(part.path, part.offset + start, min(block_size, part.length - start))
            found[part.run.first + number].append(target)
    return found


class Unpacker:
    """Writes blocks of packs into files below `root`, which are created. Safe to share between threads."""

    def __init__(
        self, repository: Repository, info: RepositoryInfo, root: Path, meter: Meter, *, reuse: bool = False
    ) -> None:
        self._repository = repository
        self._key = repository.block_key(info)
        self._block_size = info.block_size
        self._root = root
        self._meter = meter
        self._reuse = reuse
        self._lock = threading.Lock()
        self.reused = self.fetched = 0  # plain bytes

    def unpack(self, pack: PackRef, wanted: list[Stretch], *, point: str) -> None:
        """The blocks of `pack` that belong to the stretches; those that are in place already are left alone.

        `point` is reached after each range (ops.wal.faults).
        Damaged, naming the pack and a file that it costs, unless every byte is what was put there.
        """
        decompressor = zstandard.ZstdDecompressor()
        places = targets(wanted, self._block_size)
        with _naming(pack, wanted[0].path):
            whole = self._whole(pack, len(places))
            entries, cipher = self._index(pack, whole)
        if self._reuse:
            places = self._lacking(entries, places)
        for part in ranges(entries, places, limit=RANGE, gap=GAP):
            with _naming(pack, places[part.first][0].path):
                body = self._fetch(pack, part, whole)
            with _Files(self._root) as files:
                for ordinal in range(part.first, part.last + 1):
                    if ordinal not in places:
                        continue
                    with _naming(pack, places[ordinal][0].path):
                        plain = self._open(body, part, entries[ordinal], decompressor, cipher)
                        for target in places[ordinal]:
                            if len(plain) != target.length:
                                raise PackError(f"a block has {len(plain)} bytes where {target.length} belong")
                            files.write(target, plain)
                    self._count(fetched=len(plain) * len(places[ordinal]))
            reached(point)

    def _lacking(self, entries: list[Entry], places: dict[int, list[Target]]) -> dict[int, list[Target]]:
        """Those of `places` where what lies there is not what the block's name says. No time or size is believed."""
        lacking = {}
        with _Files(self._root) as files:
            for ordinal, wanted in sorted(places.items()):
                name = entries[ordinal].id
                left = [target for target in wanted if not self._holds(files, target, name)]
                self._count(reused=sum(target.length for target in wanted) - sum(target.length for target in left))
                if left:
                    lacking[ordinal] = left
        return lacking

    def _holds(self, files: _Files, target: Target, name: bytes) -> bool:
        plain = files.read(target)
        return len(plain) == target.length and hmac.compare_digest(block_id(self._key, plain), name)

    def _count(self, *, reused: int = 0, fetched: int = 0) -> None:
        with self._lock:
            self.reused += reused
            self.fetched += fetched
        self._meter.add(reused + fetched)

    def _whole(self, pack: PackRef, wanted: int) -> memoryview | None:
        """All of a small pack of which at least half is wanted: one request instead of two or three."""
        if self._reuse or pack.size > _WHOLE or 2 * wanted < pack.blocks:
            return None
        return memoryview(self._repository.store.get(self._repository.layout.pack(pack.id), length=pack.size))

    def _index(self, pack: PackRef, whole: memoryview | None) -> tuple[list[Entry], PackCipher | None]:
        start = pack.size - pack.tail
        if whole is not None:
            tail = bytes(whole[start:])
        else:
            tail = self._repository.store.get(self._repository.layout.pack(pack.id), offset=start, length=pack.tail)
        return parse_tail(tail, pack), self._repository.pack_cipher(sealing(tail))

    def _fetch(self, pack: PackRef, part: Range, whole: memoryview | None) -> memoryview:
        """The bytes of a range. Those before the first block are its pack's magic, so that no byte goes unread."""
        lead = len(MAGIC) if part.offset == len(MAGIC) else 0
        start, length = part.offset - lead, part.length + lead
        if whole is not None:
            body = whole[start : start + length]
        else:
            body = memoryview(
                self._repository.store.get(self._repository.layout.pack(pack.id), offset=start, length=length)
            )
        if body[:lead] != MAGIC[:lead]:
            raise PackError(f"starts with {bytes(body[:lead])!r}, not with {MAGIC!r}")
        return body[lead:]

    def _open(
        self,
        body: memoryview,
        part: Range,
        entry: Entry,
        decompressor: zstandard.ZstdDecompressor,
        cipher: PackCipher | None,
    ) -> bytes | memoryview:
        """The plain bytes of a block; PackError unless they are what was put there.

        The tag of a sealed block, and the checksum that compression has left in it, prove that already: naming it again
        would be a fourth of a restore's work. `ops backup verify` does, and so does whoever changes a block's seal.
        """
        start = entry.offset - part.offset
        key = self._key if cipher is None else None
        return open_block(body[start : start + entry.stored], entry, key, cipher, decompressor)


def open_block(
    stored: memoryview,
    entry: Entry,
    key: bytes | None,
    cipher: PackCipher | None,
    decompressor: zstandard.ZstdDecompressor,
) -> bytes | memoryview:
    """The plain bytes of a block as it is stored; PackError unless its name is theirs, where `key` can tell."""
    plain: bytes | memoryview = stored
    if cipher is not None:
        plain = cipher.open(plain, entry.offset)
    if entry.compressed:
        try:
            # Compared first, so that a damaged frame cannot fill the memory.
            if (size := zstandard.frame_content_size(plain)) != entry.plain:
                raise PackError(f"block {entry.id.hex()} would unpack to {size} bytes, not {entry.plain}")
            plain = decompressor.decompress(plain)
        except zstandard.ZstdError as error:
            raise PackError(f"block {entry.id.hex()} does not unpack: {error}") from error
    if len(plain) != entry.plain or (key is not None and not hmac.compare_digest(block_id(key, plain), entry.id)):
        raise PackError(f"block {entry.id.hex()} at {entry.offset} has other contents than its name says")
    return plain


@contextmanager
def _naming(pack: PackRef, path: str) -> Iterator[None]:
    """Turns what is wrong with a pack into an error that names it, and a file that is lost with it."""
    try:
        yield
    except NotFound as error:
        raise damaged(f"pack {pack.id}, with {path}", error.message) from error
    except Damaged:
        raise
    except ValueError as error:  # PackError, or a range beyond the end of what is stored
        raise damaged(f"pack {pack.id}, with {path}", str(error)) from error


class _Files:
    """Files below `root`. The last one stays open: neighbours in a pack are neighbours in a file.

    They are written together, too: while a worker writes to a file, others that want to do so wait for its lock.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._path = ""
        self._handle = -1
        self._pending: list[bytes | memoryview] = []
        self._start = self._end = 0  # where in the file the pending ones belong

    def __enter__(self) -> _Files:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._pending.clear()  # whoever fails here leaves a directory that no server starts in
        self._close()

    def read(self, target: Target) -> bytes:
        """What lies there; less than its length, or nothing, where that is all there is."""
        try:
            self._open(target.path, os.O_RDONLY)
        except FileNotFoundError:
            return b""
        return os.pread(self._handle, target.length, target.offset)

    def write(self, target: Target, plain: bytes | memoryview) -> None:
        """Written at the end of the context at the latest; `plain` is not to change until then."""
        if target.path != self._path or target.offset != self._end or self._end - self._start >= _TOGETHER:
            self._flush()
            self._start = self._end = target.offset
        self._open(target.path, os.O_WRONLY | os.O_CREAT)
        self._pending.append(plain)
        self._end += target.length

    def _flush(self) -> None:
        while self._pending:
            count = os.pwritev(self._handle, self._pending, self._start)
            self._start += count
            while self._pending and count >= len(self._pending[0]):
                count -= len(self._pending.pop(0))
            if count:
                self._pending[0] = memoryview(self._pending[0])[count:]

    def _open(self, path: str, flags: int) -> None:
        if path != self._path:
            self._close()
            self._handle = os.open(self._root / path, flags | os.O_NOFOLLOW, 0o600)
            self._path = path

    def _close(self) -> None:
        self._flush()
        if self._handle >= 0:
            os.close(self._handle)
        self._path, self._handle = "", -1
