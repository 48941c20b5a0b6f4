"""What to verify next: what was tampered with, then what never was verified, then the oldest; within the budget."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.model.ledger import Entry, Seen, decode, due, encode, merged, stale, stands

seen = st.builds(Seen, st.integers(1, 100), st.integers(0, 5))
entries = st.builds(Entry, seen, st.integers(0, 1000), st.sampled_from(["good", "damaged", "foreign"]), st.text())
keys = st.sampled_from([f"k{number}" for number in range(12)])
stored = st.dictionaries(keys, seen)
ledgers = st.dictionaries(keys, entries)

HERE = Seen(10, 1)


@given(stored, ledgers)
def test_without_a_limit_everything_is_due_and_each_once(objects: dict[str, Seen], ledger: dict[str, Entry]) -> None:
    assert sorted(due(objects, ledger, None)) == sorted(objects)


@given(stored, ledgers, st.integers(1, 300))
def test_a_run_keeps_to_its_budget_but_for_what_is_urgent(
    objects: dict[str, Seen], ledger: dict[str, Entry], budget: int
) -> None:
    found = due(objects, ledger, budget)
    urgent = {
        key
        for key in objects
        if key in ledger and (ledger[key].verdict != "good" or not stands(ledger[key], objects[key]))
    }
    assert urgent <= set(found)
    others = [key for key in found if key not in urgent]
    spent = sum(objects[key].size for key in found)
    assert spent <= budget or len(others) <= (0 if urgent else 1)
    assert found or not objects, "no run stands still"


@given(stored, ledgers)
def test_nothing_is_due_when_nothing_is_to_be_read(objects: dict[str, Seen], ledger: dict[str, Entry]) -> None:
    assert due(objects, ledger, 0) == []


def test_the_order_is_changed_then_new_then_longest_ago() -> None:
    ledger = {
        "late": Entry(HERE, 200),
        "early": Entry(HERE, 100),
        "changed": Entry(Seen(11, 1), 300),
        "bad": Entry(HERE, 300, "damaged"),
    }
    assert due(dict.fromkeys([*ledger, "new"], HERE), ledger, None) == ["bad", "changed", "new", "early", "late"]


def test_what_is_stale_is_all_but_what_was_found_good_lately_and_has_not_changed() -> None:
    ledger = {
        "lately": Entry(HERE, 200),
        "long ago": Entry(HERE, 99),
        "changed": Entry(Seen(11, 1), 300),
        "bad": Entry(HERE, 300, "damaged"),
    }
    assert stale(dict.fromkeys([*ledger, "new"], HERE), ledger, 100) == ["bad", "changed", "new", "long ago"]


@given(ledgers)
def test_a_ledger_survives_its_encoding(ledger: dict[str, Entry]) -> None:
    assert decode(encode(ledger)) == ledger


@given(st.lists(ledgers))
def test_of_several_ledgers_the_last_word_on_each_object_counts(parts: list[dict[str, Entry]]) -> None:
    found = merged(parts)
    for key, entry in found.items():
        assert entry.verified == max(part[key].verified for part in parts if key in part)
    assert set(found) == set().union(*parts)


@pytest.mark.parametrize("plain", [b"", b"[]", b'{"format": 2, "entries": {}}', b'{"format": 1, "entries": {"k": {}}}'])
def test_what_is_no_ledger_is_refused(plain: bytes) -> None:
    with pytest.raises(ValueError):
        decode(plain)
