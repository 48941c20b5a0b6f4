"""The bridge of the lab, its way out, and the links of its hosts. Every function brings about a state, and may be
run again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from ops.errors import OpsError
from ops.lab.commands import eventually, run, succeeds
from ops.lab.paths import Lab, veth

IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


def ruleset(lab: Lab) -> str:
    """Hosts may go out through NAT; from outside nothing comes in. One transaction, whatever was there before."""
    return f"""
add table ip {lab.table}
delete table ip {lab.table}
table ip {lab.table} {{
    chain forward {{
        type filter hook forward priority filter; policy accept;
        iifname "{lab.bridge}" accept
        oifname "{lab.bridge}" ct state established,related accept
        oifname "{lab.bridge}" drop
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {lab.subnet} oifname != "{lab.bridge}" masquerade
    }}
}}
"""


def ensure(lab: Lab) -> None:
    """Bridge with the gateway's address, forwarding, firewall."""
    if lab.bridge not in links():
        run("ip", "link", "add", lab.bridge, "type", "bridge", "forward_delay", "0", "stp_state", "0")
    run("ip", "address", "replace", f"{lab.gateway}/{lab.subnet.prefixlen}", "dev", lab.bridge)
    run("ip", "link", "set", lab.bridge, "up")
    if not lab.ip_forward_before.exists():
        lab.ip_forward_before.write_text(IP_FORWARD.read_text())
    if IP_FORWARD.read_text().strip() != "1":
        IP_FORWARD.write_text("1")
    run("nft", "-f", "-", stdin=ruleset(lab))


def remove(lab: Lab) -> list[str]:
    """Take it all away, and set ip_forward back to what it was; returns the names of what would not go."""
    for link in ports(lab):
        succeeds("ip", "link", "delete", link)
    if lab.bridge in links():
        succeeds("ip", "link", "delete", lab.bridge)
    if has_table(lab):
        succeeds("nft", "delete", "table", "ip", lab.table)
    if lab.ip_forward_before.exists():
        IP_FORWARD.write_text(lab.ip_forward_before.read_text())
    left = [f"network link {name}" for name in (*ports(lab), lab.bridge) if name in links()]
    return left + ([f"nftables table ip {lab.table}"] if has_table(lab) else [])


def has_table(lab: Lab) -> bool:
    """Whether our nftables table is there (whoever removed nft has removed the table's use as well)."""
    try:
        return f"table ip {lab.table}" in run("nft", "list", "tables").splitlines()
    except OpsError:
        return False


def links() -> dict[str, dict[str, Any]]:
    """Every network link of the machine by name, as `ip -json` says it."""
    return {link["ifname"]: link for link in json.loads(run("ip", "-json", "link", "show"))}


def ports(lab: Lab) -> list[str]:
    """The links that hang on our bridge. Only hosts of the lab ever do."""
    return [name for name, link in links().items() if link.get("master") == lab.bridge and name.startswith("vb-")]


def plug(lab: Lab, host: str) -> None:
    """Connect a running host to the bridge: heals a partition, and a bridge that was deleted and made again."""
    if not eventually(lambda: veth(host) in links(), deadline=5):
        raise OpsError(f"the host {host} has no network link", detail=f"{veth(host)} is not there", hint="ops lab up")
    run("ip", "link", "set", veth(host), "master", lab.bridge, "up")


def unplug(host: str) -> None:
    """Cut a host off: its own end of the link stays, no packet passes."""
    run("ip", "link", "set", veth(host), "down")


def drop_link(lab: Lab, host: str) -> None:
    """Remove the link of a host that no longer runs (the kernel is slow to, and systemd-nspawn trips over it).

    A link of that name on the bridge of somebody else is left alone.
    """
    link = links().get(veth(host))
    if link and link.get("master") in {lab.bridge, None}:
        succeeds("ip", "link", "delete", veth(host))


def overlapping(lab: Lab, routes: Iterable[dict[str, Any]]) -> list[str]:
    """The routes of others (from `ip -json route`) that our subnet would collide with, in words."""
    found = []
    for route in routes:
        if route["dst"] != "default" and route.get("dev") != lab.bridge:
            network = IPv4Network(route["dst"], strict=False)
            if network.overlaps(lab.subnet) and network.prefixlen > 0:
                found.append(f"{network} on {route.get('dev', 'no device')}")
    return found


def routes() -> list[dict[str, Any]]:
    """The IPv4 routes of the machine."""
    listed: list[dict[str, Any]] = json.loads(run("ip", "-json", "-4", "route", "show") or "[]")
    return listed


def is_cut(lab: Lab, host: str) -> bool:
    """Whether a running host is not connected to the bridge."""
    link = links().get(veth(host), {})
    return link.get("master") != lab.bridge or "UP" not in link.get("flags", ())
