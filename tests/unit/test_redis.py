"""Who follows whom in a group of Redis servers, and what is not as declared."""

from __future__ import annotations

import pytest

from ops.errors import OpsError
from ops.model.redis import (
    Group,
    Opinion,
    Server,
    complaints,
    differing,
    differing_users,
    first_role,
    known_master,
    parse_conf,
    readable,
)

MEMBERS = ("r1", "r2", "r3")
INFO_OF_A_REPLICA = """# Replication\r
role:slave\r
master_host:r2\r
master_port:6379\r
master_link_status:up\r
# Persistence\r
loading:0\r
# Keyspace\r
db0:keys=7,expires=0,avg_ttl=0\r
db3:keys=5,expires=1,avg_ttl=9\r
"""


def master(keys: int = 0) -> Server:
    return Server(None, link_up=False, keys=keys)


def replica(of: str, keys: int = 0, *, link_up: bool = True) -> Server:
    return Server(of, link_up=link_up, keys=keys)


def opinion(of: str, epoch: int = 0, *, replicas: int = 2, sentinels: int = 3, is_down: bool = False) -> Opinion:
    return Opinion(of, epoch, 2, replicas, sentinels, is_down)


def group(opinions: dict[str, Opinion] | None = None, **servers: Server) -> Group:
    return Group(MEMBERS, servers, opinions or {})


def everybody(of: str) -> dict[str, Opinion]:
    return {name: opinion(of) for name in MEMBERS}


def test_a_server_s_answer_is_read() -> None:
    assert Server.parse(INFO_OF_A_REPLICA) == Server("r2", link_up=True, keys=12, loading=False)
    assert Server.parse("role:master\r\nloading:1\r\n") == Server(None, link_up=False, keys=0, loading=True)


def test_a_sentinel_s_answer_is_read() -> None:
    answer = {
        "name": "redis_cache", "ip": "r2", "flags": "master", "config-epoch": "3", "num-slaves": "2",
        "num-other-sentinels": "2", "quorum": "2",
    }  # fmt: skip
    assert Opinion.parse([answer], "redis_cache") == opinion("r2", 3)
    assert Opinion.parse([answer | {"flags": "s_down,master"}], "redis_cache") == opinion("r2", 3, is_down=True)
    assert Opinion.parse([answer], "redis_other") is None


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (group(everybody("r3"), r1=master(), r2=replica("r3"), r3=master()), "r3"),
        (group({"r1": opinion("r1", 1), "r2": opinion("r2", 2)}), "r2"),
        (group(r1=master(), r2=replica("r3"), r3=master()), "r3"),
        (group(r1=master(), r2=master(keys=9)), "r2"),
        (group(r3=master(), r2=master()), "r2"),
        (group(r2=replica("r1", 5)), "r1"),
        (group(), None),
    ],
    ids=[
        "the Sentinels' word counts for more than a server's",
        "the newer failover counts",
        "whom a replica follows",
        "who has data",
        "among empty ones the first",
        "also one that does not answer",
        "nobody answers",
    ],
)
def test_the_master_is_read_from_the_fleet(seen: Group, expected: str | None) -> None:
    assert known_master(seen) == expected


@pytest.mark.parametrize(
    "seen",
    [
        group(r1=master(keys=1), r2=master(keys=1)),
        group(r1=replica("r2"), r3=replica("r1")),
        group(r1=replica("r2", 4), r2=master(4), r3=master(2)),
        group({"r1": opinion("r1", 2), "r2": opinion("r2", 2)}),
    ],
    ids=["two with data", "two are followed", "one is followed, another has data", "Sentinels at odds"],
)
def test_two_masters_are_refused(seen: Group) -> None:
    with pytest.raises(OpsError) as refusal:
        known_master(seen)
    assert refusal.value.hint
    assert complaints(seen, with_sentinel=False) == [refusal.value.message]


def test_a_new_group_begins_with_its_first_host() -> None:
    others = frozenset(MEMBERS)
    assert first_role("r1", group(), others) is None
    assert first_role("r2", group(), others) == "r1"
    assert first_role("r3", group(), others) == "r1"


def test_a_host_without_state_follows_the_master_that_there_is() -> None:
    assert first_role("r1", group(everybody("r2"), r2=master(3), r3=replica("r2", 3)), frozenset({"r1"})) == "r2"
    assert first_role("r1", group(r2=master(3), r3=replica("r2", 3)), frozenset({"r1"})) == "r2"


def test_an_empty_host_never_starts_as_the_master_of_replicas_with_data() -> None:
    with pytest.raises(OpsError, match="r1 is the group's master but has lost its data; r2 and r3 still hold"):
        first_role("r1", group(r2=replica("r1", 3), r3=replica("r1", 3)), frozenset({"r1"}))


