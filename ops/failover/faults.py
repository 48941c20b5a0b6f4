"""What a drill can do to a cluster, and how that is undone. A new fault is two functions and a line in FAULTS."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass

from ops.config import nearest
from ops.deploys.platform import data_dir
from ops.errors import UsageError
from ops.failover.hosts import Hosts
from ops.lab import faults as lab


@dataclass(frozen=True)
class Victim:
    """The primary of a cluster, about to have a bad day."""

    hosts: Hosts
    cluster: str
    name: str

    def ask(self, command: str, *, deadline: float = 60) -> str:
        return self.hosts.ask(self.name, command, deadline=deadline)


@dataclass(frozen=True)
class Fault:
    """`inject` does `what`, and returns at once or when it is done; `repair`, where there is one, brings the host back
    from whatever state it is in. `lab_only`: nothing but the lab can do it. `isolates`: the primary goes on running
    where nobody sees it, so that a client beside it has to say what it does."""

    name: str
    what: str
    inject: Callable[[Victim], None]
    repair: Callable[[Victim], None] | None = None
    lab_only: bool = False
    isolates: bool = False


def _switch_over(victim: Victim) -> None:
    victim.ask("ops cluster switchover", deadline=180)


def _kill_postgres(victim: Victim) -> None:
    """SIGKILL, as by the kernel that is out of memory: of the one process that postmaster.pid names, and only while
    that is a server."""
    home = data_dir(victim.hosts.inventory.postgres(victim.cluster), victim.cluster)
    pid_file = shlex.quote(f"{home}/postmaster.pid")
    victim.ask(f'pid=$(head -n 1 {pid_file}) && [ "$(cat /proc/$pid/comm)" = postgres ] && kill -KILL "$pid"')


def _kill_host(victim: Victim) -> None:
    lab.kill(victim.name, victim.hosts.inventory.path / "hosts.py")


def _boot_host(victim: Victim) -> None:
    lab.start(victim.name, victim.hosts.inventory.path / "hosts.py")


def _cut_off(victim: Victim) -> None:
    lab.partition(victim.name, victim.hosts.inventory.path / "hosts.py")


def _connect(victim: Victim) -> None:
    lab.heal(victim.name, victim.hosts.inventory.path / "hosts.py")


FAULTS: tuple[Fault, ...] = (
    Fault("switchover", "another member is asked to lead", _switch_over),
    Fault("postgres-kill", "PostgreSQL on the primary is killed", _kill_postgres),
    Fault("host-kill", "the primary's host is gone, as in a power cut", _kill_host, _boot_host, lab_only=True),
    Fault(
        "partition", "the primary's host runs on, cut off from all", _cut_off, _connect, lab_only=True, isolates=True
    ),
)


def find(name: str) -> Fault:
    """The fault of that name; UsageError with the nearest valid one otherwise."""
    for fault in FAULTS:
        if fault.name == name:
            return fault
    known = [fault.name for fault in FAULTS]
    guess = nearest(name, known)
    raise UsageError(
        f"there is no fault {name!r}" + (f"; did you mean {guess!r}?" if guess else ""),
        detail=f"Faults: {', '.join(known)}.",
    )
