"""etcd's members, and what may be done to them: each addition or removal moves the majority that everything rests on.

A member is its data, not its name: one that has lost its disk must be removed and added anew. Started empty under its
old identity it would have forgotten what it voted for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ops.errors import OpsError

RUNBOOK = "docs/runbooks/members.md"


@dataclass(frozen=True)
class Member:
    """One member as the others have it registered. Until it has started for the first time it has no `name`."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...] = ()

    @property
    def has_started(self) -> bool:
        return bool(self.name)

    @property
    def host(self) -> str:
        """Its name, which is its host's; before it has one, that of the address at which it is expected."""
        return self.name or urlsplit(self.peer_urls[0]).hostname or self.peer_urls[0]


@dataclass(frozen=True)
class Membership:
    """All registered members, and the ids of those that answer for a majority."""

    members: tuple[Member, ...]
    healthy: frozenset[int]

    def find(self, name: str, peer_url: str | None = None) -> Member | None:
        """The member of that name, or at that address."""
        return next((one for one in self.members if one.host == name or peer_url in one.peer_urls), None)


@dataclass(frozen=True)
class Entry:
    """What has to happen before etcd can be started on an empty disk.

    `initial` maps the names of the members that it is to know from the start to their peer addresses. `joins` False:
    all of them begin together, as a new cluster. `remove` is the id of the member that it was before; `add` says
    whether it still has to be registered.
    """

    initial: Mapping[str, str]
    joins: bool = False
    remove: int | None = None
    add: bool = False


def majority(count: int) -> int:
    """How many of `count` members have to agree."""
    return count // 2 + 1


def parse_members(document: Mapping[str, Any]) -> tuple[Member, ...]:
    """What etcd's `/v3/cluster/member/list` answers; ValueError for anything else."""
    try:
        return tuple(
            Member(int(one["ID"]), one.get("name", ""), tuple(one["peerURLs"]), tuple(one.get("clientURLs", ())))
            for one in document["members"]
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a list of etcd members: {error}") from error


def entry(name: str, peers: Mapping[str, str], membership: Membership | None, *, everybody_is_new: bool) -> Entry:
    """How `name`, which has no data, comes to be a member. `peers` are the inventory's names and peer addresses.

    `membership` is None where no member answers for a majority. OpsError where starting it could cost data.
    """
    if membership is None:
        if everybody_is_new:
            return Entry(peers)
        raise OpsError(
            f"etcd on {name} has no data, and no majority of the others answers that could take it in",
            detail="Asked: " + ", ".join(peer for peer in peers if peer != name),
            hint=f"Bring the others back first. Are their disks lost too: {RUNBOOK}, etcd has lost its majority.\n"
            "At the very first deploy all etcd hosts are needed at once: run it without --limit.",
        )
    before = membership.find(name, peers[name])
    if before and before.id in membership.healthy:
        raise OpsError(
            f"an etcd member called {name} answers, and this host has no data of it",
            detail=f"It is registered with {', '.join(before.peer_urls)}.",
            hint="Do two hosts go by this name or address?",
        )
    gone = before.id if before and before.has_started else None
    add = before is None or gone is not None
    if add:
        _still_has_a_majority(membership, name, count=len(membership.members) + (before is None))
    others = {one.host: one.peer_urls[0] for one in membership.members if one is not before}
    return Entry({**others, name: peers[name]}, joins=True, remove=gone, add=add)


def refuse_stranger(name: str, peers: Mapping[str, str], membership: Membership | None) -> None:
    """OpsError where `name` has the data of a member that was removed: etcd would refuse to start with them."""
    if membership and membership.find(name, peers[name]) is None:
        raise OpsError(
            f"etcd on {name} has the data of a member that was removed",
            detail="Registered are: " + ", ".join(one.host for one in membership.members),
            hint=f"Move them away, on {name}, and deploy again: mv /var/lib/etcd/default /var/lib/etcd/removed",
        )


def _still_has_a_majority(membership: Membership, name: str, *, count: int) -> None:
    """With `count` members of which the newest has not started yet."""
    # etcd takes a second member although its start decides: there is no other way from one to three.
    if len(membership.healthy) >= majority(count) or len(membership.members) == 1:
        return
    raise OpsError(
        f"etcd cannot take in {name} now: it would be left without a majority until {name} has started",
        detail=f"Of {count} members {majority(count)} would be needed, and {_state(membership)}.",
        hint="Mend the members that do not answer first.",
    )


def removable(membership: Membership, name: str, declared: Collection[str]) -> Member:
    """The member to remove; OpsError where it is in use or the others would be left without a majority."""
    member = membership.find(name)
    if member is None:
        raise OpsError(
            f"etcd has no member {name!r}", detail="It has: " + ", ".join(one.host for one in membership.members)
        )
    if name in declared:
        raise OpsError(
            f"{name} is in the inventory's group 'etcd', and the next deploy would add it again",
            hint="Take it out of hosts.py and deploy; then remove it. To replace a lost disk, just deploy.",
        )
    left = len(membership.members) - 1
    healthy = len(membership.healthy - {member.id})
    if healthy < majority(left):
        raise OpsError(
            f"without {name} etcd would have no majority",
            detail=f"Of the other {left} members {majority(left)} are needed, and {healthy} answer.",
            hint="Mend or replace the members that do not answer first.",
        )
    return member


def _state(membership: Membership) -> str:
    silent = [one.host for one in membership.members if one.id not in membership.healthy]
    return f"{len(membership.healthy)} answer" + (f" (not {', '.join(silent)})" if silent else "")


def initial_cluster(initial: Mapping[str, str]) -> str:
    """As etcd's setting of that name has it."""
    return ",".join(f"{name}={url}" for name, url in initial.items())


def of_ids(members: Iterable[Member], healthy_urls: Collection[str]) -> frozenset[int]:
    """The ids of the members that answered at one of their client addresses."""
    return frozenset(one.id for one in members if any(url in healthy_urls for url in one.client_urls))
