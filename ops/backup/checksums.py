"""PostgreSQL's page checksums, of many pages at once.

The checksum is 32 sums of 32 bits side by side over the 64 rows of a page (storage/checksum_impl.h). Here the sums of
some hundred pages stand side by side, so that each of numpy's steps is long: 2 GiB/s a core, and without the
interpreter lock. Imported by who takes a backup, when there is a page to look at: numpy takes 0.1 s and 15 MiB.
"""

from __future__ import annotations

import os

# There is no algebra here, for which numpy would start threads with memory of their own.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

_Words = NDArray[np.uint32]

_PRIME = np.uint32(16777619)
_SHIFT = np.uint32(17)
_BASIS = np.array([
    0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
    0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
    0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
    0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756,
], np.uint32)  # fmt: skip
_ROWS, _LANES = 64, 32
# The checksum itself, which counts as zero, is the lower half of the third word of a page.
_STORED = np.uint32(0xFFFF)
_BESIDE = np.uint32(0xFFFF0000)
# So many pages at a time: what they need lies in a core's cache, and the lock is asked for seldom.
_BATCH = 512


def failing(pages: memoryview, first: int) -> list[int]:
    """Positions in `pages` (whole pages, one after another) of those whose checksum is not that of their contents.

    `first` is the block number in its relation of the first. A page of zeros is one that was never written.
    """
    found = []
    words = np.frombuffer(pages, np.uint32).reshape(-1, _ROWS, _LANES)
    for start in range(0, len(words), _BATCH):
        part = words[start : start + _BATCH]
        numbers = np.arange(first + start, first + start + len(part), dtype=np.uint32)
        wrong = (_sums(part) ^ numbers) % np.uint32(65535) + np.uint32(1) != part[:, 0, 2] & _STORED
        found += [start + position for position in np.flatnonzero(wrong).tolist() if part[position].any()]
    return found


def _sums(pages: _Words) -> _Words:
    """The checksum of each page before its block number is worked in."""
    total = pages[:, 0].copy()
    total[:, 2] &= _BESIDE
    total ^= _BASIS
    upper = np.empty_like(total)
    _mix(total, upper)
    for row in range(1, _ROWS):
        np.bitwise_xor(total, pages[:, row], out=total)
        _mix(total, upper)
    for _ in range(2):
        _mix(total, upper)
    sums: _Words = np.bitwise_xor.reduce(total, axis=1)
    return sums


def _mix(total: _Words, upper: _Words) -> None:
    """One step of each sum, in place."""
    np.right_shift(total, _SHIFT, out=upper)
    np.multiply(total, _PRIME, out=total)
    np.bitwise_xor(total, upper, out=total)
