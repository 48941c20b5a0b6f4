"""The hosts of an inventory as a drill needs them: commands over ssh, and whether they are the running lab's."""

from __future__ import annotations

import runpy
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops.deploys.inventory import Inventory
from ops.errors import OpsError, Unreachable
from ops.failover.ways import lab_addresses
from ops.lab import disk, machine, paths

CONNECT_TIMEOUT = 5  # seconds


@dataclass(frozen=True)
class Hosts:
    """Reaches hosts as pyinfra does: by the `ssh_` keys of the inventory's group data. `addresses`: of the lab's."""

    inventory: Inventory
    is_lab: bool
    addresses: dict[str, str] = field(default_factory=dict)

    def run(
        self, host: str, command: str, *, stdin: str = "", deadline: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command there; its exit code is the caller's to judge. Unreachable where ssh itself fails."""
        argv = [*_ssh(self.inventory, host), command]
        try:
            done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=deadline, check=False)
        except subprocess.TimeoutExpired:
            raise Unreachable(f"{host} did not finish within {deadline:.0f} s: {command}") from None
        if done.returncode == 255:  # ssh's own: what we run never ends so
            raise Unreachable(f"{host} does not let us in over ssh", detail=done.stderr.strip()[-1000:])
        return done

    def ask(self, host: str, command: str, *, stdin: str = "", deadline: float = 60) -> str:
        """What a command prints; OpsError with its words where it fails."""
        done = self.run(host, command, stdin=stdin, deadline=deadline)
        if done.returncode:
            raise OpsError(
                f"{host}: `{command}` failed (exit {done.returncode})",
                detail=(done.stderr or done.stdout).strip()[-2000:],
            )
        return done.stdout.strip()


def reach(inventory: Inventory) -> Hosts:
    """The hosts of an inventory, and whether they are the lab's."""
    is_lab = _is_lab(inventory)
    return Hosts(inventory, is_lab, lab_addresses(inventory.path / "hosts.py") if is_lab else {})


def _is_lab(inventory: Inventory) -> bool:
    """Whether the lab that runs on this machine is what the inventory is about.

    Names alone would not tell: production may have a pg1, too. What counts is where ssh leads. The inventory names the
    very file that the lab has written for ssh, and each of its hosts runs on this machine.
    """
    lab = paths.from_environment()
    named = _settings(inventory, "all").get("ssh_config_file")
    if not named or Path(named).resolve() != lab.ssh_config.resolve() or not lab.ssh_config.is_file():
        return False
    disks, booted = disk.existing(lab), machine.running(lab)
    if not any(host in booted for host in inventory.hosts):
        return False
    addresses = lab_addresses(inventory.path / "hosts.py")
    return all(host in disks and str(disks[host].address) == addresses[host] for host in inventory.hosts)


def _ssh(inventory: Inventory, host: str) -> list[str]:
    settings: dict[str, Any] = {}
    for group in ("all", *(name for name, hosts in inventory.groups.items() if host in hosts)):
        settings |= _settings(inventory, group)
    argv = ["ssh"]
    for key, flag in (("ssh_config_file", "-F"), ("ssh_user", "-l"), ("ssh_port", "-p"), ("ssh_key", "-i")):
        if key in settings:
            argv += [flag, str(settings[key])]
    options = {"BatchMode": "yes", "ConnectTimeout": CONNECT_TIMEOUT, "ServerAliveInterval": 5}
    for key, option in (
        ("ssh_known_hosts_file", "UserKnownHostsFile"),
        ("ssh_strict_host_key_checking", "StrictHostKeyChecking"),
    ):
        if key in settings:
            options[option] = settings[key]
    return [*argv, *(f"-o{option}={value}" for option, value in options.items()), host]


def _settings(inventory: Inventory, group: str) -> dict[str, Any]:
    """What group data say about ssh; `ops.deploys.inventory` leaves that to pyinfra."""
    file = inventory.path / "group_data" / f"{group}.py"
    found = runpy.run_path(str(file)) if file.is_file() else {}
    return {key: value for key, value in found.items() if key.startswith("ssh_")}
