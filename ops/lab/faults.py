"""Break hosts of the lab on purpose, and mend them: what tests and drills use.

from ops.lab import faults
faults.kill("pg1")        # the host is gone at once, as in a power cut; its disk stays
faults.start("pg1")       # … and boots again
faults.replace("pg1")     # its disk is gone, too: an empty host of that name
faults.lose("pg1", "pg2") # both at once, and nothing in their place; `ops lab up` makes empty ones
faults.partition("pg2")   # runs on, alone
faults.heal("pg2")

Each of those that drills use takes the inventory of another lab as its second argument.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ops.errors import OpsError
from ops.lab import disk, fleet, inventory, machine, mounts, network, paths, ssh
from ops.lab.inventory import LabHost
from ops.lab.paths import DEFAULT_INVENTORY


def hosts(path: Path = DEFAULT_INVENTORY) -> tuple[LabHost, ...]:
    """The hosts of the lab inventory."""
    return inventory.read(paths.from_environment(), path)


def host(name: str, path: Path = DEFAULT_INVENTORY) -> LabHost:
    """The host of that name. UsageError with the nearest valid name otherwise."""
    return inventory.find(hosts(path), name)


def run(name: str, command: str, *, deadline: float = 60) -> str:
    """Run a shell command as root on a host and return its stdout. Unreachable if it fails."""
    return ssh.login(paths.from_environment(), host(name), command, deadline=deadline)


def kill(name: str, path: Path = DEFAULT_INVENTORY) -> None:
    """A host crashes: SIGKILL of its systemd-nspawn and of all that runs inside. Nothing is synced or closed."""
    lab = paths.from_environment()
    left = machine.stop(lab, host(name, path).name, machine.running(lab).get(name))
    if left:
        raise OpsError(f"{name} could not be killed", detail="\n".join(left))


def start(name: str, path: Path = DEFAULT_INVENTORY, *, deadline: float = 60) -> None:
    """Boot a host that does not run, and wait until it lets us log in. Does nothing to one that runs."""
    lab = paths.from_environment()
    its_disk = disk.existing(lab).get(host(name, path).name)
    if not its_disk:
        raise OpsError(f"the host {name} was never made", hint="run: ops lab up")
    if name not in machine.running(lab):
        machine.start(lab, its_disk, hosts(path))
    ssh.wait(lab, host(name, path), deadline=deadline)


def lose(*names: str) -> None:
    """Hosts crash at the same time, and their disks are thrown away."""
    lab = paths.from_environment()
    with ThreadPoolExecutor(max_workers=len(names)) as pool:
        list(pool.map(kill, names))
    for name in names:
        left = mounts.unmount_below(lab.hosts / host(name).name)
        if left:
            raise OpsError(f"the disk of {name} is in use", detail="\n".join(map(str, left)))
        shutil.rmtree(lab.hosts / name)


def replace(name: str) -> None:
    """A host is lost for good, and another one takes its name and address: a new key, an empty disk."""
    lose(name)
    fleet.up(paths.from_environment(), hosts())


def partition(name: str, path: Path = DEFAULT_INVENTORY) -> None:
    """Cut a host off from all others and from us. It runs on."""
    network.unplug(host(name, path).name)


def heal(name: str, path: Path = DEFAULT_INVENTORY) -> None:
    """End a partition."""
    network.plug(paths.from_environment(), host(name, path).name)
