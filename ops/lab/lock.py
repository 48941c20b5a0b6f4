"""One `up` or `down` at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ops.errors import OpsError
from ops.lab.paths import Lab


@contextmanager
def exclusive(lab: Lab, what: str) -> Iterator[None]:
    """Hold the lab while it is changed. OpsError at once if another command holds it."""
    file = _open(lab)
    try:
        os.truncate(file, 0)
        os.write(file, f"{what} (pid {os.getpid()})".encode())
        yield
    finally:
        os.close(file)


def _open(lab: Lab) -> int:
    """The lock file, locked. `down` deletes it while it holds it, so what was locked may be a file without a name."""
    while True:
        lab.state.mkdir(parents=True, exist_ok=True, mode=0o755)
        try:
            file = os.open(lab.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # deleted between the two lines above
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(file, 200).decode(errors="replace")
            os.close(file)
            raise OpsError(
                "the lab is being changed by another command", detail=holder or None, hint="wait until it has ended"
            ) from None
        if lab.lock.exists() and lab.lock.stat().st_ino == os.fstat(file).st_ino:
            return file
        os.close(file)
