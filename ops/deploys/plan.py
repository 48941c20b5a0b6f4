"""`ops plan`: what a deploy would do, told from its preparation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pyinfra.api.host import Host

from ops.deploys.marks import Mark, marks
from ops.deploys.run import Run, prepared
from ops.model import changes
from ops.model.changes import Change
from ops.model.impact import Impact


def plan(inventory: Path, limit: tuple[str, ...] = ()) -> changes.Plan:
    """What a deploy of this inventory would do now. Nothing is changed on any host.

    As with a deploy, a certificate or a generated secret that there is none of yet is made on this controller.
    """
    with prepared(inventory, limit) as run:
        return changes.plan(found(run), run.failures | unanswered(run))


def found(run: Run) -> list[Change]:
    """Everything that the deploy would change, in its order."""
    return [
        change
        for operation in run.state.get_op_order()
        for host in run.hosts
        if operation in run.state.ops[host]
        for change in _changes(run, host, operation)
    ]


def unanswered(run: Run) -> dict[str, str]:
    """Host -> what its operations could not find out."""
    return {host.name: "; ".join(said) for host in run.hosts if (said := marks(host).unanswered)}


def _changes(run: Run, host: Host, operation: str) -> Iterator[Change]:
    """What one operation would do on one host. Only its name is looked at: arguments may be secret."""
    said = marks(host)
    if operation in said.checks or not run.state.ops[host][operation].operation_meta.will_change:
        return
    service, _, name = next(iter(run.state.get_op_meta(operation).names)).rpartition(" | ")
    for mark in [*(said.by_operation.get(operation) or [Mark((Impact.NONE,))]), *said.following.get(name, [])]:
        # Whoever leads is told of it, and all members of the cluster change.
        for one in run.inventory.groups[mark.settles] if mark.settles else [host.name]:
            yield Change(one, service, mark.what or name, mark.impacts, said.carriers.get(name), mark.settles)
