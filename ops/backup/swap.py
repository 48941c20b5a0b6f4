"""A restored data directory takes the place of a cluster's own: docs/runbooks/restore.md, section 4, step by step.

Runs as root on the member that leads. The other members are stopped by hand, because nobody here may enter them: we
say how, and wait until they are gone. Every precondition is checked before anything is touched, and nothing is ever
removed: the data of before lie beside the new ones until a person removes them.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ops.backup.recovery import forget_recovery
from ops.config import Config, Postgres
from ops.errors import OpsError, Unreachable
from ops.postgres.cluster import PATRONI_FILES, client, leader_of
from ops.postgres.conf import name_in
from ops.postgres.control import ControlData
from ops.postgres.removal import UNITS, Steps
from ops.postgres.running import running_in
from ops.store.durable import sync_directory

RUNBOOK = "docs/runbooks/restore.md, section 4"
_PORT = 5499


@dataclass(frozen=True)
class Swap:
    """What takes the place of `data_dir`, which is kept."""

    config: Config
    id: str
    data_dir: Path
    restored: Path
    system_identifier: int

    @property
    def before(self) -> Path:
        return self.data_dir.with_name(f"{self.data_dir.name}.before-{self.id}")

    @property
    def elsewhere(self) -> str:
        """What makes another member step aside."""
        return f"systemctl stop {' '.join(UNITS)} && mv {self.data_dir} {self.before}"

    @property
    def come_back(self) -> str:
        """What makes it a replica of the restored cluster, from the store."""
        return "systemctl start patroni ops-heartbeat"

    @property
    def way_back(self) -> list[str]:
        """How the cluster of before is put in place again: on every member, this one last; then the rest on it."""
        return [
            f"systemctl stop {' '.join(UNITS)}",
            f"mv {self.data_dir} {self.restored} && mv {self.before} {self.data_dir}",
            f"patronictl -c {PATRONI_FILES / 'patroni.yml'} remove {self.config.cluster}",
            self.come_back,
        ]


def refuse_follower(config: Config) -> list[str]:
    """The other members; OpsError unless this one leads, and Patroni minds the cluster."""
    patroni = client(config)
    members = patroni.members()
    own, leader = patroni.own_name(), leader_of(members)
    if leader.name != own:
        raise OpsError(
            f"{leader.name} leads, not {own}; nothing was touched",
            hint=f"Let this member lead first: ops cluster switchover {own}",
        )
    if patroni.is_paused():
        raise OpsError("Patroni is paused; nothing was touched", hint="Once you know why: patronictl resume")
    return [member.name for member in members if member.name != own]


def check(swap: Swap) -> list[str]:
    """The other members; OpsError where anything is not as a swap needs it."""
    others = refuse_follower(swap.config)
    if not swap.restored.is_dir() or running_in(swap.restored):
        raise OpsError(f"{swap.restored} is not there, or a server runs in it; nothing was touched")
    for place in (swap.data_dir, swap.restored):
        if ControlData.read(place).system_identifier != swap.system_identifier:
            raise OpsError(f"{place} holds another database than the one that was restored; nothing was touched")
        if place.is_symlink() or place.is_mount():
            raise OpsError(f"{place} is no ordinary directory, and cannot be moved; nothing was touched")
    if swap.before.exists():
        raise OpsError(f"{swap.before} exists already; nothing was touched")
    return others


def run(swap: Swap, *, wait: float, patience: float, steps: Steps) -> None:
    """The swap, after `check`, and after somebody has typed the cluster's name.

    `wait` is for what people do, `patience` for what programs do; both in seconds.
    """
    patroni = client(swap.config)
    own = patroni.own_name()
    with steps.step("wait until the other members have stepped aside"):
        _until(wait, lambda: [one.name for one in patroni.members()] == [own], "others are still members", steps)
    with steps.step(f"stop {' and '.join(UNITS)}"):
        _run(["systemctl", "stop", *UNITS])
        if pid := running_in(swap.data_dir):
            raise OpsError(f"PostgreSQL still runs (process {pid})", hint=f"Go on by hand: {RUNBOOK}")
    with steps.step(f"move {swap.data_dir} to {swap.before}, and the restored data in place"):
        swap.data_dir.rename(swap.before)
        swap.restored.rename(swap.data_dir)
        sync_directory(swap.data_dir.parent)
    with steps.step("end recovery, on a timeline of its own"):
        _open(swap, patience, steps)
    with steps.step("make Patroni forget the old cluster, and start it"):
        command = ["patronictl", "-c", str(PATRONI_FILES / "patroni.yml"), "remove", swap.config.cluster]
        _run(command, f"{swap.config.cluster}\nYes I am aware\n")
        _run(["systemctl", "start", "patroni.service"])
        _until(patience, lambda: _leads(swap.config, own), "it does not lead yet", steps)
        _run(["systemctl", "start", *UNITS])


def _open(swap: Swap, patience: float, steps: Steps) -> None:
    """Let the restored server go on from where it waits, with archiving on: its history is archived now, or never."""
    settings = swap.data_dir / "postgresql.auto.conf"
    kept = [line for line in settings.read_text().splitlines(keepends=True) if name_in(line) != "archive_mode"]
    settings.write_text("".join(kept))  # in place, so that it keeps its owner
    postgres = swap.config.postgres
    control = [str(postgres.bin_dir / "pg_ctl"), "-D", str(swap.data_dir), "-w", "-t", str(int(patience))]
    # Not on the cluster's port, and without TCP: nobody is to write before Patroni leads.
    options = f"-p {_PORT} -c listen_addresses= -c unix_socket_directories={postgres.socket_dir}"
    log = swap.data_dir.with_name(f"{swap.data_dir.name}.swap-{swap.id}.log")
    _as_user(postgres, [*control, "-l", str(log), "-o", options, "start"])
    try:
        _promote(postgres, patience, steps)
    finally:
        _as_user(postgres, [*control, "-m", "fast", "stop"])
    forget_recovery(swap.data_dir)


def _promote(postgres: Postgres, patience: float, steps: Steps) -> None:
    def ask(query: str) -> bool:
        words = ["psql", "-XAt", "-h", str(postgres.socket_dir), "-p", str(_PORT), "-d", "postgres", "-c", query]
        return _as_user(postgres, [str(postgres.bin_dir / words[0]), *words[1:]]).strip() == "t"

    def until(condition: str, otherwise: str) -> None:
        _until(patience, lambda: ask(f"SELECT {condition}"), otherwise, steps)

    until("pg_get_wal_replay_pause_state() = 'paused'", "it is not at the target yet")
    ask("SELECT pg_wal_replay_resume()")
    until("NOT pg_is_in_recovery()", "it is still in recovery")
    ask("SELECT pg_switch_wal()")
    until("last_archived_wal IS NOT NULL FROM pg_stat_archiver", "nothing is archived yet")


def _leads(config: Config, own: str) -> bool:
    try:
        return leader_of(client(config).members()).name == own
    except Unreachable:
        return False


def _until(seconds: float, condition: Callable[[], bool], otherwise: str, steps: Steps) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Unreachable(f"waited {seconds:.0f} s: {otherwise}", hint=f"Look why, and go on by hand: {RUNBOOK}")
        steps.note(otherwise)
        time.sleep(0.5)


def _as_user(postgres: Postgres, command: list[str]) -> str:
    return _run(["runuser", "-u", postgres.user, "--", *command])


def _run(command: list[str], words: str = "") -> str:
    """What a command prints. Not where we are: PostgreSQL's user may not enter root's directory."""
    try:
        outcome = subprocess.run(
            command, input=words, capture_output=True, text=True, timeout=300, check=False, cwd="/"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unreachable(f"{' '.join(command)} did not end", detail=str(error)) from error
    if outcome.returncode:
        raise OpsError(
            f"{' '.join(command)} failed",
            detail=(outcome.stderr or outcome.stdout).strip()[-1000:],
            hint=f"Go on by hand from there: {RUNBOOK}",
        )
    return outcome.stdout
