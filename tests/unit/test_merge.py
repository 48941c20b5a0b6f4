"""What a declared configuration would change."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ops.model.merge import difference, flatten

scalars = st.one_of(st.booleans(), st.integers(-5, 5), st.sampled_from(["on", "off", "60s", "4MB", ""]))
trees = st.dictionaries(
    st.sampled_from("abcd"),
    st.recursive(scalars, lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3), max_leaves=6),
    max_size=4,
)


def merged(actual: object, patch: object) -> object:
    """As Patroni's PATCH /config merges."""
    if not isinstance(patch, dict) or not isinstance(actual, dict):
        return patch
    return actual | {key: merged(actual.get(key), value) for key, value in patch.items()}


def test_the_patch_holds_what_differs_and_nothing_else() -> None:
    declared = {"ttl": 20, "postgresql": {"parameters": {"work_mem": "4MB", "max_connections": 100}}}
    actual = {"ttl": 30, "pause": True, "postgresql": {"parameters": {"work_mem": "4MB", "max_connections": "100"}}}
    assert difference(declared, actual) == {"ttl": 20}


def test_on_and_true_are_the_same_to_postgresql() -> None:
    assert difference({"archive_mode": True}, {"archive_mode": "on"}) == {}
    assert difference({"archive_mode": True}, {"archive_mode": "off"}) == {"archive_mode": True}


@given(trees, trees)
def test_after_the_patch_nothing_differs(declared: dict[str, object], actual: dict[str, object]) -> None:
    patch = difference(declared, actual)
    after = merged(actual, patch)
    assert isinstance(after, dict)
    assert difference(declared, after) == {}


def test_a_patch_reads_as_dotted_keys() -> None:
    assert flatten({"a": {"b": 1, "c": {"d": 2}}, "e": 3}) == [("a.b", 1), ("a.c.d", 2), ("e", 3)]


def test_of_a_whole_section_what_is_not_declared_is_removed() -> None:
    declared = {"ttl": 20, "postgresql": {"parameters": {"work_mem": "4MB"}}}
    actual = {
        "ttl": 20,
        "pause": True,
        "postgresql": {"use_slots": True, "parameters": {"work_mem": "4MB", "jit": "off"}},
    }
    assert difference(declared, actual, whole=("postgresql", "parameters")) == {
        "postgresql": {"parameters": {"jit": None}}
    }
    assert difference(declared, actual) == {}
