"""Sections are read by a process of their own, ahead of whoever stores them: two threads would share one interpreter.

It is started as a module, not by multiprocessing: it then imports the reader alone (no psycopg, no command line), and
Ctrl-C, which goes to a whole process group, reaches only who started it. When that one ends, even by SIGKILL, the
socket between the two closes, and it ends too. It stays one batch ahead: it cannot send another before that is taken.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import TracebackType

from ops.errors import OpsError
from ops.importing.batches import Batch, Task, batches


class Ahead:
    """Reads sections in a process of its own, while in here."""

    def __enter__(self) -> Ahead:
        self._socket, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()
        self._process.kill()  # it holds nothing that would be lost
        self._process.wait()

    def batches(self, task: Task) -> Iterator[Batch]:
        """A section in batches, in the order of its file. Errors of the reader are raised here as they were there."""
        try:
            self._socket.send(task)
            while (said := self._socket.recv()) is not None:
                if isinstance(said, Exception):
                    break
                yield said
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            raise OpsError(
                "the process that reads the files has died",
                detail=f"exit status {self._process.wait()}, at {task.path}",
                hint="What was stored stays. Run ops import json again: it goes on.",
            ) from error
        if said is not None:
            raise said


def main() -> None:
    """Answer each task that comes over the socket (its descriptor is the argument) with its batches, and None."""
    gc.disable()  # nothing here makes cycles, and to look for them among so many records takes a fifth of the time
    with Connection(int(sys.argv[1])) as socket, suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            for answer in _answers(socket.recv()):
                socket.send(answer)


def _answers(task: Task) -> Iterator[Batch | Exception | None]:
    try:
        yield from batches(task)
    except (OpsError, OSError) as error:
        yield error
    else:
        yield None


if __name__ == "__main__":
    main()
