"""Who may become a member of etcd, and who may go: every case in which a majority or a vote could be lost."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.errors import OpsError
from ops.model.etcd import (
    Member,
    Membership,
    entry,
    initial_cluster,
    majority,
    of_ids,
    parse_members,
    removable,
)

PEERS = {name: f"https://{name}:2380" for name in ("pg1", "pg2", "pg3")}


def member(number: int, *, started: bool = True, name: str | None = None) -> Member:
    name = name or f"pg{number}"
    urls = (f"https://{name}:2379",) if started else ()
    return Member(number, name if started else "", (f"https://{name}:2380",), urls)


def membership(*members: Member, healthy: tuple[int, ...]) -> Membership:
    return Membership(members, frozenset(healthy))


def test_members_are_read_as_etcd_lists_them() -> None:
    document = json.loads(
        """{"header": {"cluster_id": "7567052842066584491"}, "members": [
            {"ID": "251619810086748274", "name": "pg2", "peerURLs": ["https://pg2:2380"],
             "clientURLs": ["https://pg2:2379"]},
            {"ID": "14310240711101249723", "peerURLs": ["https://pg3:2380"]}]}"""
    )
    first, second = parse_members(document)
    assert first == Member(251619810086748274, "pg2", ("https://pg2:2380",), ("https://pg2:2379",))
    assert first.has_started
    assert not second.has_started
    assert second.host == "pg3"
    assert of_ids((first, second), {"https://pg2:2379"}) == {251619810086748274}
    with pytest.raises(ValueError, match="not a list"):
        parse_members({"error": "unavailable"})


def test_hosts_that_are_all_empty_found_a_cluster() -> None:
    found = entry("pg3", PEERS, None, everybody_is_new=True)
    assert not found.joins
    assert initial_cluster(found.initial) == "pg1=https://pg1:2380,pg2=https://pg2:2380,pg3=https://pg3:2380"


def test_an_empty_host_founds_nothing_while_others_have_data_and_no_majority() -> None:
    with pytest.raises(OpsError, match="no majority of the others answers") as refused:
        entry("pg3", PEERS, None, everybody_is_new=False)
    assert refused.value.hint
    assert "docs/runbooks/members.md" in refused.value.hint


def test_a_host_that_lost_its_disk_is_removed_and_added_anew() -> None:
    found = entry("pg3", PEERS, membership(member(1), member(2), member(3), healthy=(1, 2)), everybody_is_new=False)
    assert (found.joins, found.remove, found.add) == (True, 3, True)
    assert dict(found.initial) == PEERS


def test_a_run_killed_after_the_removal_goes_on_with_the_addition() -> None:
    found = entry("pg3", PEERS, membership(member(1), member(2), healthy=(1, 2)), everybody_is_new=False)
    assert (found.joins, found.remove, found.add) == (True, None, True)


def test_a_run_killed_after_the_addition_goes_on_with_the_start() -> None:
    added = membership(member(1), member(2), member(3, started=False), healthy=(1, 2))
    found = entry("pg3", PEERS, added, everybody_is_new=False)
    assert (found.joins, found.remove, found.add) == (True, None, False)
    assert dict(found.initial) == PEERS


def test_a_majority_that_answers_is_joined_even_where_all_were_told_to_found_a_cluster() -> None:
    known = membership(member(1), member(2), member(3), healthy=(1, 2))
    assert entry("pg3", PEERS, known, everybody_is_new=True).joins


def test_a_fourth_member_is_not_added_while_one_of_three_is_away() -> None:
    peers = PEERS | {"pg4": "https://pg4:2380", "pg5": "https://pg5:2380"}
    with pytest.raises(OpsError, match="without a majority until pg4 has started") as refused:
        entry("pg4", peers, membership(member(1), member(2), member(3), healthy=(1, 2)), everybody_is_new=False)
    assert refused.value.detail == "Of 4 members 3 would be needed, and 2 answer (not pg3)."


def test_the_last_survivor_takes_in_a_second() -> None:
    found = entry("pg2", PEERS, membership(member(1), healthy=(1,)), everybody_is_new=False)
    assert dict(found.initial) == {"pg1": PEERS["pg1"], "pg2": PEERS["pg2"]}


def test_a_member_that_answers_is_never_removed_to_make_room_for_its_namesake() -> None:
    with pytest.raises(OpsError, match="pg3 answers, and this host has no data"):
        entry("pg3", PEERS, membership(member(1), member(2), member(3), healthy=(1, 2, 3)), everybody_is_new=False)


@given(count=st.integers(1, 7), healthy=st.integers(1, 7), registered=st.booleans())
def test_nobody_is_taken_in_where_that_costs_the_majority(count: int, healthy: int, registered: bool) -> None:
    members = [member(number) for number in range(1, count + 1)]
    new = f"pg{count}" if registered else "pg9"
    answering = tuple(range(1, min(healthy, count - registered) + 1))
    known = membership(*members, healthy=answering)
    total = count if registered else count + 1
    try:
        found = entry(new, {new: f"https://{new}:2380"}, known, everybody_is_new=False)
    except OpsError:
        assert len(answering) < majority(total)
    else:
        assert len(answering) >= majority(total) or count == 1
        assert len(found.initial) == total


def test_a_member_that_left_the_inventory_can_be_removed() -> None:
    known = membership(member(1), member(2), member(3), healthy=(1, 2, 3))
    assert removable(known, "pg3", ["pg1", "pg2"]).id == 3
    dead = membership(member(1), member(2), member(3), healthy=(1, 2))
    assert removable(dead, "pg3", ["pg1", "pg2"]).id == 3


@pytest.mark.parametrize(
    ("name", "declared", "words"),
    [
        ("pg4", ["pg1"], "no member 'pg4'"),
        ("pg3", ["pg1", "pg2", "pg3"], "is in the inventory's group 'etcd'"),
        ("pg1", ["pg2"], "without pg1 etcd would have no majority"),
    ],
)
def test_a_member_that_is_in_use_is_not_removed(name: str, declared: list[str], words: str) -> None:
    known = membership(member(1), member(2), member(3), healthy=(1, 2))
    with pytest.raises(OpsError, match=words):
        removable(known, name, declared)