def test_an_empty_host_does_not_begin_while_somebody_who_may_have_data_is_silent() -> None:
    with pytest.raises(OpsError, match="r3, which may have, did not answer"):
        first_role("r1", group(), frozenset({"r1", "r2"}))


def test_replicas_without_data_let_their_master_begin_again() -> None:
    assert first_role("r1", group(r2=replica("r1"), r3=replica("r1")), frozenset({"r1"})) is None


def test_a_formed_group_has_nothing_to_complain_of() -> None:
    seen = group(everybody("r2"), r1=replica("r2"), r2=master(), r3=replica("r2"))
    assert complaints(seen, with_sentinel=True) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"r1": master(2)}, "r1 is a master and holds 2 keys; the master is r2"),
        ({"r1": replica("r3")}, "r1 follows r3 and holds 0 keys; the master is r2"),
        ({"r1": replica("r2", link_up=False)}, "r1 has lost its link to r2"),
        ({"r2": replica("r1")}, "r2 is to be the master, but follows r1"),
        ({"r1": Server("r2", link_up=True, keys=0, loading=True)}, "r1 is loading its data"),
    ],
)
def test_what_is_wrong_with_a_server_is_said(change: dict[str, Server], words: str) -> None:
    servers = {"r1": replica("r2"), "r2": master(), "r3": replica("r2")} | change
    assert complaints(Group(MEMBERS, servers, everybody("r2")), with_sentinel=True) == [words]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"r1": opinion("r1", -1)}, "the Sentinel on r1 takes r1 for the master, not r2"),
        ({"r1": opinion("r2", replicas=1)}, "the Sentinel on r1 sees 1 of 2 replicas, 3 Sentinels"),
        ({"r1": opinion("r2", is_down=True)}, "the Sentinel on r1 sees r2 down"),
    ],
)
def test_what_a_sentinel_has_wrong_is_said(change: dict[str, Opinion], words: str) -> None:
    servers = {"r1": replica("r2"), "r2": master(), "r3": replica("r2")}
    assert complaints(Group(MEMBERS, servers, everybody("r2") | change), with_sentinel=True) == [words]


def test_a_sentinel_that_watches_nothing_is_named() -> None:
    seen = group({"r2": opinion("r2"), "r3": opinion("r2")}, r1=replica("r2"), r2=master(), r3=replica("r2"))
    assert complaints(seen, with_sentinel=True) == ["the Sentinel on r1 does not know the group"]


def test_a_silent_member_is_named() -> None:
    assert complaints(group(r1=master(), r2=replica("r1")), with_sentinel=False) == ["r3 does not answer"]


def test_a_configuration_file_is_read_as_settings() -> None:
    text = '# words\nsave ""\nsave 900 1\ninclude /x\n\nport 0\nbind a b\n'
    assert parse_conf(text) == {"save": "900 1", "port": "0", "bind": "a b"}
    assert parse_conf('save ""\n') == {"save": ""}


def test_sizes_are_compared_as_bytes_and_shown_as_sizes() -> None:
    declared = {"maxmemory": "512mb", "port": "0"}
    assert differing(declared, {"maxmemory": "536870912", "port": "0"}) == {}
    assert differing(declared, {"maxmemory": "1073741824", "port": "0"}) == {"maxmemory": "1073741824"}
    assert differing(declared, {"port": "0"}) == {"maxmemory": "not known to it"}
    assert readable("maxmemory", "1073741824") == "1gb"
    assert readable("maxmemory", "1073741825") == "1073741825"
    assert readable("save", "") == '""'


def test_users_are_compared_by_their_rules_in_any_order() -> None:
    declared = ["user a on #0123456789abcdef ~* -@all +get +set"]
    assert differing_users(declared, ["user a on #01234567 ~* -@all +set +get"]) == {}
    assert differing_users(declared, ["user a on sanitize-payload #01234567 ~* -@all +set +get"]) == {}
    assert differing_users(declared, ["user a on #01234567 ~* -@all +set +get +del"]) == {"a": "also has +del"}
    assert differing_users(declared, ["user a on #01234567 ~* -@all +set"]) == {"a": "lacks +get"}
    assert differing_users(declared, ["user a off #01234567 ~* -@all +set +get"]) == {
        "a": "has off where on is declared"
    }
    assert differing_users(declared, []) == {"a": "is missing"}
    assert differing_users([], ["user b on nopass"]) == {"b": "is not declared"}


def test_another_password_is_told_without_its_digest() -> None:
    found = differing_users(["user a on #0123456789abcdef"], ["user a on #fedcba98"])
    assert found == {"a": "has <password> where <password> is declared"}
