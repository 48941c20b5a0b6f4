"""Who may leave a PostgreSQL cluster."""

from __future__ import annotations

import pytest

from ops.errors import OpsError
from ops.model.departure import Standing, absent, refuse_needed, slot_of

LEADER = Standing("pg1", leads=True, healthy=True)
REPLICA = Standing("pg2", leads=False, healthy=True)
OTHER = Standing("pg3", leads=False, healthy=True)
DEAD = Standing("pg3", leads=False, healthy=False)


def test_the_leader_is_not_removed() -> None:
    with pytest.raises(OpsError, match="pg1 leads the cluster") as refused:
        refuse_needed("pg1", [LEADER, REPLICA, OTHER], 1)
    assert refused.value.hint
    assert "ops cluster switchover" in refused.value.hint


@pytest.mark.parametrize("others", [[], [DEAD]])
def test_a_replica_that_commits_wait_for_is_not_removed(others: list[Standing]) -> None:
    with pytest.raises(OpsError, match="pg2 is needed for the synchronous quorum"):
        refuse_needed("pg2", [LEADER, REPLICA, *others], 1)


@pytest.mark.parametrize(
    ("name", "members", "synchronous"),
    [
        ("pg2", [LEADER, REPLICA, OTHER], 1),
        ("pg3", [LEADER, REPLICA, DEAD], 1),  # commits do not wait for the dead
        ("pg3", [LEADER, DEAD], 1),
        ("pg2", [LEADER, REPLICA], 0),  # asynchronous
        ("pg4", [LEADER, REPLICA], 1),  # gone already: only its slot is left
    ],
)
def test_a_replica_that_can_be_spared_is_removed(name: str, members: list[Standing], synchronous: int) -> None:
    refuse_needed(name, members, synchronous)


def test_slots_are_named_as_patroni_names_them() -> None:
    assert slot_of("pg-1.example") == "pg_1_example"
    assert slot_of("PG1") == "pg1"
    assert slot_of("pg ü") == "pgu0032u0252"


def test_slots_of_members_that_are_only_away_are_noticed() -> None:
    assert absent(["pg2", "pg3"], [LEADER, REPLICA], "pg3") == []
    assert absent(["pg2", "pg3", "pg4"], [LEADER, REPLICA], "pg3") == ["pg4"]
