"""LSNs: how they are read, printed, compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.model.lsn import LSN

positions = st.integers(0, 2**64 - 1)


@given(positions)
def test_what_is_printed_is_read_back(position: int) -> None:
    assert LSN.parse(str(LSN(position))) == LSN(position)


@given(positions, positions)
def test_order_and_distance_are_those_of_the_positions(left: int, right: int) -> None:
    assert (LSN(left) < LSN(right)) == (left < right)
    assert (LSN(left) >= LSN(right)) == (left >= right)
    assert LSN(left) - LSN(right) == left - right
    assert (hash(LSN(left)) == hash(LSN(right))) or left != right


@pytest.mark.parametrize(
    ("text", "position"), [("0/0", 0), ("0/3000060", 0x3000060), ("16/B374D848", 0x16B374D848), (" a/b\n", 0xA0000000B)]
)
def test_it_is_read_as_postgresql_writes_it(text: str, position: int) -> None:
    assert LSN.parse(text).position == position


@pytest.mark.parametrize("text", ["", "0", "/", "0/", "/0", "0/123456789", "g/0", "0/0/0", "-1/0", "0x1/0"])
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="not an LSN"):
        LSN.parse(text)


@pytest.mark.parametrize("position", [-1, 2**64])
def test_a_position_has_64_bits(position: int) -> None:
    with pytest.raises(ValueError, match="64-bit"):
        LSN(position)


def test_it_is_printed_as_postgresql_prints_it() -> None:
    assert str(LSN(0x16B374D848)) == "16/B374D848"
    assert repr(LSN(0x3000060)) == "LSN('0/3000060')"


def test_it_is_not_equal_to_a_number() -> None:
    assert LSN(1) != 1
