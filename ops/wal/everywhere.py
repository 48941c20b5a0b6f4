"""Archiving under the policy `all`: a file counts as archived when every repository has it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ops.store.repository import Repository
from ops.wal.push import Pushed, Pusher, Source


class EveryPusher(Pusher):
    """Pushes to the first repository and to all `others` at the same time. Safe to share between threads."""

    def __init__(self, source: Source, repository: Repository, others: Sequence[Pusher], *, level: int) -> None:
        super().__init__(source, repository, level=level)
        self._others = others

    def push(self, path: Path) -> Pushed:
        """As `Pusher.push`, for all: returns when every repository has the file, else raises what the first one said.

        What one has stored stays: the next try finds it there. A slow repository keeps the answer, not the others.
        """
        with ThreadPoolExecutor(len(self._others)) as pool:
            elsewhere = [pool.submit(other.push, path) for other in self._others]
            try:
                pushed = super().push(path)
            finally:
                for future in elsewhere:
                    future.exception()  # waits: nothing of this push goes on when it has returned
        outcomes = [pushed, *(future.result() for future in elsewhere)]
        return Pushed.STORED if Pushed.STORED in outcomes else Pushed.ALREADY_THERE
