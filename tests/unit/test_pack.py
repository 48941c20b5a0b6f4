"""Packs: what is put in comes out, and no byte can change unnoticed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.model.blocks import Run, block_id, count_blocks, merge
from ops.model.pack import FOOTER, MAGIC, MAX_BLOCKS, Builder, Entry, PackError, PackRef, parse, parse_tail, ranges

KEY = bytes(range(32))
payloads = st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=20)


def build(blocks: list[bytes], *, compressed: bool = False) -> tuple[PackRef, bytes]:
    builder = Builder()
    for block in blocks:
        builder.add(block_id(KEY, block), block, len(block), compressed=compressed)
    return builder.seal()


@given(payloads, st.booleans())
def test_a_pack_gives_back_its_blocks(blocks: list[bytes], compressed: bool) -> None:
    pack, body = build(blocks, compressed=compressed)
    entries = parse_tail(body[-pack.tail :], pack)
    assert [body[entry.offset : entry.offset + entry.stored] for entry in entries] == blocks
    assert [entry.id for entry in entries] == [block_id(KEY, block) for block in blocks]
    assert {entry.compressed for entry in entries} == {compressed}


@given(payloads)
def test_a_pack_can_be_read_without_a_backup_that_refers_to_it(blocks: list[bytes]) -> None:
    pack, body = build(blocks)
    assert parse(body) == (pack, parse_tail(body[-pack.tail :], pack))


def test_a_pack_is_named_by_all_its_bytes() -> None:
    pack, body = build([b"one", b"two"])
    assert pack == PackRef(hashlib.sha256(body).hexdigest(), len(body), 2, pack.tail_sha256)
    assert build([b"one", b"two"])[0].id == pack.id


@given(payloads, st.data())
def test_a_flipped_bit_in_index_or_footer_is_refused(blocks: list[bytes], data: st.DataObject) -> None:
    pack, body = build(blocks)
    tail = bytearray(body[-pack.tail :])
    bit = data.draw(st.integers(0, len(tail) * 8 - 1))
    tail[bit // 8] ^= 1 << bit % 8
    with pytest.raises(PackError):
        parse_tail(bytes(tail), pack)


@given(payloads, st.data())
def test_a_flipped_bit_anywhere_gives_a_pack_another_name(blocks: list[bytes], data: st.DataObject) -> None:
    pack, body = build(blocks)
    bit = data.draw(st.integers(0, len(body) * 8 - 1))
    damaged = bytearray(body)
    damaged[bit // 8] ^= 1 << bit % 8
    try:
        found, _ = parse(bytes(damaged))
    except PackError:
        return
    assert found.id != pack.id


@given(payloads, st.data())
def test_a_pack_that_is_cut_off_is_refused(blocks: list[bytes], data: st.DataObject) -> None:
    _, body = build(blocks)
    with pytest.raises(PackError):
        parse(body[: data.draw(st.integers(0, len(body) - 1))])


@pytest.mark.parametrize("field", ["format", "cipher"])
def test_a_later_format_is_refused_by_name(field: str) -> None:
    _, body = build([b"block"])
    values = list(FOOTER.unpack(body[-FOOTER.size :]))
    values[6 if field == "format" else 5] = 7
    with pytest.raises(PackError, match=f"{field} 7"):
        parse(body[: -FOOTER.size] + FOOTER.pack(*values))


def test_a_pack_is_full_after_its_most_blocks() -> None:
    builder = Builder()
    for _ in range(MAX_BLOCKS - 1):
        builder.add(bytes(32), b"x", 1, compressed=False)
    assert not builder.full
    builder.add(bytes(32), b"x", 1, compressed=False)
    assert builder.full


def entries_of(sizes: list[int]) -> list[Entry]:
    offsets = [len(MAGIC) + sum(sizes[:number]) for number in range(len(sizes))]
    return [Entry(bytes(32), offset, size, size, False) for offset, size in zip(offsets, sizes, strict=True)]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.data())
def test_ranges_cover_what_is_wanted_within_their_limit(sizes: list[int], data: st.DataObject) -> None:
    entries = entries_of(sizes)
    wanted = data.draw(st.sets(st.integers(0, len(sizes) - 1)))
    found = ranges(entries, wanted, limit=100, gap=20)
    for ordinal in wanted:
        (part,) = [part for part in found if part.first <= ordinal <= part.last]
        assert part.offset <= entries[ordinal].offset
        assert entries[ordinal].offset + entries[ordinal].stored <= part.offset + part.length
    for part in found:
        assert part.length <= 100
        assert {part.first, part.last} <= wanted
        assert part.offset == entries[part.first].offset


def test_ranges_leave_out_what_is_far_apart() -> None:
    found = ranges(entries_of([10] * 100), [0, 1, 3, 90], limit=1000, gap=10)
    assert [(part.first, part.last, part.length) for part in found] == [(0, 3, 40), (90, 90, 10)]


@given(st.integers(0, 10**7), st.sampled_from([8192, 131072]))
def test_blocks_cover_a_file(size: int, block_size: int) -> None:
    count = count_blocks(size, block_size)
    assert (count - 1) * block_size < size <= count * block_size if size else count == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(1, 3))))
def test_merged_runs_name_the_same_blocks(parts: list[tuple[int, int, int]]) -> None:
    def blocks(runs: list[Run]) -> list[tuple[int, int]]:
        return [(run.pack, run.first + number) for run in runs for number in range(run.count)]

    runs = [Run(*part) for part in parts]
    merged = list(merge(runs))
    assert blocks(merged) == blocks(runs)
    assert not any(replace(one, first=one.first + one.count, count=two.count) == two for one, two in pairwise(merged))
