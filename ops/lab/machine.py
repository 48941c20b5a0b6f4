"""A host as a running thing: its systemd-nspawn process, and everything that runs inside."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from ops.errors import OpsError
from ops.lab import cgroups, disk, network, ssh
from ops.lab.commands import eventually
from ops.lab.disk import Disk
from ops.lab.inventory import LabHost
from ops.lab.paths import Lab

PROGRAM = "systemd-nspawn"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")  # colours and cursor movements of the console
PROPAGATE = Path("/run/systemd/nspawn/propagate")


@dataclass(frozen=True)
class Running:
    """The systemd-nspawn process of a host."""

    process: psutil.Process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def uptime(self) -> float:
        return max(0.0, time.time() - self.process.create_time())


def running(lab: Lab) -> dict[str, Running]:
    """Every host that runs, by name: found by the command line of its systemd-nspawn, so no record can lie."""
    found = {}
    for process in psutil.process_iter(["cmdline", "status"]):
        host = host_of(lab, process.info["cmdline"] or [])
        if host and process.info["status"] != psutil.STATUS_ZOMBIE:
            found[host] = Running(process)
    return found


def processes(lab: Lab) -> list[psutil.Process]:
    """Everything that runs in the hosts of the lab."""
    found = []
    for pid in cgroups.pids(lab):
        with suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(pid))
    return found


def host_of(lab: Lab, cmdline: Sequence[str]) -> str | None:
    """The host of this lab that a command line runs; None for any other process, other containers included."""
    if not cmdline or Path(cmdline[0]).name != PROGRAM:
        return None
    for argument in cmdline[1:]:
        directory = Path(argument.removeprefix("--directory="))
        if argument.startswith("--directory=") and directory.is_relative_to(lab.hosts) and directory.name == "root":
            return directory.parent.name
    return None


def nspawn(lab: Lab, host: str) -> list[str]:
    """The command line of a host. --register and --keep-unit: no systemd is needed on this machine."""
    return [
        PROGRAM,
        f"--directory={lab.root(host)}",
        f"--machine={host}",
        f"--network-bridge={lab.bridge}",
        "--boot",
        "--register=no",
        "--keep-unit",
        "--settings=no",
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
        "--console=read-only",
    ]


def start(lab: Lab, its_disk: Disk, hosts: Sequence[LabHost]) -> None:
    """Boot a host that does not run. What an earlier life left (processes, link, cgroup) is removed first."""
    name = its_disk.host
    stop(lab, name, None)
    disk.mount(lab, its_disk)
    disk.introduce(lab, name, hosts)
    command = [*cgroups.joining(cgroups.create(lab, name)), *nspawn(lab, name)]
    # SYSTEMD_NSPAWN_LOCK: its lock files would be left behind when it is killed, and ours guards enough.
    environment = os.environ | {"SYSTEMD_NSPAWN_LOCK": "0"}
    with lab.console(name).open("ab") as log:
        # setsid --fork makes it a child of init: it outlives this command and is reaped when it ends.
        subprocess.run(
            ["setsid", "--fork", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            check=True,
            cwd="/",
        )
    if not eventually(lambda: name in running(lab), deadline=5):
        raise OpsError(f"{name} did not start", detail=last_words(lab, name), hint=f"see {lab.console(name)}")


def stop(lab: Lab, host: str, its: Running | None) -> list[str]:
    """End every process of a host at once (the disk stays); returns the names of what would not go."""
    ssh.close(lab, host)
    left = cgroups.kill(lab, host)
    if its and not _end(its.process):  # it is in that cgroup, unless somebody moved it
        left.add(its.pid)
    cgroups.remove(lab, host)
    network.drop_link(lab, host)
    shutil.rmtree(PROPAGATE / host, ignore_errors=True)
    return [f"process {pid} of {host}" for pid in sorted(left)]


def _end(process: psutil.Process, *, deadline: float = 10) -> bool:
    """SIGKILL a process; whether it is gone by the deadline. Init may be slow to reap it, which is not our concern."""

    def gone() -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
            process.kill()  # psutil compares the start time: never a recycled pid
        except psutil.NoSuchProcess:
            return True
        return False

    return eventually(gone, deadline=deadline)


def last_words(lab: Lab, host: str, lines: int = 5) -> str:
    """The end of the console log of a host."""
    path = lab.console(host)
    text = ESCAPES.sub("", path.read_text(errors="replace")) if path.is_file() else ""
    said = [line.strip() for line in text.splitlines() if line.strip()]
    return "\n".join(said[-lines:]) or "its console is empty"
