"""What a running host is asked beyond what a deploy looks at: changes made by hand, in memory or beside our files."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from pyinfra import host
from pyinfra.api.facts import FactBase

from ops.deploys import redis
from ops.deploys.live_services import haproxy, pgbouncer
from ops.deploys.marks import marks
from ops.deploys.operations import JsonOf
from ops.deploys.platform import OPS
from ops.deploys.site import Host
from ops.errors import Unreachable
from ops.model.drift import Differences, Unit, of_unit


class Units(FactBase[list[Unit]]):
    """How systemd has our units, and what lies beside them in /etc and /run."""

    default = list

    def command(self, units: tuple[str, ...]) -> str:
        return (
            f"for unit in {shlex.join(units)}; do echo Unit=$unit; "
            "systemctl show -p ActiveState,UnitFileState,FragmentPath,NeedDaemonReload $unit; "
            "for file in /etc/systemd/system/$unit.d/* /run/systemd/system/$unit.d/*; do "
            "if [ -e $file ]; then echo DropIn=$file; fi; done; done"
        )

    def process(self, output: list[str]) -> list[Unit]:
        shown: list[dict[str, list[str]]] = []
        for line in filter(None, output):
            key, _, value = line.partition("=")
            if key == "Unit":
                shown.append({})
            shown[-1].setdefault(key, []).append(value)
        return [
            Unit(
                name=one["Unit"][0],
                active=one["ActiveState"][0],
                enabled=one["UnitFileState"][0],
                fragment=one["FragmentPath"][0],
                needs_reload=one["NeedDaemonReload"] == ["yes"],
                drop_ins=tuple(one.get("DropIn", ())),
            )
            for one in shown
        ]


def units(this: Host) -> Differences:
    """Services that are stopped, would not come back after a boot, or run otherwise than our files say."""
    said = marks()
    if not said.units:
        return
    for unit in host.get_fact(Units, units=tuple(said.units)):
        yield from of_unit(unit, frozenset(said.files))


def cluster(this: Host) -> Differences:
    """PostgreSQL and Patroni: live settings, pending restarts, roles, databases, extensions."""
    if this.cluster is None:
        return
    answer = host.get_fact(JsonOf, command=f"{OPS} cluster drift --json")
    if not isinstance(answer, dict) or "differences" not in answer:
        why = f": {answer['error']}" if isinstance(answer, dict) else ""
        raise Unreachable(f"`ops cluster drift` gave no answer{why}")
    for difference in answer["differences"]:
        yield difference["what"], difference["mend"]


def redis_server(this: Host) -> Differences:
    """Settings by CONFIG SET, and users by ACL SETUSER."""
    for what in redis.live_differences(this):
        yield f"Redis: {what}", None


# Each yields what differs on the host that it is asked of. A check raises OpsError where it could not find out.
LIVE_CHECKS: tuple[Callable[[Host], Differences], ...] = (units, cluster, pgbouncer, haproxy, redis_server)
