"""What is done by schedule: who does it, with which commands, and timers that systemd accepts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ops.backup.schedule import Turn
from ops.deploys.operations import render
from ops.deploys.settings import Schedules
from ops.errors import Unreachable
from ops.model.jobs import JOBS, OF_THE_LEADER, OF_THE_STORE, commands, elected, jobs, leading, timer_of
from ops.postgres.patroni import Member

UNITS = "ops/ops-scheduled@.service.j2", "ops/ops-scheduled.timer.j2"


def member(name: str, role: str = "replica", state: str = "streaming", lag: int | None = 0) -> Member:
    return Member(name, role, state, f"{name}.example", 1, lag)


LEADER = member("pg1", "leader", "running", None)


def test_a_replica_does_it_and_every_member_says_the_same_one() -> None:
    replicas = [member("pg3", lag=5), member("pg2", lag=900)]
    assert elected([LEADER, *replicas]) == elected([*reversed(replicas), LEADER]) == "pg2"
    assert elected([LEADER, member("pg2", "sync_standby")]) == "pg2"


def test_without_a_healthy_replica_the_leader_does_it_and_without_any_nobody() -> None:
    assert elected([LEADER, member("pg2", state="starting"), member("pg3", lag=None)]) == "pg1"
    assert elected([member("pg1", "leader", "stopped"), member("pg2", state="crashed")]) is None


def test_all_repositories_are_looked_after_and_copied_only_where_there_are_some() -> None:
    assert commands("backup", ["offsite"]) == [["backup", "create"]]
    assert commands("expire", ["offsite"]) == [["backup", "expire"], ["backup", "expire", "--repository", "offsite"]]
    assert commands("verify", []) == [["backup", "verify"]]
    assert commands("mirror", ["offsite"]) == [["repository", "mirror"]]
    assert commands("mirror", []) == []


def test_what_writes_to_the_database_is_the_leaders_and_all_else_is_not() -> None:
    members = [LEADER, member("pg2"), member("pg3")]
    turn = Turn(elected(members), leading(members), "pg2")
    assert {job: turn.of(job) for job in JOBS} == {job: "pg1" if job in OF_THE_LEADER else "pg2" for job in JOBS}
    nobody = Turn("pg2", leading(members[1:]), "pg2")
    with pytest.raises(Unreachable, match="refresh: the cluster has no leader"):
        nobody.of("refresh")
    assert nobody.of("audit") == "pg2"


def test_the_applications_database_is_looked_after_where_it_is() -> None:
    assert jobs(["pend_production", "other"]) == JOBS
    assert jobs(["pend_analytics"]) == OF_THE_STORE
    assert commands("refresh", []) == [["db", "refresh", "--due"]]
    assert commands("audit", ["offsite"]) == [["audit", "verify", "--keep"]], "the mirror copies what is kept"


def test_there_is_a_time_for_each_job() -> None:
    assert set(Schedules().model_dump()) == set(JOBS)
    assert Schedules(mirror="").model_dump()["mirror"] == ""


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    times = Schedules().model_dump()
    (tmp_path / "ops-scheduled@.service").write_text(render(UNITS[0], ops="/bin/true"))
    for job in JOBS:
        (tmp_path / timer_of(job)).write_text(render(UNITS[1], job=job, when=times[job]))
        assert (
            subprocess.run(["systemd-analyze", "calendar", times[job]], capture_output=True, check=False).returncode
            == 0
        )
    files = [tmp_path / "ops-scheduled@.service", *(tmp_path / timer_of(job) for job in JOBS)]
    told = subprocess.run(["systemd-analyze", "verify", *files], capture_output=True, text=True, check=False)
    own = [line for line in told.stderr.splitlines() if "ops-" in line and "patroni.service" not in line]
    assert own == []
