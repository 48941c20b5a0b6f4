"""Is a file what its name says: the rules for the header of a segment, and for the smaller kinds."""

from __future__ import annotations

import struct

import pytest

from ops.errors import OpsError
from ops.model.segment import WalFile
from ops.model.timeline import History
from ops.wal.check import Refused, check_file

OURS = 7_000_000_000_000_000_001
MIB = 1 << 20


def page(
    *,
    magic: int = 0xD110,
    info: int = 0x0002,
    timeline: int = 1,
    address: int = 0x10 * MIB,
    owner: int = OURS,
    segment_size: int = MIB,
    length: int = MIB,
) -> bytes:
    """A segment of `length` bytes with these fields in the header of its first page."""
    return struct.pack("=HHIQI4xQII", magic, info, timeline, address, 0, owner, segment_size, 8192).ljust(length, b"\0")


def check(name: str, contents: bytes, *, major: int = 15, history: History | None = None) -> None:
    check_file(WalFile.parse(name), contents, system_identifier=OURS, major_version=major, history=history)


NAME = "000000010000000000000010"


@pytest.mark.parametrize("name", [NAME, f"{NAME}.partial"])
def test_a_segment_of_ours_passes(name: str) -> None:
    check(name, page(), history=History(1))


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        (b"", "it is empty"),
        (page(length=MIB // 2), "between 1 MiB and 1 GiB"),
        (page(length=2 * MIB, address=0x20 * MIB), "header says 1048576"),
        (bytes(MIB), "magic number 0000"),
        (page(magic=0xD10F), "magic number D10F"),
        (page(info=0), "long header"),
        (page(address=0x11 * MIB), "is that of 0/1100000, not of 0/1000000"),
        (page(timeline=2), "of timeline 2"),
        (page(timeline=0), "of timeline 0"),
        (page(owner=OURS + 1), str(OURS + 1)),
    ],
)
def test_a_segment_that_is_damaged_or_misnamed_or_foreign_is_refused(contents: bytes, said: str) -> None:
    for name in (NAME, f"{NAME}.partial"):
        with pytest.raises(Refused) as caught:
            check(name, contents)
        assert said in str(caught.value.detail)


def test_a_name_that_the_segment_size_cannot_have_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        check("000000010000000000001000", page())
    assert "ends beyond 00000FFF" in str(caught.value.detail)


def test_another_major_version_has_another_magic_number() -> None:
    check(NAME, page(magic=0xD116), major=17)
    with pytest.raises(Refused):
        check(NAME, page(magic=0xD110), major=17)


def test_a_version_that_we_do_not_know_yet_needs_only_the_family_of_the_magic_number() -> None:
    check(NAME, page(magic=0xD1FF), major=40)
    with pytest.raises(Refused):
        check(NAME, page(magic=0xD2FF), major=40)


CHILD = "000000030000000000000010"


@pytest.mark.parametrize(
    ("history", "timeline"),
    [
        ("1\t0/1000100\tswitch within the segment\n", 1),
        ("1\t0/1000000\tswitch at its very start\n", 3),
        ("1\t0/F00100\tswitch before it\n", 3),
        ("1\t0/1000100\tboth switches in it\n2\t0/1000200\t\n", 1),
        ("1\t0/F00000\t\n2\t0/1000200\tthe second switch in it\n", 2),
    ],
)
def test_the_first_page_carries_the_timeline_that_was_current_at_its_start(history: str, timeline: int) -> None:
    known = History.parse(3, history)
    check(CHILD, page(timeline=timeline), history=known)
    for other in {1, 2, 3, 4} - {timeline}:
        with pytest.raises(Refused):
            check(CHILD, page(timeline=other), history=known)


def test_without_a_history_any_older_timeline_passes() -> None:
    for timeline in (1, 2, 3):
        check(CHILD, page(timeline=timeline))
    with pytest.raises(Refused):
        check(CHILD, page(timeline=4))


def test_a_history_passes_only_when_it_names_its_ancestors() -> None:
    check("00000002.history", b"1\t0/1000100\tno recovery target specified\n")
    for contents in (b"", b"# nothing\n", b"nonsense\n", b"2\t0/1000100\titself\n", b"\xff\xfe"):
        with pytest.raises(Refused):
            check("00000002.history", contents)


def test_a_backup_label_passes_only_for_the_segment_that_it_names() -> None:
    label = f"START WAL LOCATION: 0/1000028 (file {NAME})\nSTOP WAL LOCATION: 0/1000100 (file {NAME})\n".encode()
    check(f"{NAME}.00000028.backup", label)
    with pytest.raises(OpsError):
        check("000000010000000000000011.00000028.backup", label)
    with pytest.raises(OpsError):
        check(f"{NAME}.00000028.backup", b"nonsense")
