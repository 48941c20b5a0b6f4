"""Taking a member out of its cluster for good. Its data stay where they are.

Patroni has no request for this: a member is gone when its key in etcd has expired, and its replication slot when
Patroni no longer waits for it to come back. So we see to both, and end only when they are.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from ops.config import Config, nearest
from ops.errors import OpsError, Unreachable, UsageError
from ops.model.departure import Standing, absent, refuse_needed, slot_of
from ops.postgres.cluster import client, leader_of
from ops.postgres.members import connect
from ops.postgres.patroni import Member, Patroni

UNITS = ("ops-heartbeat.service", "patroni.service")
_SLOTS = "SELECT slot_name, active FROM pg_replication_slots WHERE slot_type = 'physical'"
_TTL = "member_slots_ttl"  # how long Patroni keeps the slot of a member that is away
_SOON = 1  # in seconds; never anybody's own choice, so that a run which was killed is recognised


class Slot(StrEnum):
    """What became of the member's replication slot."""

    DROPPED = "dropped"
    NONE = "there was none"
    USED = "kept: somebody uses it"
    LATER = "kept: other members are away, too; Patroni drops it when it has waited long enough"


@dataclass(frozen=True)
class Removed:
    """What was done. `stopped_here`: Patroni on this host, which was the member, is stopped and disabled."""

    member: str
    leader: str
    slot: Slot
    stopped_here: bool


class Steps(Protocol):
    """Who listens: a step has a title, a note says how far it is."""

    def step(self, title: str) -> AbstractContextManager[None]: ...

    def note(self, text: str) -> None: ...


@dataclass(frozen=True)
class _Leader:
    """The member that leads: its API, and what its server says."""

    config: Config
    member: Member
    api: Patroni

    def slots(self) -> dict[str, bool]:
        """The physical replication slots, and whether each is in use."""
        with connect(self.config, self.member) as connection:
            return dict(connection.execute(_SLOTS).fetchall())


@dataclass(frozen=True)
class _Patience:
    """How long to wait for what the cluster does by itself."""

    seconds: float
    steps: Steps

    def until(self, condition: Callable[[], bool], otherwise: str) -> None:
        """Returns once `condition` holds; Unreachable, saying `otherwise`, when patience is over."""
        deadline = time.monotonic() + self.seconds
        while not condition():
            if time.monotonic() > deadline:
                raise Unreachable(
                    f"waited {self.seconds:.0f} s: {otherwise}",
                    hint="See: patronictl list; journalctl -u patroni. To go on, run this again on another member.",
                )
            self.steps.note(otherwise)
            time.sleep(0.5)


def remove(config: Config, name: str, *, wait: float, steps: Steps) -> Removed:
    """Take the member `name` out of this host's cluster. A run that was killed is finished by another, elsewhere.

    OpsError where the cluster needs it, or it runs and this is not its host. `wait` is the patience of each step, in
    seconds.
    """
    patroni, patience = client(config), _Patience(wait, steps)
    found = patroni.members()
    lead = leader_of(found)
    leader = _Leader(config, lead, patroni.at(lead))
    member = next((one for one in found if one.name == name), None)
    if member is None and slot_of(name) not in leader.slots():
        _unknown(name, found)
    refuse_needed(name, _standings(found), _synchronous(leader.api.configuration()))
    here = patroni.own_name() == name
    if here:
        with steps.step(f"stop and disable {' and '.join(UNITS)}"):
            _stop(wait)
    elif member is not None:
        _refuse_alive(patroni, member)
    with steps.step(f"wait until the cluster has forgotten {name}"):
        patience.until(lambda: name not in [one.name for one in leader.api.members()], f"{name} is still a member")
    with steps.step(f"release its replication slot on {lead.name}"):
        slot = _release(leader, name, patience)
    return Removed(name, lead.name, slot, stopped_here=here)


def _unknown(name: str, found: list[Member]) -> None:
    names = [member.name for member in found]
    guess = nearest(name, names)
    raise UsageError(
        f"the cluster has no member {name!r}, and no replication slot of one",
        detail=f"It has: {', '.join(names)}.",
        hint=f"Did you mean {guess!r}?" if guess else None,
    )


def _refuse_alive(patroni: Patroni, member: Member) -> None:
    """A member whose Patroni runs would come straight back."""
    try:
        patroni.at(member).own_name()
    except Unreachable:
        return
    raise OpsError(
        f"{member.name} runs, and can only be stopped where it is",
        hint=f"Run the same command on {member.name}, as root: ops cluster remove {member.name}",
    )


def _stop(wait: float) -> None:
    # Patroni stops PostgreSQL cleanly first; disabled, so that it does not come back with the next boot.
    command = ["systemctl", "disable", "--now", "--quiet", *UNITS]
    try:
        outcome = subprocess.run(command, capture_output=True, text=True, timeout=wait + 60, check=False)
    except subprocess.TimeoutExpired:
        raise Unreachable("Patroni did not stop", hint="Look at it: systemctl status patroni") from None
    if outcome.returncode:
        raise OpsError("Patroni could not be stopped", detail=outcome.stderr.strip())


def _release(leader: _Leader, name: str, patience: _Patience) -> Slot:
    """Patroni makes a slot anew that is dropped under its hands, so it is told to wait for nobody for a moment."""
    slot, slots = slot_of(name), leader.slots()
    if slot not in slots:
        return Slot.NONE
    if slots[slot]:
        return Slot.USED
    if absent(slots, _standings(leader.api.members()), name):
        return Slot.LATER
    before = leader.api.configuration().get(_TTL)
    leader.api.change_configuration({_TTL: _SOON})
    try:
        patience.until(lambda: slot not in leader.slots(), f"the slot {slot} is still there")
    finally:
        leader.api.change_configuration({_TTL: None if before == _SOON else before})
    return Slot.DROPPED


def _standings(found: list[Member]) -> list[Standing]:
    return [Standing(member.name, member.is_leader, member.is_healthy) for member in found]


def _synchronous(configuration: dict[str, Any]) -> int:
    return int(configuration.get("synchronous_node_count", 1)) if configuration.get("synchronous_mode") else 0
