"""Bringing a cluster to what is declared: asked on every member, done by the one that leads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from ops.config import Config
from ops.errors import OpsError, Unreachable, UsageError
from ops.model.merge import difference, flatten
from ops.postgres import declared
from ops.postgres.declared import Change, Declared
from ops.postgres.patroni import Patroni


def client(config: Config) -> Patroni:
    """Patroni's API on this host; UsageError where it has none."""
    if config.patroni is None:
        raise UsageError(
            "this host is no member of a PostgreSQL cluster",
            hint="Run this on a database host; the configuration has no [patroni] here.",
        )
    return Patroni(config.patroni)


def leads(patroni: Patroni) -> bool:
    """Whether this host leads; Unreachable while nobody does.

    How far the others are is not asked: a replica may take hours to clone, and nothing here waits for it.
    """
    name, members = patroni.own_name(), patroni.members()
    leader = next((member for member in members if member.is_leader and member.is_healthy), None)
    if leader is None:
        states = ", ".join(f"{member.name} {member.role} {member.state}" for member in members)
        raise Unreachable(
            "the cluster has no leader",
            detail=states or "it has no members yet",
            hint="See: patronictl list; journalctl -u patroni",
        )
    return leader.name == name


def wait_for_leader(patroni: Patroni, seconds: float, progress: Callable[[str], None]) -> bool:
    """Whether this host leads, once somebody does; the last reason why not, after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return leads(patroni)
        except Unreachable as error:
            if time.monotonic() > deadline:
                raise Unreachable(
                    f"waited {seconds:.0f} s: {error.message}", detail=error.detail, hint=error.hint
                ) from error
            progress(error.message)
            time.sleep(0.5)


def pending(config: Config, patroni: Patroni, wanted: Declared) -> Iterator[Change]:
    """What is still to be made on the leader, in order. Ask for the next only when the last was made."""
    patch = difference(wanted.patroni, patroni.configuration(), whole=("postgresql", "parameters"))
    if patch:
        keys = ", ".join(f"{key} = {value}" for key, value in flatten(patch))
        yield Change(f"dynamic configuration: {keys}", lambda: patroni.change_configuration(patch))
    yield from declared.changes(wanted, config.postgres)


def apply(config: Config, *, wait: float, progress: Callable[[str], None], made: Callable[[str], None]) -> int:
    """Make every pending change where this host leads; the number of changes. A replica has none."""
    patroni = client(config)
    if not wait_for_leader(patroni, wait, progress):
        return 0
    count = 0
    for change in pending(config, patroni, declared.load()):
        try:
            change.make()
        except OpsError as error:
            raise OpsError(f"{change.what}: {error.message}", detail=error.detail, hint=error.hint) from error
        made(change.what)
        count += 1
    return count


def check(config: Config) -> list[str]:
    """The pending changes in words; none on a replica."""
    patroni = client(config)
    if not leads(patroni):
        return []
    return [change.what for change in pending(config, patroni, declared.load())]
