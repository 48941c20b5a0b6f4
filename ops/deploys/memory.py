"""Facts asked once: pyinfra asks the same question again for every operation, and all of them twice.

A deploy looks at everything while it is prepared, and once more while it is executed, in case an earlier operation
changed what a later one depends on. Where none changed anything, on any host, the answers still hold.
"""

from __future__ import annotations

from contextvars import ContextVar
from copy import deepcopy
from typing import Any
from weakref import WeakSet

from pyinfra.api.host import Host

_remembering: WeakSet[Host] = WeakSet()
_asking = ContextVar("_asking", default=False)  # of each greenlet: one host may ask another while that one is changed
_changes = 0  # how often anything was done to any host; what was asked before the last time is asked again


def forget() -> None:
    """Have everything asked again: called by whoever waits for a change that this deploy does not make itself."""
    global _changes  # noqa: PLW0603  one deploy, one process
    _changes += 1


def remember_facts(host: Host) -> None:
    """Have `host.get_fact` ask the host only what it has not answered since anything was last done to any host.

    To any: a member's role, or whether it is in etcd, follows from what is done elsewhere.
    """
    if host in _remembering:
        return
    _remembering.add(host)
    answers: dict[str, tuple[int, Any]] = {}
    ask, run_shell_command, put_file = host.get_fact, host.run_shell_command, host.put_file

    def get_fact(fact: Any, *args: Any, **kwargs: Any) -> Any:
        question = f"{fact.__module__}.{fact.__qualname__} {args!r} {sorted(kwargs.items())!r}"
        if question not in answers or answers[question][0] != _changes:
            asked_at, token = _changes, _asking.set(True)
            try:
                answers[question] = asked_at, ask(fact, *args, **kwargs)
            finally:
                _asking.reset(token)
        return deepcopy(answers[question][1])

    def change_by_command(*args: Any, **kwargs: Any) -> Any:
        try:
            return run_shell_command(*args, **kwargs)
        finally:
            if not _asking.get():
                forget()

    def change_by_file(*args: Any, **kwargs: Any) -> Any:
        try:
            return put_file(*args, **kwargs)
        finally:
            forget()

    host.get_fact = get_fact  # type: ignore[method-assign,assignment]
    host.run_shell_command = change_by_command  # type: ignore[method-assign]
    host.put_file = change_by_file  # type: ignore[method-assign]
