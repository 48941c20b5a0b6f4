"""Read the lab inventory: the same plain Python file that pyinfra reads."""

from __future__ import annotations

import difflib
import re
import runpy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from ops.errors import UsageError
from ops.lab.paths import DEFAULT_INVENTORY, FIRST_HOST, Lab

# The link of a host is named vb-HOST, and the kernel gives a link name 15 characters.
HOST_NAME = re.compile(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?")


@dataclass(frozen=True)
class LabHost:
    """A host of the lab. Its address follows from where the inventory names it first."""

    name: str
    address: IPv4Address
    groups: tuple[str, ...]


def read(lab: Lab, path: Path = DEFAULT_INVENTORY) -> tuple[LabHost, ...]:
    """All hosts of the inventory file, in order of first appearance. UsageError if it cannot be read."""
    if not path.is_file():
        raise UsageError(f"there is no lab inventory at {path}", hint="name one with --inventory PATH")
    try:
        names = runpy.run_path(str(path))
    except Exception as error:  # the file is code: whatever it raises is its author's to see
        raise UsageError(f"the inventory {path} cannot be read", detail=f"{type(error).__name__}: {error}") from error
    hosts = assign(lab, groups_of(names))
    if not hosts:
        raise UsageError(
            f"the inventory {path} names no host", hint='a group is a list of names: etcd = ["pg1", "pg2"]'
        )
    return hosts


def groups_of(names: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """The groups among the names of an inventory module. Like pyinfra, takes `[hosts]` and `([hosts], data)`,
    and a host as `"name"` or `("name", data)`."""
    groups = {}
    for name, value in names.items():
        members = value[0] if isinstance(value, tuple) and value and isinstance(value[0], list) else value
        if not name.startswith("_") and isinstance(members, list):
            groups[name] = tuple(_host_name(name, member) for member in members)
    return groups


def _host_name(group: str, member: object) -> str:
    name = member[0] if isinstance(member, tuple) and member else member
    if not isinstance(name, str):
        raise UsageError(f"the inventory group {group} holds {member!r}, which is no host name")
    if not HOST_NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} in the inventory group {group} cannot name a lab host",
            detail="its network link is named vb-HOST, for which the kernel has 15 characters",
            hint="1 to 12 lower-case letters, digits and dashes, starting with a letter",
        )
    return name


def assign(lab: Lab, groups: dict[str, tuple[str, ...]]) -> tuple[LabHost, ...]:
    """Give each host its address."""
    order = list(dict.fromkeys(name for members in groups.values() for name in members))
    room = lab.subnet.num_addresses - FIRST_HOST - 1
    if len(order) > room:
        raise UsageError(f"the inventory has {len(order)} hosts, and {lab.subnet} has room for {max(room, 0)}")
    return tuple(
        LabHost(name, lab.subnet[FIRST_HOST + i], tuple(g for g, members in groups.items() if name in members))
        for i, name in enumerate(order)
    )


def find(hosts: Sequence[LabHost], name: str) -> LabHost:
    """The host of that name. UsageError with the nearest valid name otherwise."""
    for host in hosts:
        if host.name == name:
            return host
    names = [host.name for host in hosts]
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
    raise UsageError(
        f"the lab has no host {name!r}",
        detail="it has: " + ", ".join(names),
        hint=f"did you mean {nearest[0]!r}?" if nearest else None,
    )


def etc_hosts(hosts: Iterable[LabHost]) -> str:
    """/etc/hosts of every lab host: all of them know each other by name."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    return "\n".join([*lines, *(f"{host.address} {host.name}" for host in hosts)]) + "\n"
