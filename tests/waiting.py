"""Waiting for what real servers take their time with: every wait has a deadline and says what it saw last."""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

Seen = TypeVar("Seen")

_given = set[int]()  # by this process: a port is free until the server that it was given to is up
CLUSTER_BUS = 10_000  # as far above its port each server of a Redis Cluster listens for the others


def wait_until(
    what: str,
    look: Callable[[], Seen],
    *,
    deadline: float = 60,
    until: Callable[[Seen], bool] = bool,
    despite: type[Exception] | tuple[type[Exception], ...] = (),
    pause: float = 0.05,
) -> Seen:
    """What `look` returns once `until` holds for it; AssertionError after `deadline` seconds.

    An exception among `despite` counts as not yet: a host that is down while we look.
    """
    end = time.monotonic() + deadline
    while True:
        last: object
        try:
            seen = look()
        except despite as error:
            last = error
        else:
            if until(seen):
                return seen
            last = seen
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:g} s: {what}; last seen: {last!r}")
        time.sleep(pause)


def free_port(*, beside: tuple[int, ...] = ()) -> int:
    """A loopback port that nobody listens on just now, nor on those that lie `beside` it at these distances.

    From below the range that the kernel gives to outgoing connections, so that a server which is stopped and
    started again finds its port free; and from a part of it that is this process's own, where several run tests.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 15_000 + worker % 4 * 4_000
    while True:
        port = random.randrange(first, first + 4_000)
        if port not in _given and all(map(_is_free, (port, *(port + distance for distance in beside)))):
            _given.add(port)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False
