"""Keys by name: ids that sort, wrapped keys that say what they are, and what a lost key costs."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.model.keys import (
    WrappedKey,
    created_at,
    is_data_key_id,
    is_kek_id,
    lost_without,
    new_data_key_id,
    wraps_by_data_key,
)

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
OLD, NEW = new_data_key_id(NOW - timedelta(days=1), bytes(10)), new_data_key_id(NOW, bytes(10))
WRAPPED = WrappedKey(OLD, "k1", "00" * 8, bytes(12), bytes(48))


@given(st.integers(-(10**9), 10**9))
def test_a_new_data_key_sorts_behind_the_last_one_whatever_the_clock_says(shift: int) -> None:
    later = new_data_key_id(NOW + timedelta(milliseconds=shift), os.urandom(10), after=NEW)
    assert is_data_key_id(later)
    assert later > NEW


def test_a_data_key_tells_when_it_was_made() -> None:
    assert created_at(NEW) == NOW


@pytest.mark.parametrize("name", ["", "UPPER", "a/b", "../x", "a.b", "-x", "x" * 33])
def test_no_name_of_a_key_leads_elsewhere(name: str) -> None:
    assert not is_kek_id(name)


def test_keys_are_read_from_the_names_of_objects_and_other_names_are_passed_over() -> None:
    names = [f"{NEW}.k2", f"{OLD}.k2", f"{OLD}.k1", "README", f"{OLD}.", f"{OLD}.A", f"{OLD[1:]}.k1"]
    assert list(wraps_by_data_key(names).items()) == [(OLD, frozenset({"k1", "k2"})), (NEW, frozenset({"k2"}))]


def test_a_data_key_is_lost_with_the_last_key_that_opens_it() -> None:
    wraps = wraps_by_data_key([f"{OLD}.k1", f"{OLD}.k2", f"{NEW}.k2"])
    assert lost_without(wraps, ["k1"]) == set()
    assert lost_without(wraps, ["k2"]) == {NEW}
    assert lost_without(wraps, ["k1", "k2"]) == {OLD, NEW}


def test_a_wrapped_key_survives_its_encoding() -> None:
    assert WrappedKey.decode(WRAPPED.encode(), OLD, "k1") == WRAPPED


@pytest.mark.parametrize(
    "change",
    [
        {"data_key": NEW},
        {"key_encryption_key": "k2"},
        {"format": 2},
        {"cipher": "none"},
        {"nonce": "x"},
        {"wrapped": None},
    ],
)
def test_a_wrapped_key_that_is_not_what_its_name_says_is_refused(change: dict[str, object]) -> None:
    document = json.loads(WRAPPED.encode()) | change
    with pytest.raises(ValueError):
        WrappedKey.decode(json.dumps(document).encode(), OLD, "k1")
