"""Redis under Sentinel: who gets in, what they may do, and that the topology is nobody's but the fleet's own."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from ops.errors import Unreachable
from ops.lab import drive

from .conftest import HOSTS, Fleet, wait_until

pytestmark = pytest.mark.lab

GROUP, SERVERS = "redis_cache", ("r1", "r2", "r3")
STATE = Path("/var/lib/ops-lab")
TLS = "--tls --cacert /etc/ops/pki/ca.crt --no-auth-warning"
IN_EFFECT = "Redis | Set in the running server what is declared"


def secrets() -> dict[str, str]:
    every = tomllib.loads((STATE / "secrets.toml").read_text())
    return {name: value for name, value in every.items() if name.startswith(f"{GROUP}_")}


def redis(user: str, server: str, command: str, *, port: int = 6379) -> str:
    """What a server answers to one of its users; the client is the host of another server."""
    client = next(host for host in SERVERS if host != server)
    script = f"read -r REDISCLI_AUTH; export REDISCLI_AUTH; redis-cli --user {user} {TLS} -h {server} -p {port}"
    outcome = drive.run(client, script, stdin=f"{secrets()[f'{GROUP}_{user}']}\n{command}\n")
    return (outcome.stdout + outcome.stderr).strip()


def master() -> str:
    """As an application finds it: by asking the Sentinels. Unreachable while they do not agree."""
    question = f"SENTINEL GET-MASTER-ADDR-BY-NAME {GROUP}"
    answers = {redis("application", server, question, port=26379).split()[0] for server in SERVERS}
    if len(answers) > 1:
        raise Unreachable(f"the Sentinels do not agree: {answers}")
    return answers.pop()


def formed() -> str:
    """The master, once every other server follows it in step."""
    leader = master()
    for server in SERVERS:
        info = redis("exporter", server, "INFO replication")
        if server == leader:
            assert "role:master" in info
            assert "connected_slaves:2" in info
        else:
            assert f"master_host:{leader}" in info
            assert "master_link_status:up" in info
    return leader


def wait_until_formed() -> str:
    def look() -> str:
        try:
            return formed()
        except AssertionError:
            return ""

    return wait_until("the group has one master, which all follow", look, deadline=120)


def wait_until_watched() -> None:
    """Each Sentinel has heard from both replicas of the new master. One that has not finds nobody to promote, and does
    not try again for two minutes.
    """

    def heard() -> list[int]:
        asked = f"redis-operator -p 26379 SENTINEL REPLICAS {GROUP}"
        return [drive.ask(server, asked).count("master-link-status\nok\n") for server in SERVERS]

    wait_until("the Sentinels know the replicas", heard, until=[2, 2, 2].__eq__)


def without_password(server: str, arguments: str) -> str:
    return drive.ask(server, f"timeout 10 redis-cli -h {server} {arguments} PING 2>&1 || true")


@pytest.mark.parametrize("port", [6379, 26379])
def test_nobody_comes_in_without_tls_or_without_a_name(fleet: Fleet, port: int) -> None:
    server = SERVERS[0]
    assert "NOAUTH" in without_password(server, f"-p {port} {TLS}")
    assert "WRONGPASS" in without_password(server, f"-p {port} {TLS} --user operator --pass guess")
    assert "PONG" not in without_password(server, f"-p {port}")
    old = drive.run(server, f"openssl s_client -connect {server}:{port} -tls1_2 </dev/null 2>&1")
    assert "alert protocol version" in old.stdout


def test_the_application_reads_and_writes_and_administers_nothing(fleet: Fleet) -> None:
    leader = wait_until_formed()
    assert redis("application", leader, "SET greeting hello") == "OK"
    assert redis("application", leader, "GET greeting") == "hello"
    commands = (
        "CONFIG GET maxmemory", "FLUSHALL", "FLUSHDB", "MODULE LIST", "SHUTDOWN", "ACL LIST", "KEYS *", "CLIENT LIST",
        "REPLICAOF NO ONE", "SAVE", "MONITOR",
    )  # fmt: skip
    answers = [line for line in redis("application", leader, "\n".join(commands)).splitlines() if line]
    assert len(answers) == len(commands)
    assert all(answer.startswith("NOPERM") for answer in answers), answers
    assert "NOPERM" in redis("application", leader, f"SENTINEL FAILOVER {GROUP}", port=26379)
    assert "NOPERM" in redis("exporter", leader, "GET greeting")
    assert "not allowed" in redis("operator", leader, "DEBUG SLEEP 0"), "switched off for everybody"
    assert "not allowed" in redis("operator", leader, "MODULE LOAD /x.so")


def test_what_is_declared_is_in_effect_on_every_server(fleet: Fleet) -> None:
    expected = {
        "port": "0",
        "maxmemory": str(512 * 1024**2),
        "maxmemory-policy": "allkeys-lru",
        "save": "900 1 300 10 60 10000",
        "tls-replication": "yes",
        "tls-protocols": "TLSv1.3",
        "protected-mode": "yes",
        "enable-debug-command": "no",
    }
    for server in SERVERS:
        assert drive.ask_json(server, f"redis-operator --json CONFIG GET {' '.join(expected)}") == expected


def test_replicas_come_over_tls_as_the_replication_user(fleet: Fleet) -> None:
    leader = wait_until_formed()
    replicas = drive.ask(leader, "redis-operator CLIENT LIST TYPE replica").splitlines()
    assert len(replicas) == 2
    assert all("user=replication" in line for line in replicas)
    listens = drive.ask(leader, "redis-operator --json CONFIG GET port tls-port tls-replication")
    assert json.loads(listens) == {"port": "0", "tls-port": "6379", "tls-replication": "yes"}


def test_what_somebody_changed_in_a_running_server_is_put_right_without_a_restart(fleet: Fleet) -> None:
    server = SERVERS[1]
    drive.ask(server, "redis-operator CONFIG SET maxmemory 1gb save 60 1; redis-operator CONFIG REWRITE")
    drive.ask(
        server, "redis-operator ACL SETUSER application +config; redis-operator ACL SETUSER guest on nopass +@all"
    )
    before = drive.start_times(HOSTS)
    assert fleet.deploy("--limit", "redis_cache").changes == {IN_EFFECT: [server]}
    assert drive.start_times(HOSTS) == before
    assert drive.ask(server, "redis-operator CONFIG GET maxmemory | tail -n 1") == str(512 * 1024**2)
    assert "NOPERM" in redis("application", server, "CONFIG GET maxmemory")
    assert drive.ask(server, "redis-operator ACL GETUSER guest") == ""


def test_after_failovers_a_deploy_changes_and_restarts_nothing(fleet: Fleet) -> None:
    first = wait_until_formed()
    redis("application", first, "SET kept yes")
    said = drive.ask(first, "redis-hand-over")
    second = wait_until_formed()
    assert second != first
    assert said == f"{second} is the master"
    wait_until_watched()
    drive.ask(second, "systemctl kill --signal KILL redis-server")
    wait_until("the Sentinels promote another server", master, until=lambda name: name != second)
    third = wait_until_formed()
    assert third != second
    assert redis("application", third, "GET kept") == "yes"
    before = drive.start_times(HOSTS)
    assert fleet.deploy("--limit", "redis_cache").changes == {}
    assert drive.start_times(HOSTS) == before
    assert formed() == third


def test_no_password_shows_in_a_process_list_or_a_journal(fleet: Fleet) -> None:
    assert len(secrets()) == 5
    for server in SERVERS:
        seen = drive.ask(server, "ps axeww -u root -u redis; journalctl --no-pager")
        assert "redis-server" in seen
        assert [name for name, value in secrets().items() if value in seen] == []
        modes = drive.ask(server, "stat -c '%a %n' /etc/redis/*.password /etc/redis/*.acl /var/lib/redis/*.conf")
        assert {line.split()[0] for line in modes.splitlines()} == {"400", "600"}
