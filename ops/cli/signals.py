"""What SIGTERM and SIGHUP do to a command: it ends in good order, as after Ctrl-C, or when it is told to."""

from __future__ import annotations

import signal
import threading

# Seconds between two looks. The kernel may hand a signal to any thread, and Python runs its handler on the main one,
# which does not wake up for it: a lock that is waited for without end would be waited for until SIGKILL.
_LOOK = 0.5


class Stop(threading.Event):
    """Set by SIGTERM and by SIGINT. To be made, and waited for, on the main thread."""

    def __init__(self) -> None:
        super().__init__()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.set())

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is not None:
            return super().wait(timeout)
        while not super().wait(_LOOK):
            pass
        return True


def clean_up_when_ended() -> None:
    """From here on SIGTERM and SIGHUP are KeyboardInterrupt too, so that what a command has begun is taken back."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
