"""Redis under Sentinel: the first roles, what Sentinel watches, and proof that the group is one master with replicas.

Nothing says which host is master: the group is asked, and only where nobody has anything to say does the first host of
the inventory begin.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO

from pyinfra import host, state
from pyinfra.api.command import FileUploadCommand
from pyinfra.api.exceptions import DeployError, OperationError
from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.facts.files import File

from ops.deploys.operations import Commands
from ops.deploys.redis_facts import OPERATOR, Heard, wait_until_clear
from ops.deploys.settings.redis import Redis
from ops.errors import OpsError
from ops.model.redis import Group, complaints, first_role, known_master

DATA_DIR = "/var/lib/redis"
HAND_OVER = "/usr/local/sbin/redis-hand-over"
SERVER_STATE = f"{DATA_DIR}/redis.conf"
SENTINEL_STATE = f"{DATA_DIR}/sentinel.conf"
_HEAD = "# The program rewrites this file. What is declared is read after it, and wins.\n"


@dataclass(frozen=True)
class Sentinels:
    """A group that Sentinels watch (or, in mode standalone, its only server)."""

    name: str
    group: str
    members: tuple[str, ...]
    redis: Redis

    def heard(self) -> Group:
        return host.get_fact(
            Heard,
            members=self.members,
            group=self.group,
            port=self.redis.port,
            sentinel_port=self.redis.sentinel_port if self.has_sentinel else None,
        )

    @property
    def has_sentinel(self) -> bool:
        return self.redis.mode == "sentinel"

    def complaints(self) -> list[str]:
        return complaints(self.heard(), with_sentinel=self.has_sentinel)

    def first_role(self, untouched: frozenset[str]) -> str | None:
        """Whom the server on this host is to follow when it starts without any state."""
        return first_role(self.name, self.heard(), untouched)

    def leads(self) -> bool:
        server = self.heard().servers.get(self.name)
        return self.has_sentinel and server is not None and not server.follows

    def hand_over(self) -> str:
        return HAND_OVER


def untouched_members(members: tuple[str, ...]) -> frozenset[str]:
    """The members on which no server has ever been started; asked only where this host is one of them.

    To be asked before anything is changed: later, the first to be started would count as one that may have data.
    """
    if host.get_fact(File, path=SERVER_STATE):
        return frozenset()
    in_sight = {other.name: other for other in state.active_hosts}
    return frozenset(
        name for name in members if name in in_sight and not in_sight[name].get_fact(File, path=SERVER_STATE)
    )


@operation()
def server_state(follows: Callable[[], str | None], port: int) -> Commands:
    """The file that Redis rewrites, where there is none: whom the server follows when it first starts."""
    if host.get_fact(File, path=SERVER_STATE):
        host.noop(f"{SERVER_STATE} is there")
        return
    try:
        master = follows() if state.is_executing else None
    except OpsError as error:
        raise OperationError(words(error)) from error
    line = f"replicaof {master} {port}\n" if master else ""
    yield from redis_file(SERVER_STATE, f"{_HEAD}{line}")


def redis_file(path: str, text: str) -> Commands:
    """A file of Redis's own; it is there whole or not at all."""
    new = shlex.quote(f"{path}.new")
    yield f"rm -f {new} && install -m 0600 -o redis -g redis /dev/null {new}"
    yield FileUploadCommand(StringIO(text), f"{path}.new")
    yield f"mv -f {new} {shlex.quote(path)}"


class Watches(FactBase[bool]):
    """Whether this host's Sentinel, when it starts, knows whom to watch."""

    def command(self, group: str) -> str:
        return f"grep -qs '^sentinel monitor {group} ' {SENTINEL_STATE} && echo yes || echo no"

    def process(self, output: list[str]) -> bool:
        return output == ["yes"]


@operation()
def sentinel_state(sentinels: Sentinels) -> Commands:
    """The file that Sentinel rewrites, where there is none: who is the master when it first looks."""
    if host.get_fact(Watches, group=sentinels.group):
        host.noop(f"{SENTINEL_STATE} is there")
        return
    master = sentinels.name
    if state.is_executing:
        wait_until_clear("the servers have a master", lambda: complaints(sentinels.heard(), with_sentinel=False))
        master = known_master(sentinels.heard()) or sentinels.name
    quorum = len(sentinels.members) // 2 + 1
    line = f"sentinel monitor {sentinels.group} {master} {sentinels.redis.port} {quorum}\n"
    yield from redis_file(SENTINEL_STATE, f"{_HEAD}{line}")


@operation()
def formed(sentinels: Sentinels) -> Commands:
    """One master, which everybody follows and every Sentinel knows; OperationError where it does not come to that."""
    group = sentinels.heard()
    try:
        found, master = complaints(group, with_sentinel=sentinels.has_sentinel), known_master(group)
    except OpsError as error:
        raise DeployError(words(error)) from error
    opinion = group.opinions.get(sentinels.name)
    if opinion and opinion.quorum != group.majority:
        yield f"{OPERATOR} -p {sentinels.redis.sentinel_port} SENTINEL SET {sentinels.group} quorum {group.majority}"
    elif not found:
        host.noop(f"{master} is the master, and everybody knows it")
        return
    if not state.is_executing:
        yield "true"  # shown by a dry run as to be waited for
        return
    me = group.servers.get(sentinels.name)
    if me and master not in (None, sentinels.name) and not me.follows and not me.keys:
        yield f"{OPERATOR} REPLICAOF {master} {sentinels.redis.port}"
    wait_until_clear(f"{sentinels.group} is formed", sentinels.complaints)


def words(error: OpsError) -> str:
    """All that an error has to say, in one line: pyinfra prints no more of an exception than its text."""
    return ". ".join(text.rstrip(".") for text in (error.message, error.detail, error.hint) if text)
