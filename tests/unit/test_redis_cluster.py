"""The layout of a Redis Cluster, and what a member does to come into it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ops.model.redis_cluster import (
    SLOTS,
    Node,
    View,
    Views,
    complaints,
    first_slots,
    former_lives,
    heir,
    layout,
    master_for,
    orphaned_slots,
    strangers,
    untaken,
)

MEMBERS = tuple(f"r{number}" for number in range(1, 7))
SHARES = {"r1": 5461, "r2": 5462, "r3": 5461}


def node(name: str, *, of: str | None = None, slots: int = 0, flags: str = "", ident: str = "") -> Node:
    return Node(ident or f"id-{name}", name, f"10.0.0.{name[1:]}", of, frozenset(flags.split()), True, slots)


def whole() -> dict[str, Node]:
    """r1, r2 and r3 lead; r4, r5 and r6 replicate them."""
    masters = {name: node(name, slots=count) for name, count in SHARES.items()}
    return masters | {f"r{n + 3}": node(f"r{n + 3}", of=f"id-r{n}") for n in (1, 2, 3)}


def seen_by_all(nodes: dict[str, Node], *, keys: int = 0, extra: tuple[Node, ...] = ()) -> Views:
    """Everybody sees the same."""

    def view(me: str) -> View:
        mine = [replace(n, flags=n.flags | {"myself"}) if name == me else n for name, n in nodes.items()]
        return View((*mine, *extra), keys, link_up=True)

    return {name: view(name) for name in nodes}


def alone(name: str) -> View:
    return View((node(name, flags="myself"),), 0, link_up=False)


def test_a_line_of_cluster_nodes_is_read() -> None:
    line = "07c3 10.0.0.4:6379@16379,r4 myself,master - 0 1426238317239 4 connected 0-99 101 [200->-9f3a]"
    assert Node.parse(line) == Node("07c3", "r4", "10.0.0.4", None, frozenset({"myself", "master"}), True, 101)
    replica = Node.parse("9f3a :0@0 slave,noaddr 07c3 1 2 3 disconnected")
    assert (replica.name, replica.master_id, replica.is_gone, replica.link_up) == ("", "07c3", True, False)


def test_the_first_hosts_share_all_slots() -> None:
    assert layout(MEMBERS, 1) == {"r1": (0, 5460), "r2": (5461, 10922), "r3": (10923, SLOTS - 1)}
    assert layout(MEMBERS, 0)["r6"][1] == SLOTS - 1


def test_in_a_new_cluster_the_first_hosts_take_their_slots() -> None:
    blank = seen_by_all({name: node(name) for name in MEMBERS})
    assert first_slots("r2", MEMBERS, 1, blank) == (5461, 10922)
    assert first_slots("r4", MEMBERS, 1, blank) is None


def test_a_master_takes_its_slots_also_after_the_others_took_theirs() -> None:
    begun = {name: node(name) for name in MEMBERS} | {"r1": node("r1", slots=SHARES["r1"])}
    assert first_slots("r2", MEMBERS, 1, seen_by_all(begun)) == (5461, 10922)


@pytest.mark.parametrize(
    "views",
    [
        seen_by_all({name: node(name) for name in MEMBERS}, keys=1),
        seen_by_all({name: node(name) for name in MEMBERS[:5]}),
        seen_by_all(whole() | {"r1": node("r1"), "r4": node("r4", slots=SHARES["r1"])}),
    ],
    ids=["somebody has a key", "somebody is silent", "a replica has been promoted"],
)
def test_nobody_takes_slots_in_a_cluster_that_may_have_data(views: Views) -> None:
    assert first_slots("r1", MEMBERS, 1, views) is None


def test_members_that_do_not_know_each_other_are_introduced() -> None:
    views = dict(seen_by_all({name: n for name, n in whole().items() if name != "r6"})) | {"r6": alone("r6")}
    assert strangers("r6", MEMBERS, views) == [f"10.0.0.{n}" for n in range(1, 6)]
    assert strangers("r1", MEMBERS, views) == ["10.0.0.6"]


def test_a_member_that_owns_nothing_replicates_the_master_with_the_fewest_replicas() -> None:
    nodes = whole() | {"r5": node("r5")}
    chosen = master_for("r5", MEMBERS, seen_by_all(nodes))
    assert chosen
    assert chosen.name == "r2"
    assert master_for("r4", MEMBERS, seen_by_all(nodes)) is None
    assert master_for("r1", MEMBERS, seen_by_all(nodes)) is None
    assert master_for("r5", MEMBERS, seen_by_all(nodes, keys=1)) is None


def test_the_former_life_of_a_member_that_lost_its_disk_is_forgotten() -> None:
    old = node("r5", of="id-r2", flags="slave fail", ident="old")
    unnamed = node("r9", flags="handshake", ident="new")
    assert former_lives("r1", seen_by_all(whole(), extra=(old, unnamed))) == [old]
    assert former_lives("r1", seen_by_all(whole())) == []
    assert orphaned_slots("r1", seen_by_all(whole(), extra=(old,))) == []


def test_a_member_without_its_data_does_not_start_while_it_is_still_counted_on() -> None:
    views = {name: view for name, view in seen_by_all(whole()).items() if name not in ("r1", "r5")}
    assert untaken("r1", views)[0] == "r2 takes r1 for the owner of 5461 slots"
    assert untaken("r5", views) == []


def test_slots_that_went_with_a_disk_are_named() -> None:
    old = node("r1", slots=SHARES["r1"], flags="master fail", ident="old")
    found = orphaned_slots("r2", seen_by_all(whole() | {"r1": node("r1")}, extra=(old,)))
    assert len(found) == 1
    assert "nobody has taken over its 5461 slots" in found[0]


def test_a_whole_cluster_has_nothing_to_complain_of() -> None:
    assert complaints(MEMBERS, 1, seen_by_all(whole())) == []


def test_a_cluster_that_has_failed_over_has_nothing_to_complain_of() -> None:
    swapped = whole() | {"r1": node("r1", of="id-r4"), "r4": node("r4", slots=SHARES["r1"])}
    assert complaints(MEMBERS, 1, seen_by_all(swapped)) == []


def test_what_is_wrong_with_a_cluster_is_said() -> None:
    views = dict(seen_by_all(whole() | {"r3": node("r3", flags="fail")}))
    del views["r6"]
    found = complaints(MEMBERS, 1, views)
    assert "r6 does not answer" in found
    assert "r1 sees r3 fail" in found
    assert "r1 sees 5461 slots without an owner" in found


def test_the_heir_of_a_master_is_a_replica_with_its_data() -> None:
    views = dict(seen_by_all(whole()))
    assert heir("r1", views) == "r4"
    assert heir("r4", views) is None
    views["r4"] = replace(views["r4"], link_up=False)
    assert heir("r1", views) is None
