"""Whether a server runs over a data directory, and which process it is: from its own file, without a connection."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from ops.errors import Unreachable

_POLL = 0.1


def end_leftover(data_dir: Path) -> bool:
    """Stop the server that a killed predecessor of ours left running over `data_dir`; whether there was one.

    A process id in a file may be anybody's by now: it is the server only if it works in that very directory.
    """
    lines = pid_lines(data_dir)
    if not lines or not lines[0].strip().isdecimal():
        return False
    pid = int(lines[0])
    if not _works_in(pid, data_dir):
        return False
    os.kill(pid, signal.SIGQUIT)
    deadline = time.monotonic() + 20
    while _works_in(pid, data_dir):
        if time.monotonic() > deadline:
            raise Unreachable(
                f"a server left by an earlier drill does not end: process {pid}, in {data_dir}",
                hint=f"Look at it, and end it by hand: kill -9 {pid}",
            )
        time.sleep(_POLL)
    return True


def running_in(data_dir: Path) -> int | None:
    """The process id of the server that runs over `data_dir`; None where none does.

    A process whose directory we may not see counts as one: it is somebody else's, and better left in peace.
    """
    lines = pid_lines(data_dir)
    if not lines or not lines[0].strip().isdecimal():
        return None
    pid = int(lines[0])
    try:
        return pid if Path(f"/proc/{pid}/cwd").readlink() == data_dir.resolve() else None
    except PermissionError:
        return pid
    except OSError:
        return None


def _works_in(pid: int, directory: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == directory.resolve()
    except OSError:
        return False


def pid_lines(data_dir: Path) -> list[str]:
    """What the postmaster says of itself in its file; nothing where there is none."""
    try:
        return (data_dir / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []
