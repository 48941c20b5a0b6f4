"""Reading the files of a running server, in parallel, in bounded memory.

Files change while they are read, and the WAL from the backup's start to its end mends that: what matters is
that every page that was there at the start is read at some time after it. So a file is read as far as it was
when the backup looked at it; a file that has become shorter, or is gone, is stored as far as it is there.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue

from ops.backup.packer import Packer
from ops.backup.proof import Blocks, Proof
from ops.backup.report import Meter
from ops.backup.scan import unreadable
from ops.model.blocks import Run, merge
from ops.model.manifest import File

# A large file is read in pieces of 64 blocks by whichever thread is free: long enough for a disk, short enough
# that threads end together.
BLOCKS_A_PIECE = 64
# Of its piece a thread holds so many blocks at a time: they are named, proven and compressed while a core's cache has
# them, and numpy's steps over their pages are long enough.
BLOCKS_AT_A_TIME = 16


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a file: to be read (`runs` empty), or read as far as `length`, None where the file is gone."""

    file: int
    offset: int
    length: int | None
    runs: tuple[Run, ...] = ()


def pieces(files: Iterable[File], size: int) -> Iterable[Piece]:
    """The files cut into stretches of at most `size` bytes."""
    for number, file in enumerate(files):
        for offset in range(0, file.size, size):
            yield Piece(number, offset, min(size, file.size - offset))


def assemble(files: list[File], done: Iterable[Piece]) -> list[File]:
    """The files as they were read: each ends where the first piece came short; those that were gone are left out."""
    by_file: defaultdict[int, list[Piece]] = defaultdict(list)
    for piece in done:
        by_file[piece.file].append(piece)
    found = []
    for number, file in enumerate(files):
        size, parts = 0, list[Run]()
        for piece in sorted(by_file[number], key=lambda piece: piece.offset):
            if piece.offset != size or piece.length is None:
                break
            size += piece.length
            parts.extend(piece.runs)
        gone = by_file[number] and all(piece.length is None for piece in by_file[number])
        if not gone:
            found.append(replace(file, size=size, runs=merge(parts)))
    return found


class Reader:
    """Reads files of the data directory `root` into blocks of `block_size` bytes; `proof` looks at their pages."""

    def __init__(self, root: Path, block_size: int, meter: Meter, proof: Proof | None = None) -> None:
        self._root = root
        self._block_size = block_size
        self._meter = meter
        self._proof = proof
        self._stop = threading.Event()

    def read(self, files: list[File], packers: list[Packer], while_waiting: Callable[[], None]) -> list[File]:
        """All `files`, with one thread for each of `packers`, which keep the last blocks until `finish`.

        `while_waiting` is called about once a second; what it raises ends the reading.
        """
        queue: SimpleQueue[Piece] = SimpleQueue()
        for piece in pieces(files, BLOCKS_A_PIECE * self._block_size):
            queue.put(piece)
        done: list[Piece] = []
        with ThreadPoolExecutor(len(packers), "reader") as pool:
            running = {pool.submit(self._work, files, queue, packer, done) for packer in packers}
            try:
                _wait(running, while_waiting)
            finally:
                self._stop.set()
        return assemble(files, done)

    def _work(self, files: list[File], queue: SimpleQueue[Piece], packer: Packer, done: list[Piece]) -> None:
        buffer = memoryview(bytearray(BLOCKS_AT_A_TIME * self._block_size))
        while not self._stop.is_set():
            try:
                piece = queue.get_nowait()
            except Empty:
                return
            path = files[piece.file].path
            try:
                done.append(self._read(path, piece, packer, buffer))
            except OSError as error:
                raise unreadable(self._root / path, error) from error
            self._meter.add(piece.length or 0)

    def _read(self, path: str, piece: Piece, packer: Packer, buffer: memoryview) -> Piece:
        assert piece.length is not None
        try:
            handle = os.open(self._root / path, os.O_RDONLY)
        except FileNotFoundError:
            return replace(piece, length=None)
        count, runs = 0, list[Run]()
        try:
            while count < piece.length:
                wanted = min(len(buffer), piece.length - count)
                body = buffer[: fill(handle, buffer[:wanted], piece.offset + count)]
                runs += self._store(path, body, piece.offset + count, packer, handle)
                count += len(body)
                if len(body) < wanted:
                    break
        finally:
            os.close(handle)
        return replace(piece, length=count, runs=merge(runs))

    def _store(self, path: str, body: memoryview, offset: int, packer: Packer, handle: int) -> list[Run]:
        """Where the blocks of `body` lie, which was read from `offset` of a file."""
        blocks = Blocks(body, self._block_size, offset, packer.name)
        if self._proof:
            self._proof.look(path, blocks, packer.packs.find, lambda part, position: fill(handle, part, position))
        return [packer.add(plain, name) for plain, name in zip(blocks.plain, blocks.names, strict=True)]


def fill(handle: int, buffer: memoryview, position: int) -> int:
    """Reads until `buffer` is full or the file ends; how many bytes there were."""
    filled = 0
    while filled < len(buffer) and (count := os.preadv(handle, [buffer[filled:]], position + filled)):
        filled += count
    return filled


def _wait(running: set[Future[None]], meanwhile: Callable[[], None]) -> None:
    while running:
        done, running = wait(running, timeout=1, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
        meanwhile()
