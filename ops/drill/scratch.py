"""The place of a drill on this host: a directory of its own, one drill at a time, nothing left behind."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.errors import OpsError, Unreachable
from ops.model.drill_id import is_id
from ops.postgres.running import end_leftover

_KEPT = "kept"


@contextmanager
def scratch(directory: Path, drill_id: str, *, keep: bool) -> Iterator[Path]:
    """`directory`/`drill_id` for one drill, removed when the context ends, unless it is to be kept.

    What a drill that was killed has left, a running server included, is removed first. Unreachable where another
    drill runs on this host.
    """
    with _lock(directory, drill_id):
        _sweep(directory)
        home = directory / drill_id
        home.mkdir(mode=0o700)
        try:
            yield home
        except BaseException:
            # A drill that broke is kept only if it got as far as having something to look at.
            _leave(home, keep=keep and (home / "server.log").exists())
            raise
        _leave(home, keep=keep)


@contextmanager
def _lock(directory: Path, drill_id: str) -> Iterator[None]:
    # The kernel lets go of it when we end, however that comes about.
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise OpsError(
            f"cannot use {directory} for restore drills",
            detail=str(error),
            hint="It has to belong to the user that PostgreSQL runs as; drill.directory in the configuration names it.",
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unreachable(
                f"another drill runs on this host: {os.pread(handle, 100, 0).decode(errors='replace')}",
                hint="Wait for it to end; one drill at a time, so that its times mean something.",
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, drill_id.encode(), 0)
        yield
    finally:
        os.close(handle)


def _sweep(directory: Path) -> None:
    for left in sorted(directory.iterdir()):
        if is_id(left.name) and not (left / _KEPT).exists():
            end_leftover(left / "data")
            _leave(left, keep=False)


def _leave(home: Path, *, keep: bool) -> None:
    if keep:
        (home / _KEPT).touch()
        return
    # A restore_command that outlives its server for a moment may still put a file where we remove.
    for _ in range(20):
        shutil.rmtree(home, ignore_errors=True)
        if not home.exists():
            return
        time.sleep(0.1)
    shutil.rmtree(home)
