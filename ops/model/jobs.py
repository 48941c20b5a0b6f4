"""What is done by schedule, and which member of a cluster does it. Pure."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Literal, Protocol

from ops.model.migrations import APPLICATION

Job = Literal["backup", "verify", "expire", "mirror", "refresh", "partitions", "audit"]
OF_THE_STORE: tuple[Job, ...] = ("backup", "verify", "expire", "mirror")
OF_THE_APPLICATION: tuple[Job, ...] = ("refresh", "partitions", "audit")
JOBS: tuple[Job, ...] = (*OF_THE_STORE, *OF_THE_APPLICATION)
OF_THE_LEADER: tuple[Job, ...] = ("refresh", "partitions")  # they write to the database


class Candidate(Protocol):
    """A member of the cluster, as Patroni shows it."""

    @property
    def name(self) -> str: ...

    @property
    def lag(self) -> int | None: ...

    @property
    def is_leader(self) -> bool: ...

    @property
    def is_healthy(self) -> bool: ...


def timer_of(job: Job) -> str:
    """The systemd unit that says when."""
    return f"ops-{job}.timer"


def jobs(databases: Container[str]) -> tuple[Job, ...]:
    """What there is to do in a cluster with these databases."""
    return JOBS if APPLICATION in databases else OF_THE_STORE


def leading(members: Sequence[Candidate]) -> str | None:
    """Who leads; None where nobody does."""
    return next((one.name for one in members if one.is_leader and one.is_healthy), None)


def elected(members: Sequence[Candidate]) -> str | None:
    """Who does what is due: the first healthy replica by name, which spares the leader; None where nobody can.

    Every member asks this at the same moment and gets the same answer, so that nobody need be told. A replica of which
    Patroni does not know how far behind it is does not count.
    """
    replicas = sorted(one.name for one in members if one.is_healthy and not one.is_leader and one.lag is not None)
    leaders = sorted(one.name for one in members if one.is_healthy and one.is_leader)
    return next(iter([*replicas, *leaders]), None)


def commands(job: Job, others: Sequence[str]) -> list[list[str]]:
    """What `ops` is called with for a job; `others` are the repositories beside the first one."""
    match job:
        case "backup":
            return [["backup", "create"]]
        case "mirror":
            return [["repository", "mirror"]] if others else []
        case "refresh":
            return [["db", "refresh", "--due"]]
        case "partitions":
            return [["db", "partitions"]]
        case "audit":
            return [["audit", "verify", "--keep"]]
        case _:
            return [["backup", job], *(["backup", job, "--repository", name] for name in others)]
