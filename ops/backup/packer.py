"""Blocks into packs, packs into the store: what each reading thread has one of."""

from __future__ import annotations

import threading
from contextlib import suppress

import zstandard

from ops.model.blocks import Run, block_id
from ops.model.pack import Builder, PackRef
from ops.store.base import AlreadyExists
from ops.store.repository import Repository


class Packs:
    """The packs of one backup, numbered when they are begun and known when they are stored. Shared by threads."""

    def __init__(self) -> None:
        self._packs: list[PackRef | None] = []
        self._lock = threading.Lock()

    def begin(self) -> int:
        with self._lock:
            self._packs.append(None)
            return len(self._packs) - 1

    def stored(self, number: int, pack: PackRef) -> None:
        self._packs[number] = pack

    def all(self) -> tuple[PackRef, ...]:
        """Every pack, in the order of the numbers; all of them must be stored."""
        packs = tuple(pack for pack in self._packs if pack)
        assert len(packs) == len(self._packs), "a pack was never finished"
        return packs


class Packer:
    """Compresses blocks, seals and collects them and puts a pack whenever one is full. For one thread."""

    def __init__(self, repository: Repository, packs: Packs, key: bytes, level: int) -> None:
        self._repository = repository
        self._packs = packs
        self._key = key
        self._compressor = zstandard.ZstdCompressor(level=level)
        self._builder: Builder | None = None
        self._number = -1

    def add(self, plain: bytes | memoryview) -> Run:
        """Store one block; where it lies."""
        if self._builder is None:
            self._builder, self._number = Builder(self._repository.new_pack_cipher()), self._packs.begin()
        payload = self._compressor.compress(plain)
        smaller = len(payload) < len(plain)
        ordinal = self._builder.add(
            block_id(self._key, plain), payload if smaller else plain, len(plain), compressed=smaller
        )
        place = Run(self._number, ordinal, 1)
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
        self._packs.stored(self._number, pack)
