"""A plan tells each change once, with what it does to what runs."""

from __future__ import annotations

from ops.model.changes import Change, plan
from ops.model.impact import Impact

RESTARTS = (Impact.RESTART, Impact.SWITCHOVER)


def test_the_same_change_on_several_hosts_is_one_change_of_them_all() -> None:
    found = [Change(host, "etcd", "Write /etc/default/etcd") for host in ("pg1", "pg2")]
    (only,) = plan(found, {}).changes
    assert (only.what, only.hosts) == ("Write /etc/default/etcd", ("pg1", "pg2"))


def test_changes_of_different_impact_stay_apart() -> None:
    found = [Change("pg1", "x", "same", (Impact.RELOAD,)), Change("pg2", "x", "same", (Impact.RESTART,))]
    assert [change.hosts for change in plan(found, {}).changes] == [("pg1",), ("pg2",)]


def test_the_order_is_that_of_the_deploy() -> None:
    found = [Change("pg1", "x", "first"), Change("pg1", "x", "second"), Change("pg2", "x", "first")]
    assert [change.what for change in plan(found, {}).changes] == ["first", "second"]


def test_a_file_that_carries_a_declaration_is_told_by_what_it_brings_about() -> None:
    found = [
        Change("pg1", "PostgreSQL", "Write /etc/ops/cluster.json", carries="pg_main"),
        Change("pg2", "PostgreSQL", "Write /etc/ops/cluster.json", carries="pg_main"),
        Change("pg1", "PostgreSQL", "max_connections 100 → 200", RESTARTS, settles="pg_main"),
    ]
    (only,) = plan(found, {}).changes
    assert (only.what, only.impacts) == ("max_connections 100 → 200", RESTARTS)


def test_a_file_that_carries_a_declaration_is_listed_where_it_brings_about_nothing() -> None:
    found = [
        Change("ts1", "PostgreSQL", "Write /etc/ops/cluster.json", carries="pg_analytics"),
        Change("pg1", "PostgreSQL", "role app", settles="pg_main"),
    ]
    assert [change.hosts for change in plan(found, {}).changes] == [("ts1",), ("pg1",)]


def test_the_sum_of_impacts_goes_from_mild_to_final_and_leaves_out_none() -> None:
    found = [
        Change("pg1", "x", "a", (Impact.SWITCHOVER, Impact.RESTART)),
        Change("pg1", "x", "b", (Impact.NONE,)),
        Change("pg1", "x", "c", (Impact.RELOAD,)),
    ]
    assert plan(found, {}).impacts == (Impact.RELOAD, Impact.RESTART, Impact.SWITCHOVER)


def test_a_plan_without_changes_does_nothing_to_anybody() -> None:
    empty = plan([], {"pg3": "timed out"})
    assert (empty.changes, empty.impacts, empty.hosts) == ((), (), ())
    assert empty.failures == {"pg3": "timed out"}
