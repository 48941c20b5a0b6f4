"""The Unix socket of the service: who may ask, one thread for each who does, and an orderly end."""

from __future__ import annotations

import fcntl
import os
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ops.errors import Unreachable, UsageError
from ops.wal.archiver.protocol import ALIVE, ALIVE_EVERY, LONGEST_REQUEST, Malformed, Reply, Request
from ops.wal.archiver.service import Service
from ops.wal.faults import reached

_PEER = struct.Struct("3i")  # struct ucred: pid, uid, gid
_PATIENCE = 5.0  # seconds for a client to say what it wants, or to take the answer


class _Connection(socketserver.BaseRequestHandler):
    """One request, one answer. While it is being worked out, the client hears once a second that we are alive."""

    server: Server
    request: socket.socket

    def handle(self) -> None:
        self.request.settimeout(_PATIENCE)
        if not self._may_ask():
            return
        with suppress(OSError):  # a client that is gone has no use for an answer
            try:
                request = Request.decode(self._received())
            except Malformed:
                reply = Reply(None)
            else:
                with self._signs_of_life() as gone:
                    reply = self.server.service.answer(request, gone.is_set)
            self.request.sendall(reply.encode())

    def _may_ask(self) -> bool:
        """Only root and our own user: who can reach the socket otherwise has been let into its directory."""
        _, user, _ = _PEER.unpack(self.request.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        return user in (0, os.geteuid())

    def _received(self) -> bytes:
        received = b""
        while part := self.request.recv(4096):
            received += part
            if len(received) > LONGEST_REQUEST:
                raise Malformed("too long")
        return received

    @contextmanager
    def _signs_of_life(self) -> Iterator[threading.Event]:
        """Sent until the context ends. The event tells that the client is gone."""
        gone, done = threading.Event(), threading.Event()

        def send() -> None:
            while not done.wait(ALIVE_EVERY):
                try:
                    self.request.sendall(ALIVE)
                except OSError:
                    gone.set()
                    return

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        try:
            yield gone
        finally:
            done.set()
            sender.join()


class Server(socketserver.ThreadingUnixStreamServer):
    """Listens until `stop`. Raises UsageError where another service does already."""

    daemon_threads = False  # `stop` waits for the answers to be given
    request_queue_size = 256

    def __init__(self, path: Path, service: Service) -> None:
        self.service = service
        self._path = path
        self._lock = _claim(path)
        path.unlink(missing_ok=True)  # of one that was killed: nobody else has the lock
        mask = os.umask(0o177)
        try:
            super().__init__(str(path), _Connection)
        finally:
            os.umask(mask)
        self._listener = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._listener.start()

    def stop(self) -> None:
        """No more requests; those that are being answered get their answers, if it takes no longer than pushes do."""
        self.shutdown()
        self._path.unlink(missing_ok=True)
        self.service.stop()
        self.server_close()
        os.close(self._lock)

    def finish_request(self, request: object, client_address: object) -> None:
        super().finish_request(request, client_address)  # type: ignore[arg-type]
        reached("push-answered")


@contextmanager
def serving(path: Path, service: Service) -> Iterator[None]:
    """Answers at `path` until the context ends; nothing is done that nobody asks for."""
    server = Server(path, service)
    try:
        yield
    finally:
        server.stop()


def run(path: Path, service: Service, stop: threading.Event) -> None:
    """Serve until `stop` is set."""
    with serving(path, service):
        service.run(stop)


def ask(path: Path, request: Request, *, patience: float = _PATIENCE) -> Reply:
    """The service's answer; Unreachable where there is none."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(patience)
            connection.connect(str(path))
            connection.sendall(request.encode())
            connection.shutdown(socket.SHUT_WR)
            received = b""
            while part := connection.recv(65536):
                received += part
        return Reply.decode(received)
    except (OSError, ValueError) as error:
        raise Unreachable(
            f"the archiver service does not answer at {path}",
            detail=str(error),
            hint="systemctl status ops-archiver. Until it runs, each segment is archived by a process of its own.",
        ) from error


def _claim(path: Path) -> int:
    """The lock that goes with the socket, held for as long as we live."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(
            f"cannot listen at {path}",
            detail=error.strerror,
            hint="systemd makes the directory; by hand, name another one in wal.socket of the configuration.",
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise UsageError(f"another archiver service listens at {path}") from None
    return handle
