"""The archiver service of a host, and the small client that PostgreSQL runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.model.command import restore_command
from ops.wal import client
from ops.wal.archiver.status import status as look

from ..waiting import wait_until
from .fix_postgres import OPS, Host, as_postgres, run_as_postgres

CLIENT = Path(client.__file__)
PYTHON = "/usr/bin/python3"


class Archiver:
    """`ops wal archiver` for one host, with its socket and its spool in the host's directory."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.socket = host.base / "run" / "socket"
        self.spool = host.base / "spool"
        self.log = host.base / "archiver.log"
        self._process: subprocess.Popen[bytes] | None = None

    def settings(self, **wal: object) -> dict[str, object]:
        """A `[wal]` section for `Host.write_config`."""
        return {"socket": self.socket, "spool_dir": self.spool, **wal}

    def start(self, *, kill_at: str = "") -> None:
        """Start it, and return once it answers. With `kill_at` it dies at that point (ops/wal/faults.py)."""
        assert self._process is None or self._process.poll() is not None, "it runs already"
        command = as_postgres([OPS, "wal", "archiver"])
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd="/", env=self._environment(kill_at), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        # Asked from here: a process of `ops wal status` for each look would take longer than the service's own start.
        wait_until("the archiver answers", lambda: self.running() and look(self.socket, None).service is not None)

    def running(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        return True

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        assert self._process is not None
        return self._process.wait(20)

    def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def status(self) -> dict[str, Any]:
        """What `ops wal status --json` prints."""
        outcome = self.host.ops("wal", "status", "--json")
        assert outcome.stdout, outcome.stderr
        found: dict[str, Any] = json.loads(outcome.stdout)
        return found

    def command(self, arguments: str) -> str:
        """An archive_command or restore_command by way of the client."""
        return f"{self._client()} {arguments}"

    def restore_command(self, options: str = "") -> str:
        """As it is deployed."""
        return restore_command(self._client(), options)

    def _client(self) -> str:
        return f"OPS_CONFIG={self.host.config_file} {PYTHON} -I -S {CLIENT} --socket {self.socket} --ops {OPS}"

    def client(self, *arguments: str | Path, kill_at: str = "", alone: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the client as PostgreSQL does. `alone` False: it must not do the work itself."""
        ops = OPS if alone else Path("/bin/false")
        command = [PYTHON, "-I", "-S", CLIENT, "--socket", self.socket, "--ops", ops, *arguments]
        return run_as_postgres(command, cwd=self.host.data_dir, env=self._environment(kill_at))

    def _environment(self, kill_at: str) -> dict[str, str]:
        own = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "OPS_CONFIG": str(self.host.config_file)}
        return own | ({"OPS_KILL_AT": kill_at} if kill_at else {})


@pytest.fixture
def archivers() -> Iterator[Callable[[Host], Archiver]]:
    """Makes the archiver of a host, not started yet; killed in the end."""
    made: list[Archiver] = []

    def make(host: Host) -> Archiver:
        made.append(Archiver(host))
        return made[-1]

    yield make
    for archiver in made:
        archiver.kill()
