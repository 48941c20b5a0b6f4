"""Whom an exporter talks to: TLS 1.3, certificates of our CA for metrics, logins for the page, and nobody for long."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509

from ops.deploys.pki import Authority, Leaf, host_leaf
from ops.errors import UsageError
from ops.exporter import server as serving
from ops.exporter.build import exporter
from ops.exporter.metric import Collector, gauge
from ops.exporter.server import Endpoint, Server
from ops.model import login

from ..waiting import free_port, wait_until
from .fix_exporter import LOOPBACK, Client, Site

pytestmark = pytest.mark.integration

LEVEL = gauge("ops_level_bytes", "How full it is.")


class Running:
    """A server of one collector, with a status page for `anna`."""

    def __init__(self, base: Path) -> None:
        self.site, self.said = Site(base / "site"), list[str]()
        self.logins = base / "logins"
        self.logins.write_text(f"anna:{login.verifier('right', b'salt')}\n")
        certificate, key = self.site.server
        self.endpoint = Endpoint(LOOPBACK, free_port(), certificate, key, self.site.ca, self.logins)
        collector = Collector[object]("tank", (LEVEL,), lambda _: [LEVEL(1)])
        self.source = exporter("fleet", (collector,), {"": {"": object()}}, self.said.append)
        self.server = Server(self.endpoint, self.source, lambda: "<p>all is well</p>", self.said.append)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def client(self, identity: tuple[Path, Path] | None = None) -> Client:
        return Client(self.endpoint.port, self.site.ca, identity)

    def connect(self) -> socket.socket:
        return socket.create_connection((LOOPBACK, self.endpoint.port), timeout=20)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def running(workspace: Path) -> Iterator[Running]:
    with closing(Running(workspace)) as made:
        yield made


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_metrics_are_for_a_certificate_of_our_ca(running: Running) -> None:
    reply = running.client(running.site.prometheus).get("/metrics")
    assert reply.status == 200
    assert "ops_level_bytes 1.0" in reply.text


def test_without_a_certificate_there_are_no_metrics_whoever_logs_in(running: Running) -> None:
    assert running.client().get("/metrics").status == 403
    assert running.client().get("/metrics", Authorization=basic("anna", "right")).status == 403


def test_a_certificate_of_another_ca_is_refused(running: Running, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other", "other").issue(Leaf("prometheus", "prometheus", client=True))
    client = running.client(running.site.write("other", other))
    with pytest.raises((ssl.SSLError, ConnectionError)):  # by then the client may have said more than is read
        client.get("/healthz")


def test_a_certificate_that_is_good_for_servers_alone_is_refused(running: Running) -> None:
    client = running.client(running.site.issue(host_leaf("only-server", "localhost", IPv4Address(LOOPBACK))))
    with pytest.raises(ssl.SSLError):
        client.get("/metrics")


def test_nothing_older_than_tls_1_3_is_spoken(running: Running) -> None:
    client = running.client(running.site.prometheus)
    client.context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        client.get("/metrics")


def test_health_is_told_to_anybody_and_says_why(running: Running) -> None:
    assert json.loads(running.client().get("/healthz").text) == {"healthy": True, "stuck": []}
    reply = running.client().get("/readyz")
    assert (reply.status, json.loads(reply.text)) == (503, {"ready": False, "collectors": {"tank": "not read yet"}})
    running.source.page()
    assert running.client().get("/readyz").status == 200


def test_the_page_is_for_who_logs_in(running: Running) -> None:
    client = running.client()
    reply = client.get("/")
    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"].startswith("Basic ")
    assert client.get("/", Authorization=basic("anna", "wrong")).status == 401
    assert client.get("/", Authorization=basic("berta", "right")).status == 401
    assert client.get("/", Authorization="Basic not-base64!").status == 401
    assert client.get("/", Authorization="Bearer right").status == 401
    for _ in range(2):  # the second time by what is remembered of the first
        reply = client.get("/", Authorization=basic("anna", "right"))
        assert (reply.status, reply.text) == (200, "<p>all is well</p>")
        assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert client.get("/", Authorization=basic("anna", "wrong")).status == 401
    assert "a login to the status page was refused" in running.said


def test_a_certificate_is_no_login(running: Running) -> None:
    assert running.client(running.site.prometheus).get("/").status == 401


def test_who_is_taken_out_of_the_file_is_not_let_in_any_more(running: Running) -> None:
    client = running.client()
    assert client.get("/", Authorization=basic("anna", "right")).status == 200
    running.logins.write_text(f"anna:{login.verifier('another', b'salt')}\n")
    assert client.get("/", Authorization=basic("anna", "right")).status == 401
    assert client.get("/", Authorization=basic("anna", "another")).status == 200
    running.logins.write_text("")
    assert client.get("/", Authorization=basic("anna", "another")).status == 401


def test_there_is_nothing_else(running: Running) -> None:
    client = running.client(running.site.prometheus)
    assert client.get("/etc/passwd").status == 404
    assert client.get("/metrics?name[]=x").status == 200


def test_a_renewed_certificate_is_shown_without_a_restart(running: Running, tmp_path: Path) -> None:
    def shown() -> int:
        with running.client().context.wrap_socket(running.connect(), server_hostname="localhost") as line:
            certificate = line.getpeercert(binary_form=True)
        assert certificate
        return x509.load_der_x509_certificate(certificate).serial_number

    before = shown()
    certificate, key = running.site.server
    os.utime(key)  # a change that leaves everything as it was
    assert shown() == before
    whole = key.read_text()
    key.write_text("half writ")
    assert shown() == before, "what there was is kept"
    key.write_text(whole)
    renewed = running.site.issue(host_leaf("renewed", "localhost", IPv4Address(LOOPBACK)))
    for new, old in zip(renewed, (certificate, key), strict=True):
        new.replace(old)
    assert shown() != before


def test_a_request_that_is_too_long_or_never_ends_gets_no_answer(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "_PATIENCE", 0.3)
    for request in (b"GET /" + b"x" * 20_000, b"GET /healthz HTTP/1.1\r\n"):
        with running.client().context.wrap_socket(running.connect(), server_hostname="localhost") as line:
            line.sendall(request)
            assert line.recv(100) == b""
    assert running.client().get("/healthz").status == 200


def test_who_sends_a_byte_now_and_then_is_cut_off(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_ANSWER", -4.5)  # half a second in all, though each byte comes in time
    with running.client().context.wrap_socket(running.connect(), server_hostname="localhost") as line:

        def cut() -> bool:
            try:
                line.sendall(b"x")
            except OSError:
                return True
            return False

        wait_until("it is cut off", cut, pause=0.2)


def test_silent_strangers_do_not_keep_prometheus_out(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_PATIENCE", 0.5)
    strangers = [running.connect() for _ in range(100)]
    try:
        assert running.client(running.site.prometheus).get("/metrics").status == 200
        assert sum(thread.name.startswith("Thread") for thread in threading.enumerate()) < 60
    finally:
        for stranger in strangers:
            stranger.close()


def test_a_port_that_is_taken_and_a_file_that_is_not_there_are_usage_errors(running: Running) -> None:
    with pytest.raises(UsageError, match=str(running.endpoint.port)):
        Server(running.endpoint, running.source, None, print)
    with pytest.raises(UsageError) as caught:
        Server(replace(running.endpoint, key=Path("/nowhere")), running.source, None, print)
    assert "/nowhere" in str(caught.value.detail)
