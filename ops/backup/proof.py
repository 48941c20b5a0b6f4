"""Page checksums, looked at while files are read: which pages of the database are damaged on its own disk.

A page may be read while the server writes it, and then looks damaged: it is read again until it does not, or stays.
What stays, and was changed since the backup began, the WAL replaces as a whole. The rest is damage.
A block that the last backup proved at the very same place of the same file needs no proof again.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ops.model.blocks import PAGE_SIZE, Run
from ops.model.lsn import LSN
from ops.model.manifest import File
from ops.model.pages import lsns, segment_of

_TRIES = 6
_PAUSE = 0.01  # doubled each time: 0.3 s in all
# A file that is damaged everywhere is named with as many stretches as there are holes; these many pages are kept.
_MOST = 100_000


class Blocks:
    """The blocks of one piece of a file, in memory, with their names. `offset` is that of the piece in the file."""

    def __init__(self, body: memoryview, size: int, offset: int, name: Callable[[memoryview], bytes]) -> None:
        self.body = body
        self.offset = offset
        self.size = size
        self.plain = [body[start : start + size] for start in range(0, len(body), size)]
        self.names = [name(plain) for plain in self.plain]
        self._name = name

    def read_again(self, number: int, read: Callable[[memoryview, int], int]) -> None:
        """One block once more; of a file that has become shorter, what was there stays."""
        read(self.plain[number], self.offset + number * self.size)
        self.names[number] = self._name(self.plain[number])


@dataclass(frozen=True)
class Proven:
    """What the last backup has proven: its files with runs numbered as ours, all pages from before `until`."""

    files: Mapping[str, File]
    until: LSN

    def places(self, path: str, first: int, count: int) -> list[tuple[int, int] | None]:
        """Where the last backup has the blocks of a file from number `first` on: pack and ordinal."""
        file, found, position = self.files.get(path), list[tuple[int, int] | None](), 0
        for run in file.runs if file else ():
            start, end = max(first, position), min(first + count, position + run.count)
            found.extend((run.pack, run.first + number - position) for number in range(start, end))
            position += run.count
        return found + [None] * (count - len(found))


@dataclass(frozen=True, slots=True)
class _Suspect:
    page: int
    changed: int


class Proof:
    """Looks at the pages of a backup that began at `start`; relations are cut at so many pages a file."""

    def __init__(self, start: LSN, pages_a_segment: int, proven: Proven | None) -> None:
        self._start = start
        self._pages_a_segment = pages_a_segment
        self._proven = proven
        self._suspects: defaultdict[str, list[_Suspect]] = defaultdict(list)
        self._kept = 0
        self._lock = threading.Lock()

    def look(
        self,
        path: str,
        blocks: Blocks,
        find: Callable[[bytes], Run | None],
        read: Callable[[memoryview, int], int],
    ) -> None:
        """Prove the pages of `blocks`; those that fail are read again, in place, and remembered when they stay so."""
        segment = segment_of(path)
        if segment is None:
            return
        first = segment * self._pages_a_segment + blocks.offset // PAGE_SIZE
        wanted, pause = self._unproven(path, blocks, find), _PAUSE
        for _ in range(_TRIES):
            bad = _failing(blocks, wanted, first)
            if not bad:
                return
            time.sleep(pause)
            pause *= 2
            for number in bad:
                blocks.read_again(number, read)
            wanted = list(bad)
        self._remember(path, blocks, _failing(blocks, wanted, first))

    def _unproven(self, path: str, blocks: Blocks, find: Callable[[bytes], Run | None]) -> list[int]:
        """The numbers of those blocks that have to be looked at."""
        if not self._proven or path not in self._proven.files:
            return list(range(len(blocks.plain)))
        places = self._proven.places(path, blocks.offset // blocks.size, len(blocks.plain))
        return [
            number
            for number, (plain, name, before) in enumerate(zip(blocks.plain, blocks.names, places, strict=True))
            if not self._is_proven(plain, find(name), before)
        ]

    def _is_proven(self, plain: memoryview, place: Run | None, before: tuple[int, int] | None) -> bool:
        """Pages that were newer than the last backup's start may have been torn in it: those it did not prove."""
        if place is None or (place.pack, place.first) != before or self._proven is None:
            return False
        return max(lsns(_pages(plain)), default=0) < self._proven.until.position

    def _remember(self, path: str, blocks: Blocks, bad: Mapping[int, list[int]]) -> None:
        with self._lock:
            for number, pages in bad.items():
                changed = lsns(_pages(blocks.plain[number]))
                first = (blocks.offset + number * blocks.size) // PAGE_SIZE
                if self._kept < _MOST:
                    self._suspects[path] += [_Suspect(first + page, changed[page]) for page in pages]
                    self._kept += len(pages)

    def damaged(self, stop: LSN) -> dict[str, list[list[int]]]:
        """The damaged pages of each file, as stretches from first to last, once it is known where the backup ends.

        A page that says that it was changed between start and end is in the WAL as a whole.
        """
        mended = range(self._start.position, stop.position)
        found = {
            path: _stretches([suspect.page for suspect in suspects if suspect.changed not in mended])
            for path, suspects in sorted(self._suspects.items())
        }
        return {path: stretches for path, stretches in found.items() if stretches}


def _pages(plain: memoryview) -> memoryview:
    """The whole pages of a block: a file that is being extended may end with a part of one."""
    return plain[: len(plain) // PAGE_SIZE * PAGE_SIZE]


def _failing(blocks: Blocks, wanted: list[int], first: int) -> dict[int, list[int]]:
    """The pages that fail, by block: their positions in it. `first` is the number of the piece's first page."""
    if not wanted:
        return {}
    from ops.backup.checksums import failing  # noqa: PLC0415  numpy, for who has pages to look at

    a_block = blocks.size // PAGE_SIZE
    bad: defaultdict[int, list[int]] = defaultdict(list)
    for start, end in _stretches(wanted):
        pages = _pages(blocks.body[start * blocks.size : (end + 1) * blocks.size])
        for position in failing(pages, first + start * a_block):
            number, page = divmod(position, a_block)
            bad[start + number].append(page)
    return dict(bad)


def _stretches(numbers: list[int]) -> list[list[int]]:
    """The first and the last of those that follow one another."""
    found: list[list[int]] = []
    for number in sorted(set(numbers)):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found
