"""Packs of which most is dead: when they are shunned, what that costs, and that they are gone in the end."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import pytest

from ops.model.blocks import Run
from ops.model.manifest import Contents, File
from ops.model.pack import PackRef
from ops.model.sparse import NEEDED, SHARE, sparse, uses


def pack(name: str, blocks: int = 10, size: int = 1000) -> PackRef:
    return PackRef(name, size, blocks, "")


def bits(*ordinals: int) -> int:
    return sum(1 << ordinal for ordinal in ordinals)


def test_the_blocks_that_a_backup_refers_to_are_counted_once() -> None:
    files = (
        File("a", 0, 0, 0, (Run(0, 2, 3), Run(1, 0, 1))),
        File("b", 0, 0, 0, (Run(0, 4, 2),)),
        File("empty", 0, 0, 0),
    )
    found = uses(Contents((pack("p"), pack("q")), (), files))
    assert found == {"p": bits(2, 3, 4, 5), "q": bits(0)}


def test_a_pack_is_sparse_when_less_than_half_of_it_is_needed_by_all_that_stay_together() -> None:
    packs = {name: pack(name) for name in ("half", "less", "shared", "full")}
    stay = {
        "b1": {"half": bits(0, 1), "less": bits(0), "shared": bits(0, 1, 2), "full": bits(*range(10))},
        "b2": {"half": bits(2, 3, 4), "less": bits(0, 1, 2, 3), "shared": bits(3, 4, 5)},
    }
    (found,) = sparse(packs, stay, stay["b2"])
    assert (found.pack.id, found.needed, found.renewed, found.last) == ("less", 4, 4, "b2")
    assert found.reason == "4 of its 10 blocks are needed; it goes with backup b2"
    assert found.bytes_of(found.needed) == 400
    assert "shared" in {one.pack.id for one in sparse(packs, {"b1": stay["b1"]}, {})}, "alone it needs three"


def test_what_nobody_refers_to_or_is_gone_from_the_store_is_not_sparse() -> None:
    assert sparse({"stray": pack("stray")}, {"b": {"gone": bits(0)}}, {"gone": bits(0)}) == ()


def test_what_one_backup_stores_anew_is_limited_and_what_costs_nothing_is_not() -> None:
    packs = {f"{number:03}": pack(f"{number:03}") for number in range(200)}
    newest = {name: bits(0, 1, 2) for name in packs}
    old = {f"old{number}": bits(0) for number in range(50)}
    packs |= {name: pack(name) for name in old}
    found = sparse(packs, {"b1": old, "b2": newest}, newest)
    assert {one.pack.id for one in found if not one.renewed} == old.keys()
    renewed = sum(one.bytes_of(one.renewed) for one in found)
    limit = SHARE * 200 * 1000
    assert limit <= renewed < limit + NEEDED * 1000


def test_a_single_pack_that_is_above_the_limit_has_its_turn_all_the_same() -> None:
    packs = {"small": pack("small", size=10), "large": pack("large", size=10**6)}
    newest = {"large": bits(0, 1, 2, 3), "small": bits(*range(10))}
    assert [one.pack.id for one in sparse(packs, {"b": newest}, newest)] == ["large"]


# -- over time -------------------------------------------------------------------------------------------------

BLOCKS, A_PACK, KEPT = 2000, 25, 10


class Repository:
    """A database of BLOCKS blocks of one byte, backed up once a day, of which the last KEPT backups stay."""

    def __init__(self, seed: int, *, shuns: bool) -> None:
        self.random, self.shuns = Random(seed), shuns
        self.packs: dict[str, PackRef] = {}
        self.backups: dict[str, Mapping[str, int]] = {}
        self.places: list[tuple[str, int] | None] = [None] * BLOCKS
        self.renewed: list[int] = []

    def change(self, share: float) -> None:
        for block in self.random.sample(range(BLOCKS), int(share * BLOCKS)):
            self.places[block] = None

    def back_up(self, day: int) -> None:
        self._shun()
        pending = [block for block, place in enumerate(self.places) if place is None]
        for start in range(0, len(pending), A_PACK):
            mine = pending[start : start + A_PACK]
            name = f"{day:04}-{start}"
            self.packs[name] = pack(name, len(mine), len(mine))
            for ordinal, block in enumerate(mine):
                self.places[block] = name, ordinal
        used: dict[str, int] = {}
        for place in self.places:
            assert place
            used[place[0]] = used.get(place[0], 0) | 1 << place[1]
        self.backups[f"{day:04}"] = used

    def expire(self) -> None:
        for name in sorted(self.backups)[:-KEPT]:
            del self.backups[name]
        needed = {name for used in self.backups.values() for name in used}
        self.packs = {name: one for name, one in self.packs.items() if name in needed}
        for used in self.backups.values():
            assert used.keys() <= self.packs.keys()

    def _shun(self) -> None:
        if not self.backups or not self.shuns:
            return
        found = {one.pack.id for one in sparse(self.packs, self.backups, self.backups[max(self.backups)])}
        hit = [block for block, place in enumerate(self.places) if place and place[0] in found]
        self.renewed.append(len(hit))
        for block in hit:
            self.places[block] = None

    @property
    def size(self) -> int:
        return sum(one.size for one in self.packs.values())


def live(seed: int, *, shuns: bool) -> Repository:
    repository = Repository(seed, shuns=shuns)
    for day in range(200):
        repository.back_up(day)
        repository.expire()
        repository.change(0.02)
    return repository


@pytest.mark.parametrize("seed", range(2))
def test_a_repository_stays_within_twice_what_its_backups_need_and_pays_little_for_it(seed: int) -> None:
    with_it, without = live(seed, shuns=True), live(seed, shuns=False)
    needed = BLOCKS * (1 + 0.02 * (KEPT - 1))
    assert with_it.size < needed / NEEDED
    assert without.size > 2.5 * needed, "otherwise it would prove nothing"
    assert max(with_it.renewed) <= SHARE * with_it.size + NEEDED * A_PACK
    assert sum(with_it.renewed) / len(with_it.renewed) < 0.03 * BLOCKS
