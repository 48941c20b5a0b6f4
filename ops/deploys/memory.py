"""Facts asked once: pyinfra asks the same question again for every operation, and all of them twice.

A deploy looks at everything while it is prepared, and once more while it is executed, in case an earlier operation
changed what a later one depends on. Where none changed anything, the answers still hold.
"""

from __future__ import annotations

from contextvars import ContextVar
from copy import deepcopy
from typing import Any
from weakref import WeakSet

from pyinfra.api.host import Host
from pyinfra.facts.files import Directory, File, FileContents, FindFiles, FindLinks, Link, Sha1File, Sha256File

from ops.deploys.tree import UNKNOWN, Tree, answer, path_asked

# What only things that are done to the host itself can change.
_OF_FILES = (Directory, File, FileContents, FindFiles, FindLinks, Link, Sha1File, Sha256File, Tree)

_remembering: WeakSet[Host] = WeakSet()
_asking = ContextVar("_asking", default=False)  # of each greenlet: one host may ask another while that one is changed
_changes = 0  # how often anything was done to any host; what was asked before the last time is asked again


def forget() -> None:
    """Have everything asked again: called by whoever waits for a change that this deploy does not make itself."""
    global _changes  # noqa: PLW0603  one deploy, one process
    _changes += 1


def remember_facts(host: Host) -> None:
    """Have `host.get_fact` ask the host only what it has not answered since anything was last done to any host.

    To any: a member's role, or whether it is in etcd, follows from what is done elsewhere. A file is the host's own
    affair, and until anything is done to the host one question about all of them answers for each.
    """
    if host in _remembering:
        return
    _remembering.add(host)
    memory = _Memory(host)
    host.get_fact = memory.get_fact  # type: ignore[method-assign,assignment]
    host.run_shell_command = memory.run_shell_command  # type: ignore[method-assign]
    host.put_file = memory.put_file  # type: ignore[method-assign]


class _Memory:
    """Three methods of a host, which remember."""

    def __init__(self, host: Host) -> None:
        self._ask, self._run_shell_command, self._put_file = host.get_fact, host.run_shell_command, host.put_file
        self._changes = 0  # as above, of this host
        self._answers: dict[str, tuple[int, Any]] = {}

    def get_fact(self, fact: Any, *args: Any, **kwargs: Any) -> Any:
        path = path_asked(fact, args, kwargs)
        if path and not self._changes:
            known = answer(fact, path, self._remembered(Tree))
            if known is not UNKNOWN:
                return known
        return deepcopy(self._remembered(fact, *args, **kwargs))

    def _remembered(self, fact: Any, *args: Any, **kwargs: Any) -> Any:
        question = f"{fact.__module__}.{fact.__qualname__} {args!r} {sorted(kwargs.items())!r}"
        asked_at = self._changes if fact in _OF_FILES else _changes
        if question not in self._answers or self._answers[question][0] != asked_at:
            token = _asking.set(True)
            try:
                self._answers[question] = asked_at, self._ask(fact, *args, **kwargs)
            finally:
                _asking.reset(token)
        return self._answers[question][1]

    def run_shell_command(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._run_shell_command(*args, **kwargs)
        finally:
            if not _asking.get():
                self._changed()

    def put_file(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._put_file(*args, **kwargs)
        finally:
            self._changed()

    def _changed(self) -> None:
        self._changes += 1
        forget()
