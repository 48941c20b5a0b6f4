"""Run the programs that the lab is made of, and say clearly when one of them fails."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ops.errors import OpsError

Report = Callable[[str], None]
"""Takes one finished step as a line of text."""


def quiet(_: str) -> None:
    """A Report that says nothing."""


def run(*argv: str | Path, stdin: str | None = None, deadline: float = 60, env: dict[str, str] | None = None) -> str:
    """Run a program to its end and return its stdout. OpsError with its last words if it fails or hangs."""
    command = [str(arg) for arg in argv]
    try:
        # Without input a program reads nothing: never the terminal, or the rest of a caller's script.
        done = subprocess.run(
            command, input=stdin or "", text=True, capture_output=True, timeout=deadline, env=env, check=False
        )
    except FileNotFoundError:
        raise OpsError(f"{command[0]} is not installed", hint="run: make setup") from None
    except subprocess.TimeoutExpired:
        raise OpsError(f"{command[0]} did not end within {deadline:.0f} s", detail=" ".join(command)) from None
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-5:]
        raise OpsError(
            f"{command[0]} failed with exit code {done.returncode}", detail="\n".join([" ".join(command), *words])
        )
    return done.stdout


def succeeds(*argv: str | Path, stdin: str | None = None, deadline: float = 20) -> bool:
    """Whether a program exits with 0."""
    with suppress(OpsError):
        run(*argv, stdin=stdin, deadline=deadline)
        return True
    return False


def eventually(condition: Callable[[], bool], *, deadline: float, every: float = 0.05) -> bool:
    """Wait until the condition holds; False once the deadline (seconds) has passed."""
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(every)
    return True
