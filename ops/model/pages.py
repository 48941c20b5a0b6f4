"""PostgreSQL's page checksums, of many pages at once, with nothing but the integers of Python.

The checksum is 32 sums of 32 bits side by side over the 64 rows of a page (storage/checksum_impl.h). A Python integer
of thousands of bits is a vector: each page has 64 bits of it, one half holds a sum, and the other takes what the
multiplication carries over until a mask wipes it. About 350 MiB/s a core, a hundred times what a loop over words does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ops.model.blocks import PAGE_SIZE

_PRIME = 16777619
_BASIS = (
    0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
    0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
    0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
    0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756,
)  # fmt: skip
_ROWS = 64
_WORDS = 16  # of 64 bits in a row: two sums each
_PAGE_WORDS = _ROWS * _WORDS
# Pages lie this far apart while their words are collected: at exactly 8 KiB they would share a few lines of the cache.
_GAP = bytes(64)
_STRIDE = (PAGE_SIZE + len(_GAP)) // 8
# More pages at a time make no difference; fewer cost more for each.
_BATCH = 512

_RELATION = re.compile(
    r"(?:base/\d+|global|pg_tblspc/\d+/PG_[^/]+/\d+)/\d+(?:_(?:fsm|vm|init))?(?:\.(?P<segment>\d+))?"
)


def segment_of(path: str) -> int | None:
    """Which segment of a relation's fork a file is, by its path in the data directory; None where it has no pages."""
    found = _RELATION.fullmatch(path)
    return int(found["segment"] or 0) if found else None


def lsns(pages: memoryview) -> list[int]:
    """The position in the WAL that each page was changed at last."""
    words = pages.cast("Q")[::_PAGE_WORDS]
    return [(word & 0xFFFFFFFF) << 32 | word >> 32 for word in words]


def failing(pages: memoryview, numbers: Sequence[int]) -> list[int]:
    """Positions in `pages` (whole pages, one after another) of those whose checksum is not that of their contents.

    `numbers` are their block numbers in their relations. A page of zeros is one that was never written.
    """
    found = []
    for first in range(0, len(numbers), _BATCH):
        part = pages[first * PAGE_SIZE : (first + _BATCH) * PAGE_SIZE]
        sums = _sums(part)
        for position, (total, stored) in enumerate(zip(sums, _stored(part), strict=True), first):
            good = stored == (total ^ numbers[position]) % 65535 + 1
            if not good and any(pages[position * PAGE_SIZE : (position + 1) * PAGE_SIZE]):
                found.append(position)
    return found


def _stored(pages: memoryview) -> list[int]:
    """The checksums that the pages carry: the lowest two bytes of their second word."""
    return [word & 0xFFFF for word in pages.cast("Q")[1::_PAGE_WORDS]]


def _sums(pages: memoryview) -> list[int]:
    """The checksum of each page before its block number is worked in."""
    count = len(pages) // PAGE_SIZE
    ones = int.from_bytes((1).to_bytes(8, "little") * count, "little")
    low, total = ones * 0xFFFFFFFF, 0
    for word, rows in enumerate(_columns(pages, count)):
        if word == 1:
            rows[0] &= ones * 0xFFFFFFFFFFFF0000  # the checksum itself counts as zero
        total ^= _mixed(rows, ones * _BASIS[2 * word], low)
        # The sums of the upper halves stay there; what they carry over is wiped from the next page's lower half.
        total ^= _mixed(rows, ones * _BASIS[2 * word + 1] << 32, low << 32) >> 32
    return memoryview((total & low).to_bytes(8 * count, "little")).cast("Q").tolist()


def _mixed(rows: list[int], total: int, mask: int) -> int:
    for row in rows:
        mixed = (total ^ row) & mask
        total = mixed * _PRIME ^ mixed >> 17
    for _ in range(2):
        mixed = total & mask
        total = mixed * _PRIME ^ mixed >> 17
    return total & mask


def _columns(pages: memoryview, count: int) -> Iterator[list[int]]:
    """For each of the 16 words of a row: that word of all 64 rows, as a vector over the pages."""
    spread = b"".join(
        part for page in range(count) for part in (pages[page * PAGE_SIZE : (page + 1) * PAGE_SIZE], _GAP)
    )
    words = memoryview(spread).cast("Q")
    for word in range(_WORDS):
        yield [int.from_bytes(words[row * _WORDS + word :: _STRIDE].tobytes(), "little") for row in range(_ROWS)]
