"""Blocks into packs, packs into the store: what each reading thread has one of."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

import zstandard

from ops.backup.faults import reached
from ops.model.blocks import Run, block_id
from ops.model.blocktable import BlockTable
from ops.model.manifest import File
from ops.model.pack import TARGET_SIZE, Builder, Entry, PackRef
from ops.store.base import AlreadyExists
from ops.store.repository import Repository

# What is not stored yet is lost with a kill. So packs are small where the database is: at most about one part in 256
# of it for each thread.
_SHARE = 256
_LEAST_TARGET = 1 << 20


def pack_size(total: int) -> int:
    """The size at which packs are closed that `total` bytes go into."""
    return min(TARGET_SIZE, max(_LEAST_TARGET, total // _SHARE))


class Packs:
    """The packs that a backup may refer to: its own, and those of others whose blocks it knows. Shared by threads.

    Each has a number from when it is begun or adopted. What has become of a block is asked and told here.
    """

    def __init__(self, expected_blocks: int = 0) -> None:
        self._packs: list[PackRef | None] = []
        self._table = BlockTable(expected_blocks)
        self._lock = threading.Lock()
        self.new_bytes = 0

    def adopt(self, pack: PackRef) -> int:
        """Number a pack that is in the store already."""
        with self._lock:
            self._packs.append(pack)
            return len(self._packs) - 1

    def know(self, number: int, entries: Iterable[Entry]) -> None:
        """From now on the blocks of that pack are found."""
        with self._lock:
            for ordinal, entry in enumerate(entries):
                self._table.add(entry.id, number, ordinal)

    def begin(self) -> int:
        with self._lock:
            self._packs.append(None)
            return len(self._packs) - 1

    def added(self, block: bytes, place: Run) -> None:
        """A block lies in one of our own packs, or will when that is stored."""
        with self._lock:
            self._table.add(block, place.pack, place.first)

    def find(self, block: bytes) -> Run | None:
        """Where a block lies that need not be stored again."""
        with self._lock:
            place = self._table.find(block)
        return Run(*place, 1) if place else None

    def stored(self, number: int, pack: PackRef) -> None:
        with self._lock:
            self._packs[number] = pack
            self.new_bytes += pack.size

    def used_by(self, files: Sequence[File]) -> tuple[tuple[PackRef, ...], tuple[File, ...]]:
        """The packs that the files lie in, and the files with runs that count only those."""
        numbers = sorted({run.pack for file in files for run in file.runs})
        position = {number: place for place, number in enumerate(numbers)}
        found = [self._packs[number] for number in numbers]
        packs = tuple(pack for pack in found if pack)
        assert len(packs) == len(found), "a pack was never finished"
        return packs, tuple(replace(file, runs=_renumbered(file.runs, position)) for file in files)


def _renumbered(runs: tuple[Run, ...], position: dict[int, int]) -> tuple[Run, ...]:
    return tuple(Run(position[run.pack], run.first, run.count) for run in runs)


class Packer:
    """Names, compresses and seals blocks, collects them and puts a pack whenever one is full. For one thread."""

    def __init__(
        self, repository: Repository, packs: Packs, key: bytes, level: int, *, target: int = TARGET_SIZE
    ) -> None:
        self.packs = packs
        self._repository = repository
        self._key = key
        # A restore of sealed blocks takes the tag's word and this checksum's, and does not name them again.
        self._compressor = zstandard.ZstdCompressor(level=level, write_checksum=True)
        self._target = target
        self._builder: Builder | None = None
        self._number = -1

    def name(self, plain: bytes | memoryview) -> bytes:
        return block_id(self._key, plain)

    def add(self, plain: bytes | memoryview, block: bytes | None = None) -> Run:
        """Where a block lies, by its name if that is known already; stored unless it lies somewhere."""
        block = block or self.name(plain)
        return self.packs.find(block) or self._store(plain, block)

    def _store(self, plain: bytes | memoryview, block: bytes) -> Run:
        if self._builder is None:
            self._builder = Builder(self._repository.new_pack_cipher(), target=self._target)
            self._number = self.packs.begin()
        payload = self._compressor.compress(plain)
        smaller = len(payload) < len(plain)
        ordinal = self._builder.add(block, payload if smaller else plain, len(plain), compressed=smaller)
        place = Run(self._number, ordinal, 1)
        self.packs.added(block, place)
        if self._builder.full:
            self.finish()
        return place

    def finish(self) -> None:
        """Put what has been collected."""
        if self._builder is None:
            return
        pack, body = self._builder.seal()
        self._builder = None
        with suppress(AlreadyExists):  # by its name it has the same bytes: our own PUT, sent twice
            self._repository.store.put(self._repository.layout.pack(pack.id), body)
        self.packs.stored(self._number, pack)
        reached("create-packed")
