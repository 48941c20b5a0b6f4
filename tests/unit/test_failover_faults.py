"""Who may be drilled with what, before any host is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.deploys.inventory import load
from ops.errors import UsageError
from ops.failover.drill import Drill
from ops.failover.faults import FAULTS, Fault, find
from ops.failover.hosts import Hosts, reach

PRODUCTION = load(Path("inventories/production"))
ONLY_THE_LAB = [fault for fault in FAULTS if fault.lab_only]


def test_an_inventory_of_other_hosts_is_not_the_lab() -> None:
    assert not reach(PRODUCTION).is_lab


@pytest.mark.parametrize("fault", ONLY_THE_LAB, ids=lambda fault: fault.name)
def test_what_takes_a_host_away_is_refused_outside_of_the_lab(fault: Fault) -> None:
    with pytest.raises(UsageError, match="is for the lab"):
        Drill(Hosts(PRODUCTION, is_lab=False), "pg_main", fault).refuse()


@pytest.mark.parametrize("name", ["switchover", "postgres-kill"])
def test_what_patroni_mends_by_itself_may_be_done_anywhere(name: str) -> None:
    Drill(Hosts(PRODUCTION, is_lab=False), "pg_main", find(name)).refuse()


def test_whatever_only_the_lab_can_do_is_undone_by_it_too() -> None:
    assert ONLY_THE_LAB
    assert all(fault.repair for fault in ONLY_THE_LAB)


def test_an_unknown_fault_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="did you mean 'host-kill'"):
        find("hostkill")
