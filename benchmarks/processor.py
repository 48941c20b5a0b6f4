"""Processor time by who used it: store and tool share the cores, and only the tool is compared."""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Used:
    """Seconds of processor time: of the store, and of all else that was started or runs as `service`."""

    store: float = 0.0
    tool: float = 0.0


@contextmanager
def measured(store: int, service: int | None) -> Iterator[Used]:
    """What is used within. `store` and `service` are the ids of processes that run on; all others end first.

    A daemon that a tool leaves behind is waited for, and counts.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    known = _children()
    before_store, before_tool = _of(store), _ended() + _of(service)
    used = Used()
    yield used
    for child in _children() - known:
        os.waitpid(child, 0)
    used.store, used.tool = _of(store) - before_store, _ended() + _of(service) - before_tool


def _ended() -> float:
    times = resource.getrusage(resource.RUSAGE_CHILDREN)
    return times.ru_utime + times.ru_stime


def _of(process: int | None) -> float:
    if process is None:
        return 0.0
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _children() -> set[int]:
    lists = Path("/proc/self/task").glob("*/children")
    return {int(child) for path in lists for child in path.read_text().split()}
