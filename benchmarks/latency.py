"""A distance: a TCP proxy on loopback that brings every byte to the other side a moment later, and none more slowly."""

from __future__ import annotations

import queue
import socket
import threading
import time
from contextlib import suppress

_CHUNK = 256 * 1024
_MOST = 64  # chunks on their way in one direction, so that a slow reader is noticed


class Distance:
    """Listens at `port` and passes on to `upstream`; what is said takes `round_trip` seconds to be answered."""

    def __init__(self, upstream: int, round_trip: float) -> None:
        self._upstream = upstream
        self._delay = round_trip / 2
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        time.sleep(2 * self._delay)  # the handshake, which on loopback is there at once
        with suppress(OSError):
            far = socket.create_connection(("127.0.0.1", self._upstream))
            for connection in (near, far):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._relay(near, far)
            self._relay(far, near)

    def _relay(self, source: socket.socket, target: socket.socket) -> None:
        """One direction, in two threads: what has been said and has not arrived yet is between them."""
        under_way: queue.Queue[tuple[float, bytes]] = queue.Queue(_MOST)

        def listen() -> None:
            received = b"-"
            while received:
                received = b""
                with suppress(OSError):
                    received = source.recv(_CHUNK)
                under_way.put((time.monotonic() + self._delay, received))

        def say() -> None:
            while True:
                due, received = under_way.get()
                time.sleep(max(due - time.monotonic(), 0.0))
                try:
                    if not received:
                        target.shutdown(socket.SHUT_WR)
                        return
                    target.sendall(received)
                except OSError:
                    received = b""
                    source.close()
                    return

        for act in (listen, say):
            threading.Thread(target=act, daemon=True).start()
