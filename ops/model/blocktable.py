"""Where blocks lie, by their names, in a fixed amount of memory however large the database is."""

from __future__ import annotations

from array import array

from ops.model.pack import MAX_BLOCKS

# 20 bytes a slot: with the most slots 80 MiB, for 3.1 million blocks (390 GiB of files that have changed).
MOST_SLOTS = 1 << 22
_LEAST_SLOTS = 1 << 10
# Half of a name is compared: it is 128 bits of a keyed hash, and a restore compares all of it.
_KEPT = 16
_MOST_PACKS = (1 << 32) // MAX_BLOCKS - 1


class BlockTable:
    """An open hash table from block ids to pack number and ordinal. Not for use from several threads.

    When it is full, or a place cannot be written in 32 bits, it takes no more: such a block is stored once again, which
    costs space and nothing else.
    """

    def __init__(self, expected: int) -> None:
        slots = _LEAST_SLOTS
        while slots < min(expected * 3 // 2, MOST_SLOTS):
            slots *= 2
        self._mask = slots - 1
        self._free = slots * 3 // 4
        self._ids = bytearray(slots * _KEPT)
        self._places = array("I", bytes(slots * 4))  # pack * MAX_BLOCKS + ordinal + 1; 0 where the slot is free

    def add(self, block: bytes, pack: int, ordinal: int) -> None:
        """Remember a block; the first place of a name counts."""
        slot = self._slot(block)
        if self._places[slot] or not self._free or pack >= _MOST_PACKS:
            return
        self._free -= 1
        self._ids[slot * _KEPT : (slot + 1) * _KEPT] = block[:_KEPT]
        self._places[slot] = pack * MAX_BLOCKS + ordinal + 1

    def find(self, block: bytes) -> tuple[int, int] | None:
        """Pack number and ordinal of a block; None where it is not known."""
        place = self._places[self._slot(block)]
        return divmod(place - 1, MAX_BLOCKS) if place else None

    def _slot(self, block: bytes) -> int:
        """The slot of a block, or the free one where it belongs; there always is one."""
        slot, wanted = int.from_bytes(block[-4:], "big") & self._mask, block[:_KEPT]
        while self._places[slot] and self._ids[slot * _KEPT : (slot + 1) * _KEPT] != wanted:
            slot = (slot + 1) & self._mask
        return slot
