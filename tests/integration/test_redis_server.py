"""A real redis-server with the files that a deploy would write: what is declared holds, whatever Redis rewrites."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from ops.deploys.inventory import load
from ops.deploys.operations import render
from ops.deploys.pki import Authority, host_leaf
from ops.deploys.redis_users import password, server_users
from ops.deploys.settings import Redis
from ops.deploys.site import Host
from ops.errors import OpsError
from ops.model.redis import RESTART_ONLY, differing, differing_users, parse_conf

from ..waiting import CLUSTER_BUS, free_port, wait_until

pytestmark = pytest.mark.integration

ADDRESS = IPv4Address("127.0.0.2")  # the templates also listen on 127.0.0.1
GROUP = "redis_cache"
MODES = {"standalone": 1, "sentinel": 3, "cluster": 6}


class Server:
    """A host in small: the declared file, the users, the file that Redis rewrites, and the server."""

    def __init__(self, folder: Path, mode: str) -> None:
        self.folder, self.this = folder, _host(folder, mode)
        self.settings = self.this.inventory.redis(GROUP)
        self._process: subprocess.Popen[bytes] | None = None
        material = Authority(folder / "pki", "test").issue(host_leaf("redis", "r1", ADDRESS, client=True))
        (folder / "redis.crt").write_text(material.certificate)
        (folder / "redis.key").write_text(material.key)
        secret = password(self.this, GROUP, "replication")
        (folder / "replication.conf").write_text(f"masteruser replication\nmasterauth {secret}\n")
        self.users = server_users(self.this, GROUP, self.settings)
        (folder / "users.acl").write_text("\n".join(self.users) + "\n")
        (folder / "redis.conf").write_text("# Redis rewrites this file.\n")
        (folder / "declared.conf").write_text(self._declared())
        self.declared = parse_conf(self._declared())

    def _declared(self) -> str:
        at = self.folder
        return render(
            "redis/declared.conf.j2", redis=self.settings, name="r1", address=str(ADDRESS), data_dir=at,
            certificate=at / "redis.crt", key=at / "redis.key", ca=at / "pki" / "ca.crt", users=at / "users.acl",
            replication=at / "replication.conf",
        )  # fmt: skip

    def start(self) -> None:
        own, declared = self.folder / "redis.conf", self.folder / "declared.conf"
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(["redis-server", own, "--include", declared], stdout=log, stderr=log)
        wait_until("it answers", lambda: self.ask("PING"), until=lambda answer: answer == "PONG")

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(timeout=20)

    def ask(self, *command: str, user: str = "operator") -> str:
        connection = ["-h", str(ADDRESS), "-p", str(self.settings.port), "--tls", "--cacert"]
        outcome = subprocess.run(
            ["redis-cli", "--user", user, "--no-auth-warning", *connection, self.folder / "pki" / "ca.crt", *command],
            env=os.environ | {"REDISCLI_AUTH": password(self.this, GROUP, user)},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        return outcome.stdout.strip()

    def ask_json(self, *command: str) -> Any:
        return json.loads(self.ask("--json", *command))


def _host(folder: Path, mode: str) -> Host:
    """The first host of an inventory with one group of that mode."""
    names = [f"r{number}" for number in range(1, MODES[mode] + 1)]
    data = folder / "inventory" / "group_data"
    data.mkdir(parents=True)
    (data.parent / "hosts.py").write_text(f"{GROUP} = {names!r}\n")
    secrets = {"source": "generated", "file": str(folder / "secrets.toml")}
    site = {"name": "test", "networks": ["127.0.0.0/8"], "pki": str(folder / "pki"), "secrets": secrets}
    repository = {"endpoint": "https://s3:8333", "bucket": "pend"}
    (data / "all.py").write_text(f"site = {site!r}\nrepository = {repository!r}\n")
    (data / f"{GROUP}.py").write_text(f"redis = {{'mode': {mode!r}, 'port': {free_port(beside=(CLUSTER_BUS,))}}}\n")
    return Host("r1", load(data.parent))


@contextmanager
def running(folder: Path, mode: str) -> Iterator[Server]:
    server = Server(folder, mode)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that is asked, and changed by nobody."""
    with running(tmp_path_factory.mktemp("redis"), "sentinel") as one:
        yield one


@pytest.mark.parametrize("mode", MODES)
def test_a_new_server_has_exactly_what_is_declared(tmp_path: Path, mode: str) -> None:
    with running(tmp_path, mode) as server:
        live = server.ask_json("CONFIG", "GET", *server.declared)
        assert differing(server.declared, live) == {}
        assert differing_users(server.users, server.ask_json("ACL", "LIST")) == {}


def test_what_is_declared_wins_over_what_redis_has_written(tmp_path: Path) -> None:
    with running(tmp_path, "sentinel") as server:
        for command in (
            ("CONFIG", "SET", "maxmemory", "1gb", "save", "60 1"),
            ("REPLICAOF", "r2", "6379"),
            ("CONFIG", "REWRITE"),
        ):
            assert server.ask(*command) == "OK"
        written = (tmp_path / "redis.conf").read_text()
        assert "maxmemory 1gb" in written
        server.stop()
        server.start()
        assert differing(server.declared, server.ask_json("CONFIG", "GET", *server.declared)) == {}
        assert "master_host:r2" in server.ask("INFO", "replication"), "whom it follows is Redis's own to keep"


