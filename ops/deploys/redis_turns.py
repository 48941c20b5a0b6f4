"""Restarting the servers of a Redis group, only where it cannot be avoided: replicas first, one at a time, and a master
only after a replica has taken over. It stops at the first step after which the group is not whole.
"""

from __future__ import annotations

from typing import Protocol

from pyinfra import host, state
from pyinfra.api.exceptions import OperationError
from pyinfra.api.operation import operation

from ops.deploys.marks import mark, marks, preparing
from ops.deploys.operations import Commands, UnitState
from ops.deploys.redis_facts import Live, wait_until_clear
from ops.model.impact import Impact
from ops.model.redis import RESTART_ONLY, differing

SERVER_UNIT = "redis-server.service"
SERVER_DROP_IN = "/etc/systemd/system/redis-server.service.d/pend-ops.conf"
STAMP = f"/run/pend-ops/{SERVER_UNIT}.started"
# Groups of which a restart was begun and has not ended well: pyinfra looks at failures only after the last host.
_under_way: set[str] = set()


class Formation(Protocol):
    """How the servers of a group stand to one another, in the eyes of the host that is asking."""

    @property
    def group(self) -> str: ...

    def complaints(self) -> list[str]:
        """What keeps the group from being whole."""
        ...

    def leads(self) -> bool:
        """Whether this host's server is a master that somebody can take over from."""
        ...

    def hand_over(self) -> str:
        """The command, run on this host, that has a replica take over from it."""
        ...


def why_restart(declared: dict[str, str]) -> str | None:
    """What makes a restart of this host's server necessary, None for nothing."""
    live = host.get_fact(Live, names=tuple(declared))
    if live is None:
        return None  # it is not running yet: when it starts, it starts with what is declared
    fixed = [name for name in differing(declared, live.settings) if name in RESTART_ONLY]
    if fixed:
        return f"for {', '.join(fixed)}"
    rewritten = preparing() and SERVER_DROP_IN in marks().written
    fresh = "fresh" in host.get_fact(UnitState, unit=SERVER_UNIT, files=(SERVER_DROP_IN,))
    return "for its unit file" if rewritten or not fresh else None


@operation()
def restarted_in_turn(formation: Formation, declared: dict[str, str], *, replicas_only: bool) -> Commands:
    """This host's server restarted where it must be. Called for all replicas, and then for whoever is left."""
    reason = why_restart(declared)
    leads = bool(reason) and formation.leads()
    if not reason or (replicas_only and leads):
        host.noop("no restart is needed" if not reason else "the master comes last")
        return
    mark(Impact.RESTART, *([Impact.SWITCHOVER] if leads else []), what=f"Restart {SERVER_UNIT} {reason}")
    if formation.group in _under_way:
        raise OperationError(f"{formation.group} is not whole since the restart before this one; left as it is here")
    if state.is_executing:
        wait_until_clear(f"{formation.group} is whole before {host.name} restarts", formation.complaints)
        _under_way.add(formation.group)
        if formation.leads():
            yield formation.hand_over()
            wait_until_clear(f"a replica takes over from {host.name}", lambda: _not_yet_over(formation))
    yield f"systemctl daemon-reload && mkdir -p /run/pend-ops && systemctl restart {SERVER_UNIT} && touch {STAMP}"
    wait_until_clear(f"{formation.group} is whole after the restart of {host.name}", formation.complaints)
    _under_way.discard(formation.group)


def _not_yet_over(formation: Formation) -> list[str]:
    return ["it still leads"] if formation.leads() else formation.complaints()
