"""A proxy between us and the store that fails in one way at a time: TLS on our side, plain HTTP to SeaweedFS."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from ops.config import S3Repository

from ..waiting import free_port
from .fix_store import Weed

# What it does to whoever asks. `lost` passes a request on and loses the answer; `cut` ends a body early;
# `altered` changes a byte in the middle of a body; `slow` takes its time over each of them.
FAULTS = ("refused", "reset", "hang", "403", "500", "503", "lost", "cut", "altered", "slow")
_CHUNK = 64 * 1024


class Proxy:
    """Listens on loopback with the store's own certificate; `fault` empty passes everything on."""

    def __init__(self, weed: Weed) -> None:
        self.fault = ""
        self.port = free_port()
        self._upstream = ("127.0.0.1", weed.ports["http"])
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(weed.ca_file, weed.directory / "key.pem")
        self._closed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()

    def settings(self, original: S3Repository, **changes: object) -> S3Repository:
        """The store as it is seen through here, with little patience."""
        own = {"endpoint": f"https://localhost:{self.port}", "attempts": 1, "connect_timeout": 2, "read_timeout": 2}
        return original.model_copy(update=own | changes)

    def close(self) -> None:
        self._closed.set()
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            if self.fault in ("refused", "reset"):
                # The kernel of a host without a listener answers with RST too; ours has to accept first.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            with self._tls.wrap_socket(connection, server_side=True) as client:
                self._exchange(client)

    def _exchange(self, client: ssl.SSLSocket) -> None:
        """One request, then the connection ends."""
        head = _head(client)
        fault = self.fault
        if fault == "hang":
            self._closed.wait(15)
            return
        if fault.isdigit():
            _refuse(client, int(fault))
            return
        with socket.create_connection(self._upstream) as upstream:
            upstream.sendall(_closing(head))
            sender = threading.Thread(target=_relay, args=(client, upstream), daemon=True)
            sender.start()
            if fault == "lost":
                while upstream.recv(_CHUNK):
                    pass
                return
            _answer(upstream, client, fault)


def _head(source: socket.socket) -> bytes:
    """A request or an answer up to the empty line, and what came with it."""
    head = b""
    while b"\r\n\r\n" not in head:
        received = source.recv(_CHUNK)
        if not received:
            raise ConnectionError("ended in the head")
        head += received
    return head


def _closing(head: bytes) -> bytes:
    """The same request, asking for a connection that ends after it."""
    first, rest = head.split(b"\r\n", 1)
    return first + b"\r\nConnection: close\r\n" + rest


def _answer(upstream: socket.socket, client: socket.socket, fault: str) -> None:
    head = _head(upstream)
    while head.startswith(b"HTTP/1.1 100"):
        client.sendall(head)
        head = _head(upstream)
    fields, _, body = head.partition(b"\r\n\r\n")
    while received := upstream.recv(_CHUNK):
        body += received
    if fault == "altered" and len(body) > 200:
        middle = len(body) // 2
        body = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
    if fault == "cut":
        body = body[: len(body) // 2]
    client.sendall(fields + b"\r\n\r\n")
    for start in range(0, len(body), _CHUNK):
        if fault == "slow":
            time.sleep(0.05)
        client.sendall(body[start : start + _CHUNK])


def _refuse(client: socket.socket, status: int) -> None:
    code = {403: "AccessDenied", 500: "InternalError", 503: "SlowDown"}[status]
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>as the test wants it</Message></Error>".encode()
    client.sendall(
        f"HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n".encode()
        + body
    )


def _relay(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError, ValueError):  # the latter where the other direction has closed it meanwhile
        while part := source.recv(_CHUNK):
            target.sendall(part)


@pytest.fixture
def proxy(weed: Weed) -> Iterator[Proxy]:
    made = Proxy(weed)
    yield made
    made.close()
