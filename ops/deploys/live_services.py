"""What HAProxy and PgBouncer were told while they run: it is in no file, and does not outlive a restart."""

from __future__ import annotations

import shlex

from pyinfra import host
from pyinfra.api.facts import FactBase

from ops.deploys import pgbouncer as poolers
from ops.deploys.site import Host
from ops.errors import Unreachable
from ops.model import drift
from ops.model.drift import Differences

_ASK_HAPROXY = (
    "import socket; s = socket.socket(socket.AF_UNIX); s.settimeout(5); s.connect('/run/haproxy/admin.sock'); "
    "s.sendall(b'show servers state\\n'); print(s.makefile().read())"
)


class HaproxyServers(FactBase[list[str]]):
    """`show servers state` of HAProxy; nothing where it does not answer."""

    default = list

    def command(self) -> str:
        return f"python3 -I -c {shlex.quote(_ASK_HAPROXY)} 2>/dev/null || true"

    def process(self, output: list[str]) -> list[str]:
        return output


class PgbouncerConsole(FactBase[dict[str, list[list[str]]]]):
    """What PgBouncer's console shows: topic -> rows; empty where it does not answer."""

    default = dict

    def command(self, port: int, topics: tuple[str, ...]) -> str:
        psql = f"runuser -u {poolers.CONSOLE} -- psql -XAtq -h {poolers.SOCKET_DIR} -p {port} {poolers.USER}"
        asked = (f"echo '# {topic}'; {psql} -c 'SHOW {topic}' || exit 0" for topic in topics)
        return f"cd /; ({'; '.join(asked)}; echo '# end') 2>/dev/null"

    def process(self, output: list[str]) -> dict[str, list[list[str]]]:
        if output[-1] != "# end":
            return {}
        found: dict[str, list[list[str]]] = {}
        for line in output:
            if line.startswith("# "):
                rows = found.setdefault(line[2:], [])
            else:
                rows.append(line.split("|"))
        return found


class FileLines(FactBase[list[str]]):
    """The lines of files, one file after the other."""

    default = list

    def command(self, paths: tuple[str, ...]) -> str:
        return f"cat {shlex.join(paths)} 2>/dev/null || true"

    def process(self, output: list[str]) -> list[str]:
        return output


def haproxy(this: Host) -> Differences:
    """Servers that somebody took out of service, drained or weighted through the admin socket."""
    if not this.is_in("router"):
        return
    answer = host.get_fact(HaproxyServers)
    if not answer:
        raise Unreachable("HAProxy's admin socket does not answer")
    yield from drift.of_servers(answer)


def pgbouncer(this: Host) -> Differences:
    """Settings changed on the console, and databases that were paused or disabled there."""
    if this.cluster is None:
        return
    pooler = this.inventory.pooler(this.cluster)
    shown = host.get_fact(PgbouncerConsole, port=pooler.port, topics=("CONFIG", "DATABASES"))
    if not shown:
        raise Unreachable("PgBouncer's console does not answer")
    lines = host.get_fact(FileLines, paths=(poolers.SETTINGS, poolers.LISTEN))  # the second is a part of the first
    yield from drift.of_pooler(lines, shown["CONFIG"], shown["DATABASES"])
