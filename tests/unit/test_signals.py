"""A command that waits to be told ends, whichever thread the kernel gives the signal to."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

# The main thread does not take the signal, so that it always goes to the other one.
WAITING = """
import signal, threading, time
from ops.cli.signals import Stop

stop = Stop()
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
print("waiting", flush=True)
stop.wait()
print("told", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_another_thread_gets_ends_the_waiting(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "waiting\n"
            process.send_signal(number)
            assert process.communicate(timeout=30)[0] == "told\n"
        finally:
            process.kill()
