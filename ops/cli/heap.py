"""glibc's heap, told to hand large buffers back as soon as they are free."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # malloc.h
_LARGE = 1 << 20


def lean() -> None:
    """For commands whose threads hold packs or segments: without this each keeps about three times what it holds.

    By itself, glibc takes buffers of up to 32 MiB from the heap once it has seen a few, and they grow there by copies.
    Nothing happens under another C library.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        mallopt(_M_ARENA_MAX, 2)
