"""A planned change of the primary: made by Patroni, watched and measured by us."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import psycopg

from ops.config import Config
from ops.errors import OpsError, Unreachable, UsageError
from ops.model.rolling import Node
from ops.postgres import members
from ops.postgres.connect import Connection, row
from ops.postgres.patroni import Member, Patroni

PROMOTION_TIMEOUT = 60.0
RELOAD_TIMEOUT = 30.0  # two rounds of Patroni; after that the switchover is made all the same


@dataclass(frozen=True)
class Switched:
    """A switchover that was made. `seconds`: from the old primary's last moment as one to the new one's first."""

    old: str
    new: str
    seconds: float


def switchover(
    config: Config, patroni: Patroni, candidate: str | None, *, wait: float, note: Callable[[str], None]
) -> Switched:
    """Let `candidate`, or the best replica, lead; returns when it writes and the old primary streams from it."""
    nodes = members.look(config, patroni)
    old = next((node.name for node in nodes if node.leads and not node.trouble), None)
    if old is None:
        raise Unreachable("the cluster has no leader that lets us in", hint="See: ops cluster show")
    refuse(nodes, old, candidate)
    by_name = {member.name: member for member in patroni.members()}
    switched = switch(config, patroni, by_name[old], candidate)
    deadline = time.monotonic() + wait
    while trouble := _trouble(config, patroni):
        if time.monotonic() > deadline:
            raise OpsError(
                f"{switched.new} leads, but after {wait:.0f} s not everybody follows: {trouble}",
                hint=f"Look there: journalctl -u patroni (on {old}).",
            )
        note(trouble)
        time.sleep(0.5)
    return switched


def _trouble(config: Config, patroni: Patroni) -> str:
    """Everybody's trouble in words; empty where all is well."""
    try:
        nodes = members.look(config, patroni)
    except Unreachable as error:
        return error.message
    leaderless = [] if any(node.leads for node in nodes) else ["nobody leads"]
    return "; ".join([*leaderless, *(f"{node.name} {node.trouble}" for node in nodes if node.trouble)])


def refuse(nodes: Sequence[Node], old: str, wish: str | None) -> None:
    """OpsError where `wish`, or for None anybody at all, cannot take over from `old`."""
    names = [node.name for node in nodes]
    if wish is not None and wish not in names:
        raise UsageError(f"the cluster has no member {wish!r}", hint=f"It has: {', '.join(names)}.")
    if wish == old:
        raise UsageError(f"{wish} leads already")
    asked = [node for node in nodes if not node.leads and wish in (None, node.name)]
    if any(node.may_lead and not node.trouble for node in asked):
        return
    why = [f"{node.name} {node.trouble or 'is no synchronous standby'}" for node in asked]
    raise OpsError(
        f"{wish or 'no replica'} {'cannot' if wish else 'can'} take over from {old}",
        detail="\n".join(why) or "the cluster has no replica",
        hint="Nothing was changed. See: ops cluster show; journalctl -u patroni.",
    )


def switch(config: Config, patroni: Patroni, old: Member, candidate: str | None = None) -> Switched:
    """Ask Patroni for it, and watch all servers meanwhile: how long was none of them a primary?

    Without a `candidate` Patroni takes the synchronous replica that is quickest. That saves two seconds, for which the
    others would hold back (`ha.py`, `_is_healthiest_node`), and with them the quorum that the first commit needs.
    """
    replicas = [member for member in patroni.members() if not member.is_leader]
    with _without_archive(config, patroni, replicas), ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        before = stack.enter_context(members.connect(config, old))
        after = {member.name: stack.enter_context(members.connect(config, member)) for member in replicas}
        asked = pool.submit(patroni.at(old).switchover, old.name, candidate)
        new, last = None, time.monotonic()
        while new is None:  # Patroni answers when somebody holds the lock, which is before it writes
            new = next((name for name, connection in after.items() if _writes(connection)), None)
            now = time.monotonic()
            if _writes(before):
                last = now
            if asked.done() and (asked.exception() or now - last > PROMOTION_TIMEOUT):
                break
            time.sleep(0.02)
        first = time.monotonic()
        asked.result()
    if new is None:
        raise Unreachable("another member holds the leader lock and does not write", hint="See: journalctl -u patroni")
    return Switched(old.name, new, first - last)


@contextmanager
def _without_archive(config: Config, patroni: Patroni, replicas: Sequence[Member]) -> Iterator[None]:
    """Replicas do not ask the archive meanwhile.

    All of them stream, so there is nothing that the archive has and they lack; but a promotion asks it some five
    times, and so does each replica that changes to the new timeline, one program started after the other, while nobody
    can commit. Should this be killed half-way, `ops cluster apply` finds restore_command missing and puts it back.
    """
    command = patroni.configuration().get("postgresql", {}).get("recovery_conf", {}).get("restore_command")
    if not command:
        yield
        return
    try:
        _restore_command(patroni, None)
        deadline = time.monotonic() + RELOAD_TIMEOUT
        while time.monotonic() < deadline and any(_asks_the_archive(config, replica) for replica in replicas):
            time.sleep(0.2)
        yield
    finally:
        _restore_command(patroni, command)


def _restore_command(patroni: Patroni, command: str | None) -> None:
    patroni.change_configuration({"postgresql": {"recovery_conf": {"restore_command": command}}})


def _asks_the_archive(config: Config, replica: Member) -> bool:
    with members.connect(config, replica) as connection:
        return bool(row(connection, "SHOW restore_command")[0])


def _writes(connection: Connection) -> bool:
    """Whether the server is a primary; one that has ended our connection is none."""
    try:
        found = connection.execute("SELECT NOT pg_is_in_recovery()").fetchone()
    except psycopg.Error:
        return False
    return bool(found and found[0])
