"""A database host as the deploy makes it for the exporter: TLS, the role `monitor`, PgBouncer; and who scrapes it."""

from __future__ import annotations

import http.client
import re
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ops.deploys.operations import render
from ops.deploys.pki import Authority, Leaf, Material, host_leaf

from ..waiting import free_port, wait_until
from .fix_archiver import Archiver
from .fix_postgres import OPS, USER, Host, as_postgres

LOOPBACK = "127.0.0.1"
PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    text: str
    headers: dict[str, str] = field(default_factory=dict)


class Page:
    """A page of metrics: values by name and labels."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        self.names = {sample.name for sample in self.samples}

    def value(self, name: str, **labels: str) -> float | None:
        """The one value of that name with at least these labels, None where there is none."""
        found = [one.value for one in self.samples if one.name == name and labels.items() <= one.labels.items()]
        assert len(found) <= 1, f"{name} {labels}: {found}"
        return found[0] if found else None

    def succeeded(self, collector: str) -> float | None:
        return self.value("ops_collector_success", collector=collector)


class Client:
    """Who asks an exporter, with a certificate or without."""

    def __init__(self, port: int, ca: Path, identity: tuple[Path, Path] | None) -> None:
        self._port = port
        self.context = ssl.create_default_context(cafile=str(ca))
        if identity:
            self.context.load_cert_chain(*identity)

    def get(self, path: str, *, timeout: float = 20, **headers: str) -> Reply:
        connection = http.client.HTTPSConnection("localhost", self._port, context=self.context, timeout=timeout)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return Reply(answer.status, answer.read().decode(), dict(answer.getheaders()))
        finally:
            connection.close()

    def page(self) -> Page:
        """A scrape, which has to succeed."""
        reply = self.get("/metrics")
        assert reply.status == 200, reply
        return Page(reply.text)


class Site:
    """A certificate authority and what it has issued, in files of PostgreSQL's user."""

    def __init__(self, base: Path) -> None:
        self.base = base
        base.mkdir()
        shutil.chown(base, USER, USER)
        self._authority = Authority(base / "authority", "test")
        self.ca = self._write("ca.crt", self._authority.ca)
        self.server = self.issue(host_leaf("server", "localhost", IPv4Address(LOOPBACK), client=True))
        self.monitor = self.issue(Leaf("monitor", "monitor", client=True))
        self.prometheus = self.issue(Leaf("prometheus", "prometheus", client=True))

    def issue(self, leaf: Leaf) -> tuple[Path, Path]:
        return self.write(leaf.name, self._authority.issue(leaf))

    def write(self, name: str, material: Material) -> tuple[Path, Path]:
        """Its certificate and key as files."""
        return self._write(f"{name}.crt", material.certificate), self._write(f"{name}.key", material.key)

    def _write(self, name: str, text: str) -> Path:
        path = self.base / name
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(text)
        shutil.chown(path, USER, USER)
        return path


class Exporter:
    """`ops exporter`, run as the service runs it."""

    def __init__(self, site: Site, base: Path, environment: dict[str, str], *arguments: str | Path) -> None:
        self.port = free_port()
        self.site = site
        self._log = base / f"exporter-{self.port}.log"
        certificate, key = site.server
        command = [
            OPS,
            "exporter",
            *arguments,
            "--listen",
            f"{LOOPBACK}:{self.port}",
            "--cert",
            certificate,
            "--key",
            key,
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                as_postgres([*command, "--client-ca", site.ca]),
                cwd="/", env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **environment}, stdout=log, stderr=log,
            )  # fmt: skip
        self.prometheus = Client(self.port, site.ca, site.prometheus)
        self.anybody = Client(self.port, site.ca, None)
        wait_until("the exporter listens", lambda: "listening" in self.log())

    @property
    def pid(self) -> int:
        return self._process.pid

    def log(self) -> str:
        assert self._process.poll() is None, self._log.read_text()
        return self._log.read_text()

    def wait_until_all_was_read(self) -> Page:
        """The first page with what is read in the background too."""
        wait_until("all was read", lambda: "not read yet" not in self.anybody.get("/readyz").text)
        return self.prometheus.page()

    def stop(self) -> int:
        """SIGTERM, if it runs; its exit code."""
        self._process.terminate()
        return self._process.wait(timeout=20)


