"""What systemd's timers on this host say, and whose turn it is: one member of the cluster, by Patroni's word."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from ops.config import Config
from ops.errors import Unreachable
from ops.model.jobs import JOBS, OF_THE_LEADER, Job, commands, elected, leading, timer_of
from ops.postgres.patroni import Patroni


@dataclass(frozen=True)
class Turn:
    """Who does what is due, who leads, and who we are; all None where no Patroni runs, and this host does all of it."""

    elected: str | None
    leader: str | None
    ourselves: str | None

    @property
    def is_ours(self) -> bool:
        """Whether we do what is not the leader's to do."""
        return self.elected == self.ourselves

    def of(self, job: Job) -> str | None:
        """Whose turn a job is. Raises Unreachable where it is the leader's and nobody leads."""
        if job not in OF_THE_LEADER:
            return self.elected
        if self.leader is None and self.ourselves is not None:
            raise Unreachable(f"{job}: the cluster has no leader")
        return self.leader


@dataclass(frozen=True)
class Timer:
    """A job's timer on this host, in systemd's own words; `state` is how its last run here ended."""

    job: Job
    active: bool
    calendar: str
    next: str
    last: str
    state: str


def turn(config: Config) -> Turn:
    """Whose turn it is. Raises Unreachable where Patroni does not say: nobody may do it twice."""
    if config.patroni is None:
        return Turn(None, None, None)
    patroni = Patroni(config.patroni)
    members = patroni.members()
    chosen = elected(members)
    if chosen is None:
        raise Unreachable("no member of the cluster is healthy: nobody can do what is due")
    return Turn(chosen, leading(members), patroni.own_name())


def argv(config: Config, job: Job) -> list[list[str]]:
    """What to call `ops` with."""
    return commands(job, list(config.repositories))


def timers() -> list[Timer]:
    """Every job's timer, as systemd on this host shows it; Unreachable where there is none."""
    return [_timer(job) for job in JOBS]


def _timer(job: Job) -> Timer:
    shown = _show(timer_of(job), "ActiveState", "TimersCalendar", "NextElapseUSecRealtime", "LastTriggerUSec")
    outcome = _show(f"ops-scheduled@{job}.service", "ActiveState", "Result", "ExecMainStatus")
    ended = f"exit {outcome['ExecMainStatus']}" if outcome["Result"] != "success" else "done"
    state = "running" if outcome["ActiveState"] == "activating" else ended
    calendar = shown["TimersCalendar"].partition("OnCalendar=")[2].partition(" ;")[0]
    last = shown["LastTriggerUSec"]
    return Timer(
        job,
        shown["ActiveState"] == "active",
        calendar,
        shown["NextElapseUSecRealtime"] or "never",
        last or "never",
        state if last else "",
    )


def _show(unit: str, *names: str) -> dict[str, str]:
    try:
        found = subprocess.run(
            ["systemctl", "show", unit, "--property", ",".join(names)], capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise Unreachable("there is no systemd on this host, and so no timer") from error
    if found.returncode:
        raise Unreachable("systemd does not answer", detail=found.stderr.strip())
    pairs = dict(line.partition("=")[::2] for line in found.stdout.splitlines())
    return {name: "" if pairs.get(name) == "n/a" else pairs.get(name, "") for name in names}
