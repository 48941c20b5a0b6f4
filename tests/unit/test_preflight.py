"""The preflight: facts of hosts in, what is wrong in words out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.deploys.inventory import load
from ops.deploys.needs import needs
from ops.deploys.survey import read
from ops.model.preflight import CLOCK_LIMIT, GIB, MIB, Clock, Disk, Facts, Fleet, Listener, Need, in_lines, judge

NOW = datetime(2026, 11, 21, tzinfo=UTC)
POSTGRESQL = Need(
    "PostgreSQL", ("postgresql-15",), {5432: "patroni.service"}, "/var/lib/postgresql", 6 * GIB, 1024 * MIB
)
TIMESCALE = Need(
    "TimescaleDB", ("timescaledb-2-postgresql-15",), source="https://apt.example/dists/x", version="2.28.*"
)
OPTIONAL = replace(TIMESCALE, optional_in="pg_analytics")


def fleet(*needs: Need, hosts: dict[str, Facts] | None = None, **changes: Any) -> Fleet:
    """Hosts that need `needs` and are fit; `changes` are to the fleet as a whole."""
    facts = hosts if hosts is not None else {"pg1": Facts()}
    fit = Fleet(
        NOW, "linux-x86_64 python3.11", "our CA", NOW + timedelta(days=3000), dict.fromkeys(facts, needs), facts
    )
    return replace(fit, **changes)


def said(fleet: Fleet, *ignore: str) -> list[str]:
    """Each finding as `host: what`, problems with a mark."""
    found = judge(fleet, ignore).findings
    return [f"{'! ' if one.is_problem else ''}{one.host}: {one.what}" for one in found]


def test_a_fleet_without_faults_has_no_findings() -> None:
    healthy = Facts(
        packages={"postgresql-15": "15.14-0+deb12u1"},
        listeners=(Listener(5432, "10.0.0.1", "patroni.service", "postgres"),),
        disks={"/var/lib/postgresql": Disk("/var", 100 * GIB)},
        ca="our CA\n",
        etcd="healthy",
    )
    hosts = dict.fromkeys(("pg1", "pg2", "pg3"), healthy)
    assert said(fleet(POSTGRESQL, hosts=hosts, etcd=("pg1", "pg2", "pg3"))) == []


def test_an_unreachable_host_is_a_problem_with_its_reason() -> None:
    assert said(fleet(unreachable={"pg2": "timed out"})) == ["! pg2: cannot be reached: timed out"]


def test_another_system_is_a_problem() -> None:
    assert said(fleet(hosts={"pg1": Facts(system="debian 11")})) == ["! pg1: runs debian 11"]


def test_a_host_that_the_controllers_environments_do_not_fit_is_a_problem() -> None:
    arm = {"pg1": Facts(machine="linux-aarch64"), "pg2": Facts()}
    assert said(fleet(hosts=arm)) == [
        "! pg1: has linux-aarch64 python3.11, and this controller linux-x86_64 python3.11"
    ]
    assert said(fleet(hosts=arm, platform="linux-aarch64 python3.11")) == [
        "! pg2: has linux-x86_64 python3.11, and this controller linux-aarch64 python3.11"
    ]
    assert said(fleet(platform="linux-x86_64 python3.13")) == [
        "! pg1: has linux-x86_64 python3.11, and this controller linux-x86_64 python3.13"
    ]


def test_memory_counts_every_service_of_the_host() -> None:
    etcd = Need("etcd", memory=256 * MIB)
    small = {"pg1": Facts(memory=1280 * MIB)}
    assert said(fleet(POSTGRESQL, hosts=small)) == []
    assert said(fleet(POSTGRESQL, etcd, hosts=small)) == [
        "! pg1: has 1280 MiB of memory, and needs 1536 (system 256, PostgreSQL 1024, etcd 256)"
    ]


@pytest.mark.parametrize(
    ("free", "expected"),
    [
        (7 * GIB, []),
        (3 * GIB, ["pg1: has 3.0 GiB free on /; PostgreSQL should have 6.0"]),
        (GIB // 2, ["! pg1: has 0.5 GiB free on /; PostgreSQL should have 6.0"]),
    ],
)
def test_too_little_disk_is_a_warning_and_almost_none_a_problem(free: int, expected: list[str]) -> None:
    assert said(fleet(POSTGRESQL, hosts={"pg1": Facts(disks={"/var/lib/postgresql": Disk("/", free)})})) == expected


def test_services_on_one_file_system_share_its_room() -> None:
    etcd = Need("etcd", data="/var/lib/etcd", room=1 * GIB)
    disk = Disk("/", 6 * GIB + GIB // 2)
    facts = Facts(disks={"/var/lib/postgresql": disk, "/var/lib/etcd": disk})
    assert said(fleet(POSTGRESQL, etcd, hosts={"pg1": facts})) == [
        "pg1: has 6.5 GiB free on /; PostgreSQL, etcd should have 7.0"
    ]


def clocks(*offsets: float, error: float = 0.01) -> Fleet:
    return fleet(hosts={f"h{n}": Facts(clock=Clock(offset, error)) for n, offset in enumerate(offsets, 1)})


def test_the_host_whose_clock_is_off_is_named() -> None:
    assert said(clocks(0, 0.1, 3.2)) == ["! h3: its clock is 3.2 s ahead of that of h1"]
    assert said(clocks(0, -5, 0.1)) == ["! h2: its clock is 5.1 s behind that of h3"]


def test_a_controller_with_a_wrong_clock_is_nobody_s_problem() -> None:
    assert said(clocks(3600, 3600.2, 3599.9)) == []


def test_what_a_slow_question_explains_is_no_offset() -> None:
    assert said(clocks(0, 1.8, error=0.5)) == []
    assert len(said(clocks(0, 2.2, error=0.5))) == 1


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=8))
def test_without_the_hosts_that_are_named_all_clocks_agree(offsets: list[float]) -> None:
    named = {finding.host for finding in judge(clocks(*offsets, error=0)).findings}
    rest = [offset for n, offset in enumerate(offsets, 1) if f"h{n}" not in named]
    assert rest
    assert max(rest) - min(rest) <= CLOCK_LIMIT


def test_a_port_held_by_another_program_is_a_problem() -> None:
    other = Listener(5432, "0.0.0.0", "postgresql@15-main.service", "postgres")
    assert said(fleet(POSTGRESQL, hosts={"pg1": Facts(listeners=(other,))})) == [
        "! pg1: port 5432, for PostgreSQL, is held by postgres (postgresql@15-main.service)"
    ]


@pytest.mark.parametrize(
    "listener",
    [
        Listener(5432, "10.0.0.1", "patroni.service", "postgres"),
        Listener(5432, "127.0.0.1", "ssh.service", "sshd"),
        Listener(9999, "*", "other.service", "other"),
    ],
)
def test_our_own_service_a_loopback_or_another_port_is_no_problem(listener: Listener) -> None:
    assert said(fleet(POSTGRESQL, hosts={"pg1": Facts(listeners=(listener,))})) == []


def test_a_required_source_that_does_not_answer_is_a_problem() -> None:
    facts = Facts(sources={TIMESCALE.source: "no route"})
    report = judge(fleet(TIMESCALE, hosts={"ts1": facts}))
    assert [one.what for one in report.problems] == [f"TimescaleDB: {TIMESCALE.source} does not answer: no route"]
    assert report.left_out == {}


def test_an_optional_source_that_does_not_answer_leaves_the_host_out() -> None:
    facts = Facts(sources={TIMESCALE.source: "no route"})
    report = judge(fleet(OPTIONAL, hosts={"ts1": facts, "ts2": Facts(sources={TIMESCALE.source: ""})}))
    assert not report.problems
    assert [one.host for one in report.warnings] == ["ts1"]
    assert report.left_out == {"ts1": "pg_analytics"}


@pytest.mark.parametrize("need", [TIMESCALE, OPTIONAL])
def test_what_is_installed_as_pinned_needs_no_source(need: Need) -> None:
    facts = Facts(packages={need.packages[0]: "2.28.1~debian12"}, sources={need.source: "no route"})
    report = judge(fleet(need, hosts={"ts1": facts}))
    assert (report.findings, report.left_out) == ((), {})


def test_a_host_that_runs_another_version_is_not_left_out_but_a_problem() -> None:
    facts = Facts(packages={OPTIONAL.packages[0]: "2.27.1~debian12"}, sources={OPTIONAL.source: "no route"})
    report = judge(fleet(OPTIONAL, hosts={"ts1": facts}))
    assert report.left_out == {}
    assert report.problems[0].what.endswith("; installed is 2.27.1~debian12, and not 2.28.*")


def test_a_pin_behind_what_is_installed_is_a_problem() -> None:
    facts = Facts(packages={TIMESCALE.packages[0]: "2.29.0~debian12"})
    assert said(fleet(TIMESCALE, hosts={"ts1": facts})) == [
        "! ts1: has TimescaleDB 2.29.0~debian12, newer than the pin 2.28.*"
    ]


def test_apt_s_own_sources_are_a_problem_only_when_none_answers() -> None:
    some = Facts(own_sources={"http://a": "no route", "http://b": ""})
    none = Facts(own_sources={"http://a": "no route", "http://b": "no route"})
    assert [line[0] for line in said(fleet(POSTGRESQL, hosts={"pg1": some}))] == ["p"]
    assert [line[0] for line in said(fleet(POSTGRESQL, hosts={"pg1": none}))] == ["!", "!"]


def test_certificates_that_end_soon_are_warned_of_and_a_dead_ca_is_a_problem() -> None:
    leaf = Facts(certificates={"etcd.crt": NOW + timedelta(days=12), "s3.crt": NOW + timedelta(days=80)})
    assert said(fleet(hosts={"pg1": leaf})) == ["pg1: etcd.crt expires in 12 days"]
    assert said(fleet(ca_expires=NOW + timedelta(days=100))) == ["controller: the site's CA expires in 100 days"]
    assert said(fleet(ca_expires=NOW - timedelta(days=1))) == ["! controller: the site's CA expired 1 days ago"]


def test_a_host_that_trusts_another_ca_is_a_problem() -> None:
    assert said(fleet(hosts={"pg1": Facts(ca="theirs")}))[0].startswith("! pg1: trusts another CA than")


ETCD = ("e1", "e2", "e3")


def voters(*states: str) -> Fleet:
    return fleet(hosts={name: Facts(etcd=state) for name, state in zip(ETCD, states, strict=False)}, etcd=ETCD)  # type: ignore[arg-type]


def test_etcd_without_a_majority_is_a_problem() -> None:
    found = judge(voters("unhealthy", "unhealthy", "absent"))
    assert [one.host for one in found.problems] == ["e1", "e2"]
    assert "there is no majority" in found.problems[0].what


def test_one_ill_member_beside_a_majority_is_a_warning() -> None:
    found = judge(voters("healthy", "healthy", "unhealthy"))
    assert (found.problems, [one.host for one in found.warnings]) == ([], ["e3"])


def test_a_first_deploy_that_was_ended_early_may_go_on() -> None:
    assert not judge(voters("unhealthy", "absent", "absent")).problems
    assert not judge(voters("absent", "absent", "absent")).findings


def test_a_deploy_that_is_the_cure_may_be_told_to_go_on() -> None:
    ill = voters("unhealthy", "unhealthy", "unhealthy")
    assert judge(ill).problems
    assert not judge(ill, ["etcd"]).problems
    assert len(judge(ill, ["etcd"]).warnings) == 3


def test_a_single_member_of_etcd_is_warned_of_where_a_cluster_leans_on_it() -> None:
    alone = fleet(hosts={"e1": Facts(etcd="healthy")}, etcd=("e1",), clusters={"pg_main": ("e1",)})
    assert said(alone) == ["e1: is the only member of etcd: without it nobody can lead"]


def test_a_zone_with_the_majority_of_etcd_is_named_and_so_is_a_cluster_outside_it() -> None:
    zones = {"a": ("e1", "e2"), "b": ("e3", "pg1")}
    found = said(fleet(etcd=ETCD, zones=zones, clusters={"pg_main": ("pg1",)}))
    assert found == [
        "e1, e2: zone a holds 2 of 3 etcd members: its loss stops every cluster",
        "pg_main: pg_main has no member in zone a, where the majority of etcd is",
    ]


def test_three_zones_with_a_vote_each_are_as_it_should_be() -> None:
    zones = {"a": ("e1", "pg1"), "b": ("e2",), "c": ("e3",)}
    assert said(fleet(etcd=ETCD, zones=zones, clusters={"pg_main": ("pg1",)})) == []


def test_hosts_with_the_same_finding_share_its_lines() -> None:
    report = judge(
        fleet(hosts={"pg1": Facts(system="debian 11"), "pg22": Facts(system="debian 11"), "x": Facts(ca="?")})
    )
    assert in_lines(report.problems)[:3] == [
        "  pg1, pg22  runs debian 11",
        "             → use one of: debian 12",
        "  x          trusts another CA than the controller's: this controller does not hold the site's CA",
    ]


def test_each_host_of_the_lab_needs_what_its_services_need() -> None:
    inventory = load(Path(__file__).parents[2] / "inventories" / "lab")
    services = {name: [need.service for need in needs(inventory, name)] for name in inventory.hosts}
    node, postgres = "the node exporter", ["the node exporter", "the PostgreSQL exporter", "ops exporter host"]
    assert services["pg1"] == ["the base system", "etcd", "PostgreSQL", "PgBouncer", *postgres]
    assert services["ts1"] == ["the base system", "PostgreSQL", "PgBouncer", "TimescaleDB", *postgres]
    assert services["r1"] == ["the base system", "Redis", node, "the Redis exporter"]
    assert services["lb1"] == ["the base system", "HAProxy", node]
    assert services["s3"] == ["the base system", "SeaweedFS", node]
    assert services["drill1"] == ["the base system", "restore drills", node]
    assert services["mon1"] == ["the base system", node, "Prometheus", "Alertmanager", "ops exporter fleet"]
    assert [need.optional_in for need in needs(inventory, "ts1")] == ["", "", "", "pg_analytics", "", "", ""]


def test_no_port_of_a_host_is_needed_twice() -> None:
    for name in ("lab", "production"):
        inventory = load(Path(__file__).parents[2] / "inventories" / name)
        for host in inventory.hosts:
            ports = [port for need in needs(inventory, host) for port in need.ports]
            assert len(ports) == len(set(ports)), host


SURVEY = """\
clock 1000.5
system debian 12
machine linux-aarch64
memory 1048576
disk / 2097152
disk /srv/etcd 1048576
package installed postgresql-15 15.14-0+deb12u1
package not-installed haproxy
listener 10.0.0.1:5432 patroni.service users:(("postgres",pid=7,fd=6))
listener [::]:2379 -
etcd healthy
clock 1002.5
"""


def test_a_survey_is_read_and_its_own_duration_is_no_offset() -> None:
    # Asked at 1000.0 and answered at 1002.2 of our clock: 2 s of that the host was busy, 0.2 s was the way.
    lines = [line.split() for line in SURVEY.splitlines()]
    facts = read(lines, ["/var/lib/postgresql", "/srv/etcd"], 1000.0, 1002.2)
    assert facts.clock.offset == pytest.approx(0.4)
    assert facts.clock.error == pytest.approx(0.1)
    assert facts.packages == {"postgresql-15": "15.14-0+deb12u1"}
    assert facts.disks == {"/var/lib/postgresql": Disk("/", 2 * GIB), "/srv/etcd": Disk("/srv/etcd", GIB)}
    assert facts.listeners == (
        Listener(5432, "10.0.0.1", "patroni.service", "postgres"),
        Listener(2379, "::", "-", "somebody"),
    )
    assert (facts.system, facts.machine, facts.memory) == ("debian 12", "linux-aarch64", GIB)
    assert (facts.etcd, facts.ca) == ("healthy", "")
