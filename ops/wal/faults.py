"""Marked points at which a test kills this process, as a power cut might: `OPS_KILL_AT=<point>` in its environment."""

from __future__ import annotations

import os
import signal

PUSH = ("push-asked", "push-read", "push-sealed", "push-stored", "push-recorded", "push-answered")
FETCH = ("fetch-asked", "fetch-got", "fetch-written", "fetch-placed")
CLIENT = ("client-asked", "client-answered", "client-placed")  # in client.py, which imports nothing of ours


def reached(point: str) -> None:
    """Nothing, unless the environment names this point."""
    if os.environ.get("OPS_KILL_AT") == point:
        os.kill(os.getpid(), signal.SIGKILL)
