"""One cgroup per host, so that every process of a host can be found, also when its systemd-nspawn is gone.

Without it, with a PID 1 that is not systemd, the systemd of each host would take the same cgroup for its own and
end the processes of the others.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ops.lab.commands import eventually
from ops.lab.paths import Lab

MOUNTINFO = Path("/proc/self/mountinfo")


def hierarchies(mountinfo: str) -> tuple[Path, ...]:
    """Where processes are tracked: the cgroup2 mount, and before it the one of cgroup v1 named systemd.

    The v1 controllers (memory, cpu …) are not among them: systemd-nspawn mounts those read-only.
    """
    named, unified = [], []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        mount = Path(left.split()[4])
        if kind == "cgroup" and "name=systemd" in options.split(","):
            named.append(mount)
        elif kind == "cgroup2":
            unified.append(mount)
    return tuple(named[:1] + unified[:1])


def create(lab: Lab, host: str) -> list[Path]:
    """Make the cgroup of a host (fresh: what an earlier boot left is removed) and return its directories."""
    remove(lab, host)
    made = [mount / lab.cgroup / host for mount in hierarchies(MOUNTINFO.read_text())]
    for directory in made:
        directory.mkdir(parents=True, exist_ok=True)
    return made


def _roots(lab: Lab, host: str) -> list[Path]:
    return [mount / lab.cgroup / host for mount in hierarchies(MOUNTINFO.read_text())]


def pids(lab: Lab, host: str = "") -> set[int]:
    """Every process in the cgroup of a host; without a host, in that of the whole lab."""
    found: set[int] = set()
    for root in _roots(lab, host):
        for directory, _, files in os.walk(root):
            if "cgroup.procs" in files:
                with suppress(OSError):
                    found |= {int(pid) for pid in (Path(directory) / "cgroup.procs").read_text().split()}
    return found - {0}  # 0 stands for a process that our PID namespace cannot see


def kill(lab: Lab, host: str = "", *, deadline: float = 15) -> set[int]:
    """SIGKILL every process of a host, or of the whole lab; returns what is still there after the deadline."""

    def gone() -> bool:
        left = pids(lab, host)
        for pid in left:
            _kill(lab, pid)
        return not left

    eventually(gone, deadline=deadline)
    return pids(lab, host)


def _kill(lab: Lab, pid: int) -> None:
    """SIGKILL one process, if it is still ours: the pidfd keeps a recycled number from being hit."""
    with suppress(OSError):
        handle = os.pidfd_open(pid)
        try:
            if f":/{lab.cgroup}/" in Path(f"/proc/{pid}/cgroup").read_text():
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)


def remove(lab: Lab, host: str = "") -> list[Path]:
    """Remove the emptied cgroups of a host, or of the whole lab; returns the directories that would not go."""
    for root in _roots(lab, host):
        for directory in _deepest_first(root):
            with suppress(OSError):
                directory.rmdir()
    return [root for root in _roots(lab, host) if root.exists()]


def _deepest_first(root: Path) -> Iterator[Path]:
    for directory, _, _ in os.walk(root, topdown=False):
        yield Path(directory)


def joining(directories: list[Path]) -> list[str]:
    """The start of a command line that enters cgroups before it becomes the command that follows."""
    script = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 70; shift; done; shift; exec "$@"'
    return ["sh", "-c", script, "sh", *map(str, directories), "--"]