class Watched:
    """A host with what there is to tell of it."""

    def __init__(self, host: Host, archiver: Archiver, site: Site) -> None:
        self.host, self.archiver, self.site = host, archiver, site
        self.pooler_port = free_port()
        self._pooler: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """A database with TLS and the role, that archives to a folder; started."""
        certificate, key = self.site.server
        self.host.initdb()
        self.host.listen = LOOPBACK
        self.host.configure(
            ssl="on", ssl_cert_file=certificate, ssl_key_file=key, ssl_ca_file=self.site.ca,
            shared_preload_libraries="pg_stat_statements", max_connections=30, track_commit_timestamp="on",
        )  # fmt: skip
        self.host.write(
            self.host.data_dir / "pg_hba.conf",
            "local all all trust\nlocal replication all trust\n"
            f"hostssl all monitor {LOOPBACK}/32 cert\nhostssl app app {LOOPBACK}/32 trust\nhost all all all reject\n",
        )
        self.host.archive()
        self.host.write_config(self.host.folder(), wal=self.archiver.settings())
        self.host.start()
        self.archiver.start()
        self.host.sql("CREATE ROLE monitor LOGIN IN ROLE pg_monitor")
        self.host.sql("CREATE EXTENSION pg_stat_statements")
        self.host.sql("CREATE ROLE app LOGIN")
        self.host.sql("CREATE DATABASE app OWNER app")
        self.host.sql((PROJECT / "sql" / "extensions" / "pend_monitor--1.0.sql").read_text(), "app")
        self.write_fleet()

    def write_fleet(self, name: str = "pg1", other: str = "pg2") -> None:
        """As the deploy writes it; `other` is a member that is nowhere."""
        certificate, key = self.site.monitor
        self.host.write(
            self.host.base / "fleet.toml",
            f"""
site = "test"
[identity]
ca_file = "{self.site.ca}"
cert_file = "{certificate}"
key_file = "{key}"
[clusters.main]
config = "{self.host.config_file}"
databases = ["app"]
timescaledb = true
schedules = {{ backup = "daily" }}
[clusters.main.members]
{name} = {{ address = "localhost", port = {self.host.port}, pooler_port = {self.pooler_port} }}
{other} = {{ address = "localhost", port = 1, pooler_port = 1 }}
""",
        )

    @property
    def environment(self) -> dict[str, str]:
        return {"OPS_CONFIG": str(self.host.config_file), "OPS_FLEET": str(self.host.base / "fleet.toml")}

    def sessions_of_ours(self) -> int:
        return int(self.host.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ops exporter'"))

    def start_pooler(self) -> None:
        """PgBouncer, from the templates of the deploy."""
        certificate, key = self.site.server
        folder = self.host.base / "pgbouncer"
        folder.mkdir(exist_ok=True)
        shutil.chown(folder, USER, USER)
        pooler = SimpleNamespace(
            port=self.pooler_port, max_pool=5, min_pool=0, max_clients=50, idle=60, acquire=10, connect=5
        )
        here = {name: folder / name for name in ("listen.ini", "pgbouncer.ini", "hba.conf", "userlist.txt")}
        known = {
            "address": LOOPBACK, "pooler": pooler, "socket_dir": folder, "console": USER, "monitor": "monitor",
            "networks": [f"{LOOPBACK}/32"], "databases": ["app"], "roles": ["app"], "port": self.host.port,
            "account": "app", "certificate": certificate, "key": key, "ca": self.site.ca,
            "listen": here["listen.ini"], "hba": here["hba.conf"], "users": here["userlist.txt"],
        }  # fmt: skip
        for name, path in here.items():
            self.host.write(path, render(f"pgbouncer/{name}.j2", **known))
        with (folder / "userlist.txt").open("a") as users:
            users.write('"app" "not a secret"\n')
        command = as_postgres(["/usr/sbin/pgbouncer", here["pgbouncer.ini"]])
        with (folder / "log").open("ab") as log:
            self._pooler = subprocess.Popen(command, cwd="/", stdout=log, stderr=log)
        wait_until("PgBouncer is up", lambda: "process up" in self.pooler_log())

    def pooler_log(self) -> str:
        assert self._pooler is not None
        text = (self.host.base / "pgbouncer" / "log").read_text()
        assert self._pooler.poll() is None, text
        return text

    def stop_pooler(self) -> None:
        if self._pooler is not None:
            self._pooler.terminate()
            self._pooler.wait(timeout=20)
            self._pooler = None


@contextmanager
def exporting(watched: Watched, *arguments: str | Path) -> Iterator[Exporter]:
    """`ops exporter …` beside that host."""
    exporter = Exporter(watched.site, watched.host.base, watched.environment, *arguments)
    try:
        yield exporter
    finally:
        exporter.stop()


def promtool(page: str) -> str:
    """What `promtool check metrics` has to say: nothing, where all is well."""
    run = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    return run.stdout + run.stderr if run.returncode or run.stderr else ""


def documented() -> set[str]:
    """The names of all metrics in docs/metrics.md."""
    return set(re.findall(r"^\| `(ops_\w+)`", (PROJECT / "docs" / "metrics.md").read_text(), re.MULTILINE))


@pytest.fixture(scope="module")
def watched(module_hosts: Callable[[str], Host]) -> Iterator[Watched]:
    host = module_hosts("pg1")
    made = Watched(host, Archiver(host), Site(host.base / "site"))
    made.prepare()
    made.start_pooler()
    try:
        yield made
    finally:
        made.stop_pooler()
        made.archiver.stop()


@pytest.fixture(scope="module")
def exporter(watched: Watched) -> Iterator[Exporter]:
    with exporting(watched, "host", "--name", "pg1") as running:
        yield running
