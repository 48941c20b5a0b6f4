"""The way to a database: what clients are told, and which inventories are refused because there would be none."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from psycopg.conninfo import conninfo_to_dict

from ops.deploys.inventory import load
from ops.deploys.operations import render
from ops.deploys.routes import routes
from ops.errors import UsageError
from ops.model import routing
from ops.model.routing import Route

INVENTORIES = Path(__file__).parents[2] / "inventories"
ROUTE = Route(("lb1", "lb2"), "db", 5000, "pend_production", "pend_app", "/etc/ssl/pend ca.crt")


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A copy of the lab's inventory, to change."""
    folder = tmp_path / "lab"
    shutil.copytree(INVENTORIES / "lab", folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(UsageError) as caught:
        load(folder)
    return f"{caught.value.message}\n{caught.value.hint or ''}"


def test_libpq_reads_the_keywords_as_they_are_meant() -> None:
    read = conninfo_to_dict(routing.keywords(ROUTE))
    assert read["host"] == "lb1,lb2"
    assert read["port"] == "5000"
    assert (read["dbname"], read["user"]) == ("pend_production", "pend_app")
    assert read["sslmode"] == "verify-full"
    assert read["sslrootcert"] == "/etc/ssl/pend ca.crt"


def test_a_dead_connection_is_given_up_by_every_means_that_libpq_has() -> None:
    read = conninfo_to_dict(routing.keywords(ROUTE))
    timeouts = {"connect_timeout", "tcp_user_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count"}
    assert all(int(str(read[name])) > 0 for name in timeouts)


@pytest.mark.parametrize("value", ["it's", r"back\slash", "two words", ""])
def test_awkward_values_survive_the_keywords(value: str) -> None:
    route = Route(("lb1",), "lb1", 5000, "pend_production", "pend_app", value)
    assert conninfo_to_dict(routing.keywords(route)).get("sslrootcert", "") == value


def test_the_uri_says_what_the_keywords_say() -> None:
    parts = urlsplit(routing.uri(ROUTE))
    assert parts.netloc == "pend_app@lb1:5000,lb2:5000"
    keywords = conninfo_to_dict(routing.keywords(ROUTE))
    assert dict(parse_qsl(parts.query)).items() <= {name: str(value) for name, value in keywords.items()}.items()


def test_psycopg_prepares_nothing() -> None:
    assert routing.psycopg(ROUTE).endswith(", prepare_threshold=None)")


def test_node_postgres_gets_one_name_verified_tls_and_limits() -> None:
    text = routing.node_postgres(ROUTE)
    options = dict(re.findall(r"^  (\w+): (.+),$", text, re.MULTILINE))
    assert json.loads(options["host"]) == "db"
    assert "rejectUnauthorized" not in text, "node verifies unless it is told not to"
    assert int(options["connectionTimeoutMillis"]) > 0
    assert int(options["query_timeout"]) > 0
    assert options["keepAlive"] == "true"


def test_no_string_holds_a_password() -> None:
    styles = (routing.keywords, routing.uri, routing.psycopg, routing.node_postgres)
    assert not any("password" in style(ROUTE) for style in styles)


def test_the_owner_of_a_database_is_led_to_its_cluster() -> None:
    write, read = routes(load(INVENTORIES / "production"), "pend_analytics", ca_file="/ca.crt")
    assert write.routers == ("lb1.pend.example", "lb2.pend.example")
    assert (write.user, write.port, read.port) == ("pend_analytics_app", 5010, 5011)


@pytest.mark.parametrize(
    ("database", "user", "words"),
    [
        ("pend_prodction", None, "did you mean 'pend_production'?"),
        ("pend_production", "pend_ap", "no role 'pend_ap' that may log in"),
    ],
)
def test_a_way_that_nobody_declared_is_refused(database: str, user: str | None, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        routes(load(INVENTORIES / "production"), database, user=user, ca_file="/ca.crt")


def test_clashing_ports_of_a_router_are_refused(lab: Path) -> None:
    data = lab / "group_data" / "pg_analytics.py"
    data.write_text(data.read_text().replace("5011", "5000"))
    said = refusal(lab)
    assert "group_data/pg_analytics.py: routing.read_port is 5000, and so is write_port of pg_main" in said


def test_routers_without_a_cluster_are_refused(lab: Path) -> None:
    shutil.rmtree(lab / "group_data")
    (lab / "group_data").mkdir()
    shutil.copy(INVENTORIES / "lab" / "group_data" / "all.py", lab / "group_data")
    (lab / "hosts.py").write_text('router = ["lb1"]\n')
    assert "'router' has nothing to lead to" in refusal(lab)


def test_every_member_is_asked_who_leads_over_verified_tls() -> None:
    inventory = load(INVENTORIES / "production")
    text = render(
        "haproxy/haproxy.cfg.j2",
        router=inventory.router(),
        ca="/ca.crt",
        networks="10.20.0.0/24",
        stats_port=8404,
        metrics_port=8405,
        certificate="/router.crt",
        clusters=[
            {
                "name": "pg_main",
                "members": ("pg1", "pg2"),
                "routing": inventory.routing("pg_main"),
                "pooler_port": 6432,
                "api_port": 8008,
            }
        ],
    )
    servers = re.findall(r"^    server (\w+) (\S+) port (\d+) check-sni (\w+) verifyhost (\w+)$", text, re.MULTILINE)
    assert servers == [(name, f"{name}:6432", "8008", name, name) for name in ("pg1", "pg2")] * 2
    [defaults] = re.findall(r"default-server check .*", text)
    assert "check-ssl verify required ca-file /ca.crt" in defaults
    assert "on-marked-down shutdown-sessions" in defaults
    assert re.search(r"bind :8405 ssl crt /router.crt ssl-min-ver TLSv1.3 ca-file /ca.crt verify required$", text, re.M)
