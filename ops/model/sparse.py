"""Packs of which most is needed no more. Pure.

Nothing in the store is rewritten, so that a pack goes as a whole, once no backup refers to it. One block that never
changes would keep a pack of dead ones for ever, because each backup builds on the last. So the next backup does not
build on a sparse pack: what it needs of it, it stores anew, and the pack goes with the backups that are there already.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from ops.model.manifest import Contents
from ops.model.pack import PackRef

# A pack is sparse when less than half of its blocks is needed: storing those anew frees more than it costs.
NEEDED = 0.5
# What one backup stores anew on that account, as a part of what the newest one has stored: a database that changes
# evenly makes all packs of its first backup sparse at the same time, and that must not come to another first backup.
SHARE = 0.05

Uses = Mapping[str, int]  # pack id -> a bit for each of its blocks that a backup refers to


@dataclass(frozen=True)
class Sparse:
    """A sparse pack. `needed` are its blocks that a backup needs which stays, `renewed` those that the newest one has,
    and the next one stores anew; `last` is the newest backup that stays and refers to it, with which it goes.
    """

    pack: PackRef
    needed: int
    renewed: int
    last: str

    def bytes_of(self, blocks: int) -> int:
        """About what so many of its blocks take up: a list of files says how many there are, not how large each is."""
        return self.pack.size * blocks // self.pack.blocks

    @property
    def reason(self) -> str:
        return f"{self.needed} of its {self.pack.blocks} blocks are needed; it goes with backup {self.last}"


def uses(contents: Contents) -> dict[str, int]:
    """Which blocks of its packs a backup refers to."""
    bits = [0] * len(contents.packs)
    for file in contents.files:
        for run in file.runs:
            bits[run.pack] |= ((1 << run.count) - 1) << run.first
    return {pack.id: used for pack, used in zip(contents.packs, bits, strict=True)}


def sparse(packs: Mapping[str, PackRef], stay: Mapping[str, Uses], newest: Uses) -> tuple[Sparse, ...]:
    """The packs that the next backup is not to build on, those of which the least is stored anew first.

    `stay` are the backups that stay, by id; `newest` is the one that the next backup builds on.
    """
    needed: defaultdict[str, int] = defaultdict(int)
    last: dict[str, str] = {}
    for backup in sorted(stay):
        for pack, used in stay[backup].items():
            needed[pack] |= used
            last[pack] = backup
    found = (
        Sparse(packs[pack], used.bit_count(), newest.get(pack, 0).bit_count(), last[pack])
        for pack, used in needed.items()
        if pack in packs and used.bit_count() < NEEDED * packs[pack].blocks
    )
    return _affordable(
        sorted(found, key=lambda one: (one.renewed / one.pack.blocks, one.pack.id)),
        SHARE * sum(packs[pack].size for pack in newest if pack in packs),
    )


def _affordable(found: list[Sparse], limit: float) -> tuple[Sparse, ...]:
    """The first of them, up to the one that comes to the limit: some day each has its turn, however small the limit."""
    spent, chosen = 0, list[Sparse]()
    for one in found:
        if spent >= limit and one.renewed:
            break
        spent += one.bytes_of(one.renewed)
        chosen.append(one)
    return tuple(chosen)
