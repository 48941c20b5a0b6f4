"""The deploy: what it makes of bare hosts, and that it makes it once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ops.lab import drive, faults
from ops.lab.drive import CHECKOUT

from .conftest import HOSTS, MEMBERS, Fleet, wait_until

pytestmark = pytest.mark.lab


def pyinfra(inventory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [f"{Path(sys.executable).parent}/pyinfra", "-y", *arguments, str(inventory), "deploy.py"]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=300)


def test_the_cluster_is_quorum_synchronous_and_healthy(fleet: Fleet) -> None:
    def roles() -> list[str]:
        document = drive.ask_json(fleet.leader(), "ops cluster show --json")
        return sorted(member["role"] for member in document["members"])

    expected = ["leader", "quorum_standby", "quorum_standby"]
    wait_until("two quorum standbys", roles, until=lambda found: found == expected)
    assert drive.sql(fleet.leader(), "SHOW synchronous_standby_names").startswith("ANY 1")


@pytest.fixture(scope="module")
def settings(fleet: Fleet) -> dict[str, dict[str, str]]:
    """Member -> setting -> its value, as SHOW has it."""
    every = "SELECT name, current_setting(name) FROM pg_settings"
    rows = {member: drive.sql(member, every).splitlines() for member in MEMBERS}
    return {member: dict(row.split("|", 1) for row in found) for member, found in rows.items()}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("server_version_num", "15"),
        ("data_checksums", "on"),
        ("wal_log_hints", "on"),
        ("ssl_min_protocol_version", "TLSv1.3"),
        ("password_encryption", "scram-sha-256"),
        ("max_connections", "100"),
        ("work_mem", "4MB"),
        ("maintenance_work_mem", "64MB"),
        ("wal_buffers", "16MB"),
        ("shared_buffers", "256MB"),
        ("checkpoint_completion_target", "0.9"),
        ("archive_timeout", "1min"),
        ("track_commit_timestamp", "on"),
    ],
)
def test_every_member_has_the_required_setting(settings: dict[str, dict[str, str]], setting: str, value: str) -> None:
    for member in MEMBERS:
        assert settings[member][setting].startswith(value)


def test_the_required_extensions_are_there(fleet: Fleet) -> None:
    found = drive.sql(fleet.leader(), "SELECT extname FROM pg_extension", "pend_production").split()
    assert {"uuid-ossp", "pgcrypto", "pg_trgm", "btree_gin", "amcheck"} <= set(found)


def test_the_database_of_the_application_is_what_its_migrations_make(fleet: Fleet) -> None:
    leader = fleet.leader()
    standing = drive.ask_json(leader, "ops db status --json")["migrations"]
    names = [file.stem for file in sorted((CHECKOUT / "sql/app").glob("*.sql")) if not file.stem.endswith(".rollback")]
    assert {one["name"]: one["state"] for one in standing} == dict.fromkeys(names, "applied")
    assert drive.ask_json(leader, "ops db validate --json")["differences"] == []
    pending = [drive.ask_json(member, "ops db migrate --check --json")["pending"] for member in MEMBERS]
    assert pending == [[], [], []]


def test_the_application_is_a_member_of_its_group_and_owns_nothing(fleet: Fleet) -> None:
    member = (
        "SELECT pg_has_role('pend_app', 'app_user', 'MEMBER'), rolcanlogin FROM pg_roles WHERE rolname = 'app_user'"
    )
    assert drive.sql(fleet.leader(), member) == "t|f"
    may_create = "SELECT has_schema_privilege('pend_app', 'public', 'CREATE')"
    assert drive.sql(fleet.leader(), may_create, "pend_production") == "f"


def test_every_member_has_the_timers_of_the_database_and_the_leader_does_what_writes_to_it(fleet: Fleet) -> None:
    leader = fleet.leader()
    wanted = {"refresh", "partitions", "audit"}
    for member in MEMBERS:
        found = drive.ask_json(member, "ops backup schedule --json")
        assert found["leader"] == leader
        assert wanted <= {one["job"] for one in found["timers"] if one["active"]}
        assert drive.ask(member, "ops backup schedule run refresh").strip() == "" or member == leader


def test_replication_uses_certificates_and_tls_1_3(fleet: Fleet) -> None:
    rows = drive.sql(
        fleet.leader(),
        "SELECT usename, ssl.version, client_dn FROM pg_stat_replication JOIN pg_stat_ssl ssl USING (pid)",
    ).splitlines()
    assert rows == ["replicator|TLSv1.3|/CN=replicator"] * 2


def test_nobody_comes_in_without_tls_or_by_another_way(fleet: Fleet) -> None:
    leader = fleet.leader()
    password = drive.ask(leader, "cat /etc/ops/secrets/role_pend_app")
    url = f"host={leader} dbname=pend_production user=pend_app"

    def attempt(
        options: str, command: str = "select ssl, version from pg_stat_ssl where pid = pg_backend_pid()"
    ) -> str:
        script = f"PGPASSWORD='{password}' psql -XAt \"{url} {options}\" -c '{command}' 2>&1"
        return drive.run("drill1", script).stdout.strip()

    assert attempt("sslmode=verify-full sslrootcert=/etc/ops/pki/ca.crt") == "t|TLSv1.3"
    assert "no encryption" in attempt("sslmode=disable")
    assert "rejects connection" in attempt("sslmode=require dbname=postgres")
    assert "rejects connection" in attempt("sslmode=require user=postgres")
    refused = attempt("sslmode=require user=replicator dbname=postgres")
    assert "certificate" in refused or "rejects" in refused


def test_etcd_refuses_a_client_without_a_certificate(fleet: Fleet) -> None:
    ask = "curl -sS --cacert /etc/ops/pki/ca.crt https://pg1:2379/health"
    own = "--cert /etc/ops/pki/etcd.crt --key /etc/ops/pki/etcd.key"
    assert json.loads(drive.ask("pg1", f"{ask} {own}")) == {"health": "true"}
    assert drive.run("pg1", ask).returncode != 0


def test_a_second_deploy_changes_and_restarts_nothing(fleet: Fleet) -> None:
    before = drive.start_times(HOSTS)
    second = fleet.deploy()
    assert second.changes == {}
    assert second.operations > 0.95 * fleet.first.operations, "it looked at all there is, founding apart"
    assert drive.start_times(HOSTS) == before
    assert {name.split()[1] for name in before} == set(drive.PROCESSES), "all services are looked at"


def test_a_restart_that_a_killed_deploy_missed_and_drift_in_the_cluster_are_put_right_by_the_next(fleet: Fleet) -> None:
    leader, before = fleet.leader(), drive.start_times(["pg1"])
    drive.ask("pg1", "touch /etc/default/etcd")
    drive.sql(leader, "ALTER ROLE pend_app CREATEDB")
    pending = json.loads(drive.run(leader, "ops cluster apply --check --json").stdout)["pending"]
    assert pending == [{"what": "role pend_app: createdb on → off", "impacts": ["no impact"]}]
    assert fleet.deploy("--limit", "pg_main").changes == {
        "etcd | Restart etcd.service where its files changed": ["pg1"],
        "PostgreSQL | Bring the cluster to what is declared": [leader],
    }
    after = drive.start_times(["pg1"])
    assert after["pg1 etcd"] != before["pg1 etcd"]
    assert after["pg1 postgres"] == before["pg1 postgres"]
    assert drive.sql(leader, "SELECT rolcreatedb FROM pg_roles WHERE rolname = 'pend_app'") == "f"
    assert fleet.deploy("--limit", "pg_main").changes == {}


def test_no_secret_shows_in_a_deploy_s_output_or_in_a_process_list(fleet: Fleet) -> None:
    secrets = [line.split('"')[1] for line in Path("/var/lib/ops-lab/secrets.toml").read_text().splitlines()]
    keys = [path.read_text().splitlines()[1] for path in Path("/var/lib/ops-lab/pki").glob("*.key")]
    assert len(secrets) >= 3
    etc_ops = ("s3-credentials", "keys/main", "secrets/role_pend_app", "pki/postgres.key")
    for dest in (f"/etc/ops/{name}" for name in etc_ops):
        drive.ask("pg1", f"rm {dest}")  # so that it is written, with all that pyinfra says of it
        assert drive.run("pg1", f"test -e {dest}").returncode == 1
    loud = pyinfra(drive.INVENTORY, "--limit", "pg1", "-vvv", "--diff")
    assert loud.returncode == 0, loud.stderr[-2000:]
    seen = loud.stdout + loud.stderr + drive.ask("pg1", "ps axww; journalctl --no-pager")
    assert "/etc/ops/secrets/role_pend_app" in seen
    assert [secret for secret in secrets + keys if secret in seen] == []
    assert drive.ask("pg1", "stat -c '%a %U' /etc/ops/secrets/role_pend_app") == "400 postgres"


def test_a_misspelt_key_stops_before_any_host_is_touched(fleet: Fleet, tmp_path: Path) -> None:
    shutil.copytree(CHECKOUT / "inventories" / "lab", tmp_path / "lab")
    data = tmp_path / "lab" / "group_data" / "pg_main.py"
    data.write_text(data.read_text().replace('"sizing"', '"sizign"'))
    outcome = pyinfra(tmp_path / "lab" / "hosts.py")
    assert outcome.returncode == 2
    assert "group_data/pg_main.py: postgres" in outcome.stderr
    assert "sizign: unknown key; did you mean 'sizing'?" in outcome.stderr
    assert "Connecting" not in outcome.stderr


def test_an_unreachable_host_is_named_and_stops_the_deploy(fleet: Fleet) -> None:
    replica = next(member for member in MEMBERS if member != fleet.leader())
    faults.partition(replica)
    try:
        outcome = pyinfra(drive.INVENTORY)
    finally:
        faults.heal(replica)
    assert outcome.returncode != 0
    assert f"[{replica}]" in outcome.stderr
    assert "Starting operation" not in outcome.stderr, "nothing was changed anywhere"
    fleet.wait_until_healthy()


def test_after_a_switchover_a_deploy_changes_and_restarts_nothing(fleet: Fleet) -> None:
    old = fleet.leader()
    new = next(member for member in MEMBERS if member != old)
    drive.ask(old, f"patronictl -c /etc/patroni/patroni.yml switchover --leader {old} --candidate {new} --force")
    wait_until(f"{new} leads", fleet.leader, until=lambda name: name == new)
    fleet.wait_until_healthy()
    before = drive.start_times(HOSTS)
    assert fleet.deploy().changes == {}
    assert drive.start_times(HOSTS) == before
