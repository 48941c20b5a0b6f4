"""Where the evidence of drills is kept: of restores, and of failovers, which the controller makes and a host keeps for
it, because the controller has no credentials for the store."""

from __future__ import annotations

from ops.drill.evidence import Evidence
from ops.model.failover import Report, from_dict
from ops.store.repository import Repository
from ops.store.shelf import Shelf


def restores(repository: Repository) -> Shelf[Evidence]:
    return Shelf(
        repository,
        repository.layout.drills,
        "drill",
        Evidence.model_validate,
        makes="ops drill restore",
        shows="ops drill list",
    )


def failovers(repository: Repository) -> Shelf[Report]:
    return Shelf(
        repository,
        repository.layout.failovers,
        "failover drill",
        from_dict,
        makes="ops failover drill switchover  # on the controller",
        shows="ops drill failovers",
    )
