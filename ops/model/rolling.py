"""What a rolling restart does next: decided from how the cluster is just now, so that one that was killed goes on.

Replicas first, one at a time; then one switchover, by which the old primary is restarted too. Only what a standby may
not have less of than its primary (`NOT_BELOW_THE_PRIMARY`) is lowered the other way round: the primary is restarted in
place, because a standby that ran with less would stop, and Patroni starts it with what its primary has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Reason:
    """Why a member is to be restarted, in words; `primary_first` where its primary must be restarted before it."""

    what: str
    primary_first: bool = False


@dataclass(frozen=True)
class Node:
    """A member. `trouble` says in words why it is not healthy; `may_lead`: nothing is lost if it takes over now."""

    name: str
    leads: bool
    trouble: str = ""
    may_lead: bool = False
    reasons: frozenset[Reason] = frozenset()

    @property
    def due(self) -> frozenset[Reason]:
        """What a restart of this member alone would clear."""
        return self.reasons if self.leads else frozenset(reason for reason in self.reasons if not reason.primary_first)


@dataclass(frozen=True)
class Restart:
    """Restart one member. `interrupts`: it is the primary, and nobody writes meanwhile."""

    name: str
    reasons: frozenset[Reason]
    interrupts: bool = False

    def __str__(self) -> str:
        place = " in place, as the primary" if self.interrupts else ""
        return f"restart {self.name}{place}: {in_words(self.reasons)}"


@dataclass(frozen=True)
class Switchover:
    """Let another member lead instead of `old`, which is restarted by it. Which one is Patroni's choice: it is quicker
    when nobody is named, because then no member waits for the one that was."""

    old: str
    reasons: frozenset[Reason]

    def __str__(self) -> str:
        return f"switchover from {self.old}: {in_words(self.reasons)}"


@dataclass(frozen=True)
class Wait:
    """Nothing may be done before this has passed."""

    what: str


@dataclass(frozen=True)
class Stop:
    """Nothing more can be done; why, and what a person should do."""

    message: str
    hint: str


Step = Restart | Switchover | Wait | Stop


def next_step(
    nodes: Sequence[Node], tried: Mapping[str, frozenset[Reason]], *, allow_interruption: bool = False
) -> Step | None:
    """The next step; None when no member is due, and all are back. `tried`: what this run has restarted each one for.

    A member that was in trouble before anything was done is not waited for where nobody is due.
    """
    troubled = [f"{node.name} {node.trouble}" for node in nodes if node.trouble]
    leader = next((node for node in nodes if node.leads), None)
    if not any(node.reasons for node in nodes) and not (tried and (troubled or leader is None)):
        return None
    if troubled or leader is None:
        return Wait("; ".join(troubled) or "nobody leads")
    for node in nodes:
        if still := node.reasons & tried.get(node.name, frozenset()):
            return Stop(
                f"{node.name} was restarted, and that did not settle: {in_words(still)}",
                f"Look there: journalctl -u patroni, and the view pg_file_settings (on {node.name}).",
            )
    replicas = [node for node in nodes if not node.leads]
    return _restart_of(replicas) or _step_of_the_primary(leader, replicas, allow_interruption) or _last(replicas)


def _restart_of(replicas: Sequence[Node]) -> Step | None:
    """The next replica that a restart helps by itself."""
    return next((Restart(node.name, node.due) for node in replicas if node.due), None)


def _step_of_the_primary(leader: Node, replicas: Sequence[Node], allow_interruption: bool) -> Step | None:
    if not leader.reasons:
        return None
    if any(reason.primary_first for reason in leader.reasons):
        return Restart(leader.name, leader.reasons, interrupts=True)
    if not replicas:
        if allow_interruption:
            return Restart(leader.name, leader.reasons, interrupts=True)
        return Stop(
            f"{leader.name} is the only member, and nobody can take over meanwhile: {in_words(leader.reasons)}",
            "Choose the moment, then: ops cluster restart --allow-interruption",
        )
    if not any(node.may_lead for node in replicas):
        return Wait("no replica may take over")
    return Switchover(leader.name, leader.reasons)


def _last(replicas: Sequence[Node]) -> Step | None:
    """What had to wait for the primary, once that runs with less."""
    return next((Restart(node.name, node.reasons) for node in replicas if node.reasons), None)


def in_words(reasons: frozenset[Reason]) -> str:
    """Reasons on one line, in the same order each time."""
    return "; ".join(reason.what for reason in sorted(reasons))
