"""Tells over TLS 1.3: metrics to whom our CA has certified, the status page to who logs in, health to anybody.

Strangers cost little: a connection has seconds to say what it wants, a request is short and has no body, and there are
no more connections at once than `_MOST`. Who comes then waits in the kernel's queue.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import io
import json
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn

from prometheus_client.exposition import CONTENT_TYPE_LATEST

from ops.errors import UsageError
from ops.exporter.files import Fresh
from ops.exporter.scrape import Exporter
from ops.model import login

_MOST = 32
_LONGEST = 16384  # bytes of a request with its headers
_END = b"\r\n\r\n"
_PATIENCE = 5.0  # seconds for the handshake and the request
_LOOK = 0.5  # seconds between two looks at who has had enough time
_ANSWER = 15.0  # seconds more until who reads slowly is cut off
# The page is one file that fetches nothing, and is nobody else's to frame.
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True)
class Endpoint:
    """Where to listen and whom to let in; `logins` is the file of those who may see the status page."""

    address: str
    port: int
    certificate: Path
    key: Path
    client_ca: Path
    logins: Path | None = None


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    status: HTTPStatus
    body: bytes
    type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


class Door:
    """Who may see the status page. A password that was right is known again at once, by a digest under our own key."""

    def __init__(self, file: Path, report: Callable[[str], None]) -> None:
        self._users = Fresh((file,), lambda: login.parse(file.read_text()), report)
        self._secret = secrets.token_bytes(32)
        self._admitted: dict[str, tuple[str, bytes]] = {}
        self._one_at_a_time = threading.Lock()  # guesses cost us 16 MiB and a twentieth of a second each

    def admits(self, header: str | None) -> bool:
        """Whether the Authorization header is that of somebody in the file."""
        user, password = _credentials(header)
        if not user:
            return False
        users = self._users()
        digest = hmac.digest(self._secret, f"{user}:{password}".encode(), hashlib.sha256)
        kept, known = self._admitted.get(user, ("", b""))
        if kept and kept == users.get(user) and hmac.compare_digest(digest, known):
            return True
        with self._one_at_a_time:
            admitted = login.admits(users, user, password)
        if admitted:
            self._admitted[user] = (users[user], digest)
        return admitted


def _credentials(header: str | None) -> tuple[str, str]:
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password


class Handler(BaseHTTPRequestHandler):
    """One request, and then the connection ends: a scrape every 15 seconds gains nothing by keeping it."""

    server: Server
    server_version = "pend-ops"
    sys_version = ""
    timeout = _PATIENCE

    def setup(self) -> None:
        """The request has to be whole, and short, before anything is made of it."""
        super().setup()
        head = b""
        while _END not in head and len(head) < _LONGEST and (part := self.request.recv(4096)):
            head += part
        self.rfile = io.BytesIO(head if _END in head else b"")

    def do_GET(self) -> None:
        answer = self.server.answer(
            self.path.partition("?")[0], self._is_certified(), self.headers.get("Authorization")
        )
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def _is_certified(self) -> bool:
        assert isinstance(self.request, ssl.SSLSocket)
        return bool(self.request.getpeercert())  # verified in the handshake: another CA's never gets here

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the base class's
        """Nothing: Prometheus comes four times a minute."""


class Server(ThreadingMixIn, TCPServer):
    """Listens from its making until `close`. `page` makes the status page; without it there is none."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        endpoint: Endpoint,
        exporter: Exporter,
        page: Callable[[], str] | None,
        report: Callable[[str], None],
    ) -> None:
        self._exporter, self._page, self._report = exporter, page, report
        self._open: dict[socket.socket, float] = {}  # connections, and until when they have time
        self._places = threading.BoundedSemaphore(_MOST)
        self.address_family = socket.AF_INET6 if ":" in endpoint.address else socket.AF_INET
        try:
            material = (endpoint.certificate, endpoint.key, endpoint.client_ca)
            self._tls = Fresh(material, lambda: _context(endpoint), report)
            self._door = Door(endpoint.logins, report) if endpoint.logins else None
            super().__init__((endpoint.address, endpoint.port), Handler)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"cannot listen on {endpoint.address}:{endpoint.port}",
                detail=str(error),
                hint="See that the port is free, and that certificate, key, CA and login file are there and readable.",
            ) from error

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        while not self._places.acquire(timeout=_LOOK):
            self.service_actions()
        self._open[request] = time.monotonic() + _PATIENCE + _ANSWER
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """Every half second: cut off who has had enough time, whatever single bytes still come."""
        now = time.monotonic()
        for line, until in list(self._open.items()):
            if now > until:
                with suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)

    def process_request_thread(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        """On a thread of its own: the handshake too, so that nobody waits for a stranger's."""
        line: socket.socket = request
        try:
            request.settimeout(_PATIENCE)
            line = self._tls().wrap_socket(request, server_side=True)
            self._open[line] = self._open.pop(request)
            Handler(line, client_address, self)
        except OSError:
            pass  # a port scan, a certificate of another CA, a client that is gone: theirs to wonder about
        finally:
            self._open.pop(request, None)
            self._open.pop(line, None)
            self.shutdown_request(line)
            self._places.release()

    def answer(self, path: str, certified: bool, authorization: str | None) -> Answer:
        """The answer to a GET of `path`."""
        match path:
            case "/metrics":
                if not certified:
                    return Answer(HTTPStatus.FORBIDDEN, b"metrics are for who shows a certificate of our CA\n")
                return Answer(HTTPStatus.OK, self._exporter.page(), CONTENT_TYPE_LATEST)
            case "/healthz":
                return _told(*self._exporter.health())
            case "/readyz":
                return _told(*self._exporter.readiness())
            case "/" if self._page and self._door:
                return self._status(self._page, self._door, authorization)
            case _:
                return Answer(HTTPStatus.NOT_FOUND, b"there are /metrics, /healthz and /readyz\n")

    def _status(self, page: Callable[[], str], door: Door, authorization: str | None) -> Answer:
        if not door.admits(authorization):
            if authorization:
                self._report("a login to the status page was refused")
            ask = ("WWW-Authenticate", 'Basic realm="status", charset="UTF-8"')
            return Answer(HTTPStatus.UNAUTHORIZED, b"log in\n", headers=(ask,))
        return Answer(HTTPStatus.OK, page().encode(), "text/html; charset=utf-8", tuple(_PAGE_HEADERS.items()))


def _context(endpoint: Endpoint) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(endpoint.certificate, endpoint.key)
    context.load_verify_locations(endpoint.client_ca)
    context.verify_mode = ssl.CERT_OPTIONAL  # who shows none sees health, and the page after a login
    return context


def _told(well: bool, document: dict[str, object]) -> Answer:
    status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    return Answer(status, (json.dumps(document, indent=2) + "\n").encode(), "application/json")
