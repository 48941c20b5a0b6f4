"""Page checksums: as PostgreSQL computes them, for many pages at once."""

from __future__ import annotations

import os
import struct
import subprocess
import sys

import pytest

from ops.backup.checksums import _BASIS, failing
from ops.backup.proof import Blocks, Proof, Proven
from ops.model.blocks import PAGE_SIZE, Run
from ops.model.lsn import LSN
from ops.model.manifest import File
from ops.model.pages import lsns, segment_of

START = LSN(1000)


def checksum(page: bytes, number: int) -> int:
    """The checksum as its definition has it, word by word."""
    sums, words = [int(basis) for basis in _BASIS], list(struct.unpack("<2048I", page))
    words[2] &= 0xFFFF0000
    for position, word in enumerate([*words, *([0] * 64)]):
        mixed = sums[position % 32] ^ word
        sums[position % 32] = (mixed * 16777619 & 0xFFFFFFFF) ^ mixed >> 17
    total = number
    for one in sums:
        total ^= one
    return total % 65535 + 1


def page(number: int, *, lsn: int = 0) -> bytearray:
    body = bytearray(struct.pack("<II", lsn >> 32, lsn & 0xFFFFFFFF) + os.urandom(PAGE_SIZE - 8))
    struct.pack_into("<H", body, 8, checksum(bytes(body), number))
    return body


@pytest.mark.parametrize("count", [1, 16, 520])
def test_good_pages_pass_and_each_flipped_bit_is_found(count: int) -> None:
    good = b"".join(page(7 + number) for number in range(count))
    assert failing(memoryview(good), 7) == []
    for position, offset in ((0, 0), (count // 2, 4000), (count - 1, PAGE_SIZE - 1), (0, 9)):
        bad = bytearray(good)
        bad[position * PAGE_SIZE + offset] ^= 4
        assert failing(memoryview(bad), 7) == [position]


def test_a_page_in_another_place_fails_and_one_of_zeros_never_does() -> None:
    assert failing(memoryview(page(3)), 4) == [0]
    assert failing(memoryview(bytes(PAGE_SIZE * 600)), 0) == []
    assert failing(memoryview(b""), 0) == []


def test_who_only_has_the_program_started_does_not_pay_for_numpy() -> None:
    code = "import sys, ops.cli, ops.cli.backups, ops.wal.client, ops.backup.create; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_lsn_of_a_page() -> None:
    assert lsns(memoryview(page(0, lsn=0x12_34567890) + page(1, lsn=5))) == [0x12_34567890, 5]


@pytest.mark.parametrize(
    ("path", "segment"),
    [
        ("base/5/16384", 0),
        ("base/5/16384.2", 2),
        ("base/5/16384_vm", 0),
        ("base/5/16384_fsm.1", 1),
        ("global/1262", 0),
        ("pg_tblspc/16400/PG_15_202209061/5/16401.1", 1),
        ("global/pg_control", None),
        ("base/5/pg_filenode.map", None),
        ("base/5/PG_VERSION", None),
        ("pg_xact/0000", None),
    ],
)
def test_which_files_have_pages(path: str, segment: int | None) -> None:
    assert segment_of(path) == segment


def blocks_of(body: bytearray, size: int = 2 * PAGE_SIZE) -> Blocks:
    return Blocks(memoryview(body), size, 0, lambda plain: bytes(plain[:32]))


def nothing(block: bytes) -> Run | None:
    return None


def test_a_page_that_was_torn_is_read_again_and_is_no_damage() -> None:
    whole = page(0) + page(1) + page(2)
    torn = bytearray(whole)
    torn[PAGE_SIZE + 100] ^= 1
    blocks, proof = blocks_of(torn), Proof(START, 131072, None)

    def read(part: memoryview, offset: int) -> int:
        part[:] = whole[offset : offset + len(part)]
        return len(part)

    before = list(blocks.names)
    proof.look("base/5/1", blocks, nothing, read)
    assert proof.damaged(LSN(2000)) == {}
    assert torn == whole
    assert blocks.names[1] == before[1]


@pytest.mark.parametrize(("lsn", "damaged"), [(999, True), (1000, False), (1999, False), (2000, True), (2**60, True)])
def test_what_the_wal_of_the_backup_mends_is_no_damage(lsn: int, *, damaged: bool) -> None:
    body = page(0) + page(1, lsn=lsn) + page(2)
    body[PAGE_SIZE + 5000] ^= 1
    proof = Proof(START, 131072, None)
    proof.look("base/5/1", blocks_of(body), nothing, lambda part, offset: 0)
    assert proof.damaged(LSN(2000)) == ({"base/5/1": [[1, 1]]} if damaged else {})


def test_pages_of_later_segments_count_on_and_are_named_in_their_file() -> None:
    body = page(2 * 100) + page(2 * 100 + 1)
    proof = Proof(START, 100, None)
    proof.look("base/5/1.2", blocks_of(body), nothing, lambda part, offset: 0)
    assert proof.damaged(LSN(2000)) == {}
    proof.look("base/5/1.3", blocks_of(body), nothing, lambda part, offset: 0)
    assert proof.damaged(LSN(2000)) == {"base/5/1.3": [[0, 1]]}


def test_only_what_the_last_backup_has_not_proven_at_this_place_is_looked_at() -> None:
    body = page(0, lsn=5) + page(1, lsn=5) + page(2, lsn=600) + page(3, lsn=5)
    for number in range(4):
        body[number * PAGE_SIZE + 5000] ^= 1  # all would fail
    file = File("base/5/1", len(body), 0o600, 0, (Run(3, 7, 2),))
    at = {bytes(body[:32]): Run(3, 7, 1), bytes(body[2 * PAGE_SIZE : 2 * PAGE_SIZE + 32]): Run(3, 8, 1)}
    for until, path, found in (
        (LSN(700), "base/5/1", {}),
        (LSN(600), "base/5/1", {"base/5/1": [[2, 3]]}),  # the page with 600 may have been torn then
        (LSN(700), "base/5/2", {"base/5/2": [[0, 3]]}),  # another file: its pages have other numbers
    ):
        proof = Proof(START, 131072, Proven({"base/5/1": file}, until))
        proof.look(path, blocks_of(bytearray(body)), at.get, lambda part, offset: 0)
        assert proof.damaged(LSN(2000)) == found


def test_where_the_last_backup_has_the_blocks_of_a_piece() -> None:
    proven = Proven({"f": File("f", 0, 0, 0, (Run(1, 5, 3), Run(0, 2, 2)))}, START)
    assert proven.places("f", 0, 6) == [(1, 5), (1, 6), (1, 7), (0, 2), (0, 3), None]
    assert proven.places("f", 2, 2) == [(1, 7), (0, 2)]
    assert proven.places("g", 0, 1) == [None]
