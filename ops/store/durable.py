"""What it takes for a file to be there after a power cut."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


def sync_directory(directory: Path) -> None:
    """Bring the entries of a directory onto the disk: a new or renamed file is safe only then (man 2 fsync)."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def filesystems_synced(directories: Iterable[Path]) -> Iterator[None]:
    """Once the block has ended, all that it wrote is on the disk, in any file of the file systems of `directories`.

    For many files at once, where an fsync of each would wait for the disk as often. What could not be written since
    the block began is an OSError (Linux 5.8 and later, man 2 syncfs).
    """
    with ExitStack() as stack:
        handles = dict[int, int]()
        for directory in directories:
            device = directory.stat().st_dev
            if device not in handles:
                handles[device] = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
                stack.callback(os.close, handles[device])
        yield
        for handle in handles.values():
            _sync_filesystem(handle)


def _sync_filesystem(handle: int) -> None:
    # Imported here: the archiver, which syncs single directories, needs none of it.
    import ctypes  # noqa: PLC0415

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syncfs(handle):
        problem = ctypes.get_errno()
        raise OSError(problem, os.strerror(problem))
