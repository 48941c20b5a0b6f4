"""The table of blocks: what is put in is found, whatever else is in it, until it is full."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from ops.backup.packer import Packs, pack_size
from ops.model.blocks import Run
from ops.model.blocktable import BlockTable
from ops.model.manifest import File
from ops.model.pack import MAX_BLOCKS, TARGET_SIZE, PackRef


def block(number: int) -> bytes:
    return hashlib.sha256(number.to_bytes(8, "big")).digest()


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 2**20 - 2), st.integers(0, MAX_BLOCKS - 1))))
def test_the_first_place_of_a_block_is_found(added: list[tuple[int, int, int]]) -> None:
    table, expected = BlockTable(0), dict[int, tuple[int, int]]()
    for number, pack, ordinal in added:
        table.add(block(number), pack, ordinal)
        expected.setdefault(number, (pack, ordinal))
    assert {number: table.find(block(number)) for number in range(300) if number in expected} == {
        number: place for number, place in expected.items() if number < 300
    }
    assert table.find(block(1000)) is None


def test_a_full_table_takes_no_more_and_keeps_what_it_has() -> None:
    table = BlockTable(0)
    for number in range(2000):
        table.add(block(number), 0, number % MAX_BLOCKS)
    known = [number for number in range(2000) if table.find(block(number))]
    assert known == list(range(768))


def test_a_table_has_room_for_what_is_expected() -> None:
    table = BlockTable(5000)
    for number in range(5000):
        table.add(block(number), 1, number % MAX_BLOCKS)
    assert all(table.find(block(number)) for number in range(5000))


def test_packs_are_small_where_the_database_is() -> None:
    assert [pack_size(total) for total in (0, 1 << 30, 1 << 40)] == [1 << 20, 4 << 20, TARGET_SIZE]


def test_a_backup_lists_the_packs_that_its_files_lie_in_and_no_others() -> None:
    packs = Packs(10)
    first, second = PackRef("aa", 100, 3, ""), PackRef("bb", 200, 3, "")
    packs.adopt(PackRef("unused", 1, 1, ""))
    packs.adopt(first)
    number = packs.begin()
    packs.stored(number, second)
    files = [File("a", 1, 0, 0, (Run(2, 0, 1), Run(1, 1, 1))), File("b", 0, 0, 0)]
    used, numbered = packs.used_by(files)
    assert used == (first, second)
    assert numbered[0].runs == (Run(1, 0, 1), Run(0, 1, 1))
    assert packs.new_bytes == 200
