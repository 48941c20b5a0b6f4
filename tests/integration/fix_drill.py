"""A small fleet for restore drills: a primary with load, heartbeat, archive and backup, and a drill host."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ops.config import FolderRepository, S3Repository

from ..waiting import wait_until
from .fix_postgres import BIN_DIR, OPS, USER, Host, as_postgres, processes_in

PROJECT = Path(__file__).parents[2]
SQL = PROJECT / "sql"


@dataclass
class Fleet:
    """A primary that archives, and a host that knows nothing but the store."""

    base: Path
    primary: Host
    drill: Host

    @property
    def drills(self) -> Path:
        """`drill.directory` of the drill host."""
        return self.drill.base / "d"

    def member(self, name: str) -> Host:
        """One more host, without a database."""
        return _host(self.base / name)

    def backup(self, *, exit_code: int = 0) -> dict[str, Any]:
        """Take a base backup of the primary; what `ops backup create --json` says of it."""
        outcome = self.primary.ops("backup", "create", "--json")
        assert outcome.returncode == exit_code, outcome.stderr
        backup: dict[str, Any] = json.loads(outcome.stdout)
        return backup

    def run(self, target: str, *options: str) -> tuple[int, dict[str, Any]]:
        """`ops drill restore --json`: its exit code, and its evidence or error."""
        outcome = self.drill.ops("drill", "restore", "--target", target, "--json", *options)
        assert outcome.stdout, outcome.stderr
        answer: dict[str, Any] = json.loads(outcome.stdout)
        return outcome.returncode, answer

    def now(self) -> datetime:
        """The primary's clock."""
        moment: datetime = self.primary.value("select clock_timestamp()")
        return moment.astimezone(UTC)

    def archived(self, moment: datetime) -> None:
        """Returns once the archive holds a heartbeat row that was committed after `moment`."""
        wait_until(
            f"a row of ops.heartbeat after {moment}",
            lambda: self.primary.value("select max(pg_xact_commit_timestamp(xmin)) from ops.heartbeat"),
            until=lambda last: last is not None and last > moment,
        )
        segment = self.primary.value("select pg_walfile_name(pg_current_wal_lsn())")
        self.primary.sql("select pg_switch_wal()")
        wait_until(
            f"{segment} archived",
            lambda: self.primary.value("select last_archived_wal from pg_stat_archiver"),
            until=lambda last: last is not None and last >= segment,
        )

    def processes(self) -> list[str]:
        """The command lines of all processes that work in the drill host's directory."""
        return processes_in(self.drills)


@contextmanager
def fleet(repository: S3Repository | FolderRepository, *, scale: int = 1, serves: str = "main") -> Iterator[Fleet]:
    """Boots it with the schema of the platform, a running heartbeat and (for a scale) pgbench's tables; no backup.

    The primary is of the cluster `main`; `serves` is the one that the drill host's configuration names.
    """
    with tempfile.TemporaryDirectory(prefix="ops-test-", ignore_cleanup_errors=True) as directory:
        base = Path(directory)
        shutil.chown(base, USER, USER)
        found = Fleet(base, _host(base / "primary"), _host(base / "drill"))
        if isinstance(repository, FolderRepository):
            shutil.chown(repository.path, USER, USER)
        found.primary.write_config(repository)
        drill: dict[str, object] = {"directory": found.drills, "checks_dir": SQL / "checks"}
        found.drill.write_config(repository, cluster=serves, drill=drill)
        found.primary.initdb("--wal-segsize=4")
        found.primary.archive(track_commit_timestamp="on", max_wal_size="64MB")
        found.primary.start()
        try:
            found.primary.sql("create extension amcheck")
            found.primary.sql((SQL / "ops" / "0001-heartbeat.sql").read_text())
            if scale:
                found.primary.sql(f"create tablespace elsewhere location '{_space(base)}'")
                found.primary.sql("create table in_space tablespace elsewhere as select generate_series(1, 100) as i")
                found.primary.pg("pgbench", "-i", "-q", f"-s{scale}", *_address(found.primary))
            with running(found.primary, OPS, "heartbeat", "run"):
                wait_until("the heart beats", lambda: found.primary.value("select count(*) from ops.heartbeat"))
                yield found
        finally:
            found.primary.stop("immediate")


@contextmanager
def load(host: Host) -> Iterator[None]:
    """Two clients of pgbench at a modest rate, until the block ends."""
    with running(host, BIN_DIR / "pgbench", "-n", "-c2", "-R200", "-T300", *_address(host)):
        yield


@contextmanager
def running(host: Host, *command: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of PostgreSQL's user, with the host's configuration, until the block ends."""
    with (host.base / "processes.log").open("ab") as log:
        process = subprocess.Popen(
            as_postgres(command),
            cwd=host.base,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "OPS_CONFIG": str(host.config_file)},
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


def _host(base: Path) -> Host:
    base.mkdir()
    shutil.chown(base, USER, USER)
    return Host(base)


def _space(base: Path) -> Path:
    space = base / "space"
    space.mkdir(mode=0o700)
    shutil.chown(space, USER, USER)
    return space


def _address(host: Host) -> list[str]:
    return ["-h", str(host.base), "-p", str(host.port), "-U", "postgres", "postgres"]


def failed(evidence: dict[str, Any]) -> dict[str, str]:
    """The checks that failed, with their details."""
    return {check["name"]: check["detail"] for check in evidence["checks"] if not check["proven"]}