def test_a_change_in_a_running_server_is_found_and_said(tmp_path: Path) -> None:
    with running(tmp_path, "sentinel") as server:
        server.ask("CONFIG", "SET", "maxmemory", "1gb")
        server.ask("ACL", "SETUSER", "application", "+config")
        server.ask("ACL", "SETUSER", "guest", "on", "nopass")
        live = server.ask_json("CONFIG", "GET", *server.declared)
        assert differing(server.declared, live) == {"maxmemory": str(1024**3)}
        users = differing_users(server.users, server.ask_json("ACL", "LIST"))
        assert set(users) == {"application", "guest"}
        assert users["guest"] == "is not declared"


def test_redis_takes_every_setting_while_it_runs_but_those_that_need_a_restart(tmp_path: Path) -> None:
    with running(tmp_path, "cluster") as server:
        refused = {name for name, value in server.declared.items() if server.ask("CONFIG", "SET", name, value) != "OK"}
    assert refused == RESTART_ONLY & server.declared.keys()
    assert "io-threads" in refused


@pytest.mark.parametrize(
    ("user", "command", "allowed"),
    [
        ("application", "SET key value", True),
        ("application", "EVAL return(1) 0", True),
        ("application", "INFO", True),
        ("application", "FLUSHALL", False),
        ("application", "CONFIG GET maxmemory", False),
        ("application", "DEBUG SLEEP 0", False),
        ("application", "KEYS *", False),
        ("application", "MODULE LIST", False),
        ("replication", "PSYNC ? -1", True),
        ("replication", "GET key", False),
        ("replication", "CONFIG GET masterauth", False),
        ("sentinel", "CONFIG REWRITE", True),
        ("sentinel", "CONFIG GET masterauth", False),
        ("sentinel", "GET key", False),
        ("exporter", "INFO", True),
        ("exporter", "CONFIG GET masterauth", False),
        ("exporter", "GET key", False),
        ("operator", "ACL LIST", True),
    ],
)
def test_a_user_may_do_what_it_is_for(server: Server, user: str, command: str, allowed: bool) -> None:
    answer = server.ask("ACL", "DRYRUN", user, *command.split())
    assert (answer == "OK") is allowed, answer


def test_code_cannot_be_switched_on_from_a_connection(server: Server) -> None:
    assert "not allowed" in server.ask("DEBUG", "SLEEP", "0")
    assert "not allowed" in server.ask("MODULE", "LOAD", "/tmp/x.so")
    assert "immutable" in server.ask("CONFIG", "SET", "enable-debug-command", "yes")
    assert "protected config" in server.ask("CONFIG", "SET", "dir", "/tmp")


def test_only_tls_1_3_gets_an_answer(server: Server) -> None:
    where = (str(ADDRESS), server.settings.port)
    with socket.create_connection(where, timeout=10) as plain:
        plain.sendall(b"PING\r\n")
        assert _received(plain) == b"", "without TLS the connection is closed"
    context = ssl.create_default_context(cafile=server.folder / "pki" / "ca.crt")
    with socket.create_connection(where, timeout=10) as raw, context.wrap_socket(raw, server_hostname="r1") as tls:
        assert tls.version() == "TLSv1.3"
        tls.sendall(b"PING\r\n")
        assert tls.recv(100).startswith(b"-NOAUTH")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(where, timeout=10) as raw, pytest.raises(ssl.SSLError):
        context.wrap_socket(raw, server_hostname="r1")


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(100)
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize("way", ["one user", "the whole file"])
def test_setting_one_user_cuts_nobody_off_where_loading_the_file_does(tmp_path: Path, way: str) -> None:
    """Why a deploy does not use ACL LOAD: Redis 7.0 ends every connection with it, the replicas' too."""
    with running(tmp_path, "sentinel") as server, _logged_in(server, "application") as ask:
        assert ask(b"PING") == b"+PONG"
        if way == "one user":
            line = next(line for line in server.users if line.startswith("user exporter "))
            server.ask("ACL", "SETUSER", "exporter", "reset", *line.split()[2:])
        else:
            server.ask("ACL", "LOAD")
        assert ask(b"PING") == (b"+PONG" if way == "one user" else b"")


@contextmanager
def _logged_in(server: Server, user: str) -> Iterator[Callable[[bytes], bytes]]:
    context = ssl.create_default_context(cafile=server.folder / "pki" / "ca.crt")
    raw = socket.create_connection((str(ADDRESS), server.settings.port), timeout=10)
    with context.wrap_socket(raw, server_hostname="r1") as connection:

        def ask(command: bytes) -> bytes:
            try:
                connection.sendall(command + b"\r\n")
                return connection.recv(200).strip()
            except OSError:
                return b""

        assert ask(f"AUTH {user} {password(server.this, GROUP, user)}".encode()) == b"+OK"
        yield ask


@pytest.mark.parametrize("bad", ['quo"te', "blank space", "back\\slash", "é"])
def test_a_password_that_sentinel_would_break_on_is_refused(tmp_path: Path, bad: str) -> None:
    this = _host(tmp_path, "sentinel")
    (tmp_path / "secrets.toml").write_text(f"{GROUP}_sentinel = '{bad}'\n")
    with pytest.raises(OpsError, match=f"{GROUP}_sentinel") as refusal:
        password(this, GROUP, "sentinel")
    assert bad not in str(refusal.value)


def test_the_defaults_are_those_of_the_seeds() -> None:
    settings = Redis()
    assert (settings.mode, settings.maxmemory, settings.maxmemory_policy) == ("sentinel", "512mb", "allkeys-lru")
    assert settings.save == "900 1 300 10 60 10000"
