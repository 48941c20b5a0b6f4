"""How a check asks: all at once, against the clock, and what is on the wire is what is looked at."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ops.deploys.pki import Authority, Leaf
from ops.errors import OpsError, Unreachable
from ops.readiness.ask import ask, trouble
from ops.readiness.certificates import Target, expiry
from ops.readiness.routers import parse, views


def test_who_hangs_is_named_and_the_others_have_answered() -> None:
    over = threading.Event()

    def answer() -> str:
        return "well"

    def hang() -> str:
        over.wait()
        return "too late"

    answers = ask({"pg1": answer, "pg2": hang, "pg3": answer})
    over.set()
    assert (answers["pg1"], answers["pg3"]) == ("well", "well")
    late = answers["pg2"]
    assert isinstance(late, Unreachable)
    assert "no answer within" in trouble(late)


def test_an_error_of_ours_is_an_answer_and_a_mistake_is_raised() -> None:
    def refuse() -> str:
        raise Unreachable("refused", detail="by the server\nand more")

    def err() -> str:
        raise KeyError("a mistake")

    refused = ask({"pg1": refuse})["pg1"]
    assert isinstance(refused, OpsError)
    assert trouble(refused) == "refused: by the server"
    with pytest.raises(KeyError):
        ask({"pg1": err})


def test_a_router_leads_to_the_servers_that_are_up() -> None:
    lines = [
        f'haproxy_server_status{{proxy="pg_main_{backend}",server="{server}",state="{state}"}} {int(state == now)}'
        for backend, server, now in (
            ("primary", "pg1", "UP"), ("primary", "pg2", "DOWN"), ("replicas", "pg1", "DOWN"),
            ("replicas", "pg2", "UP"), ("replicas", "pg3", "UP"),
        )
        for state in ("DOWN", "UP", "MAINT", "DRAIN", "NOLB")
    ]  # fmt: skip
    found = parse("# TYPE haproxy_server_status gauge\n" + "\n".join(lines) + "\n")
    [view] = views("pg_main", [("lb1", found)])
    assert (view.writes, view.reads) == (("pg1",), ("pg2", "pg3"))


def test_a_router_that_leads_nowhere_is_not_one_that_did_not_answer() -> None:
    nowhere, silent = views("pg_main", [("lb1", {}), ("lb2", Unreachable("timed out"))])
    assert (nowhere.writes, nowhere.reads) == ((), ())
    assert (silent.writes, silent.reads, silent.trouble) == (None, None, "timed out")


@contextmanager
def listening(folder: Path, *, negotiated: bool) -> Iterator[int]:
    """A server that shows a certificate, after PostgreSQL's question where `negotiated`, to one client; its port."""
    material = Authority(folder, "test").issue(Leaf("a", "a", dns=("localhost",), server=True))
    (folder / "cert.pem").write_text(material.certificate + material.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem")
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            if negotiated:
                assert len(connection.recv(8)) == 8
                connection.sendall(b"S")
            with context.wrap_socket(connection, server_side=True) as wrapped:
                wrapped.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    yield server.getsockname()[1]
    thread.join()
    server.close()


@pytest.mark.parametrize("negotiated", [False, True])
def test_a_certificate_is_read_as_it_is_shown_whoever_signed_it(tmp_path: Path, *, negotiated: bool) -> None:
    with listening(tmp_path, negotiated=negotiated) as port:
        found = expiry(Target("postgresql", "127.0.0.1", port, negotiated=negotiated))
    assert timedelta(days=89) < found - datetime.now(UTC) < timedelta(days=91)


def test_where_nobody_listens_there_is_no_certificate() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Unreachable, match="refused"):
        expiry(Target("patroni", "127.0.0.1", port))
