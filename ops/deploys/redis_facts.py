"""What the servers of a Redis group say, asked from one of its hosts as the user `operator`; nothing is changed."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass

from pyinfra.api.exceptions import OperationError
from pyinfra.api.facts import FactBase

from ops.deploys.memory import forget
from ops.model.redis import DIGEST, Group, Opinion, Server

OPERATOR = "/usr/local/sbin/redis-operator"
REPLICATION_PASSWORD = "/etc/redis/replication.password"  # noqa: S105  a path
# redis-cli waits for a host that is gone as long as TCP does.
_ASK = f"timeout 5 {OPERATOR}"
_HEAD = "=== "


class Heard(FactBase[Group]):
    """What every server and every Sentinel of a group says of the topology."""

    def command(self, members: tuple[str, ...], group: str, port: int, sentinel_port: int | None) -> str:
        self._members, self._group = members, group
        lines = []
        for member in members:
            lines.append(question(f"server {member}", f"-h {member} -p {port} INFO replication keyspace persistence"))
            if sentinel_port:
                lines.append(question(f"sentinel {member}", f"-h {member} -p {sentinel_port} --json SENTINEL MASTERS"))
        return f"test -x {OPERATOR} && {{ {'; '.join(lines)}; }}; true"

    def process(self, output: list[str]) -> Group:
        servers: dict[str, Server] = {}
        opinions: dict[str, Opinion] = {}
        for what, text in answers(output):
            kind, _, member = what.partition(" ")
            if kind == "server" and "role:" in text:
                servers[member] = Server.parse(text)
            watched = json.loads(text) if kind == "sentinel" and text.startswith("[") else []
            if opinion := Opinion.parse(watched, self._group):
                opinions[member] = opinion
        return Group(self._members, servers, opinions)


def question(head: str, arguments: str) -> str:
    """Shell that asks one server, and prints the answer below a line that says what it is."""
    return f"echo '{_HEAD}{head}'; {_ASK} {arguments} 2>/dev/null"


def answers(output: list[str]) -> list[tuple[str, str]]:
    """Each head with the text below it."""
    found: list[tuple[str, list[str]]] = []
    for line in output:
        if line.startswith(_HEAD):
            found.append((line.removeprefix(_HEAD).strip(), []))
        elif found:
            found[-1][1].append(line.strip())
    return [(head, "\n".join(lines)) for head, lines in found]


@dataclass(frozen=True)
class Running:
    """What the server on this host runs with. Digests of passwords are cut short, and passwords not read at all."""

    settings: dict[str, str]
    users: list[str]
    has_replication_password: bool


class Live(FactBase[Running | None]):
    """The live settings of those names, and the users; None while the server does not answer."""

    @staticmethod
    def default() -> None:
        return None

    def command(self, names: tuple[str, ...]) -> str:
        # Compared by the shell itself: a password is neither an argument nor among what is printed.
        same = (
            f"got=$({_ASK} CONFIG GET masterauth) && "
            f"""{{ [ "$(echo "$got" | tail -n 1)" = "$(cat {REPLICATION_PASSWORD})" ] && echo true || echo false; }}"""
        )
        return (
            f"test -x {OPERATOR} && {{ {_ASK} --json CONFIG GET {shlex.join(names)}; "
            f"{_ASK} --json ACL LIST | sed -E 's/#([0-9a-f]{{{DIGEST}}})[0-9a-f]*/#\\1/g'; "
            f"if [ -e {REPLICATION_PASSWORD} ]; then {same}; else echo true; fi; }} 2>/dev/null; true"
        )

    def process(self, output: list[str]) -> Running | None:
        try:
            settings, users, same = (json.loads(line) for line in output)
        except ValueError:  # an answer is missing
            return None
        return Running(settings, users, same)


def wait_until_clear(what: str, look: Callable[[], list[str]], *, deadline: float = 90) -> None:
    """Until `look` finds nothing to complain of; OperationError with what it found last. For execution time only."""
    end = time.monotonic() + deadline
    forget()
    while found := look():
        if time.monotonic() > end:
            raise OperationError(f"{what}: not within {deadline:.0f} s; last seen: {'; '.join(found)}")
        time.sleep(0.5)
        forget()
