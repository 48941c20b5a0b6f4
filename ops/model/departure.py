"""Whether a member may leave its cluster for good, and what it leaves behind."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ops.errors import OpsError


@dataclass(frozen=True)
class Standing:
    """A member of a PostgreSQL cluster, as far as its leaving is concerned."""

    name: str
    leads: bool
    healthy: bool


def refuse_needed(name: str, members: Sequence[Standing], synchronous: int) -> None:
    """OpsError where the cluster cannot do without `name`: it leads, or commits wait for it.

    `synchronous` is how many replicas confirm a commit. A member that is not healthy confirms none already.
    """
    leaving = next((member for member in members if member.name == name), None)
    if leaving is None:
        return
    if leaving.leads:
        raise OpsError(
            f"{name} leads the cluster",
            hint="Let another member lead first: ops cluster switchover",
        )
    others = [member.name for member in members if member.healthy and not member.leads and member.name != name]
    if leaving.healthy and len(others) < synchronous:
        raise OpsError(
            f"{name} is needed for the synchronous quorum",
            detail=f"Healthy replicas that have to confirm each commit: {synchronous}. "
            f"Without {name} there would be {len(others)}.",
            hint="Add another member first, or mend the one that is not healthy.",
        )


def slot_of(member: str) -> str:
    """The replication slot that Patroni keeps for a member of that name."""
    name = re.sub(r"[^a-z0-9_]", lambda found: "_" if found[0] in "-." else f"u{ord(found[0]):04d}", member.lower())
    return name[:63]


def absent(slots: Collection[str], members: Sequence[Standing], leaving: str) -> list[str]:
    """Slots of other members that are away just now: what would make Patroni forget one makes it forget these too."""
    present = {slot_of(member.name) for member in members}
    return sorted(set(slots) - present - {slot_of(leaving)})
