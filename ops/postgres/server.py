"""A PostgreSQL of our own beside everything else: no TCP, a private socket, nothing of the original's configuration."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import psycopg

from ops.config import Postgres
from ops.errors import OpsError, Unreachable, UsageError
from ops.postgres.conf import render
from ops.postgres.connect import Connection, connect
from ops.postgres.programs import required_settings
from ops.postgres.running import pid_lines

Answer = TypeVar("Answer")

_POLL = 0.1
_MAX_SOCKET_PATH = 107  # bytes in sockaddr_un.sun_path, less the terminating zero
_PRIVATE = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "ssl": "off",
    "archive_mode": "off",
    "hot_standby": "on",
    # Nobody else asks: replay waits for our own questions rather than cancel them.
    "max_standby_archive_delay": "-1",
    # A table that is locked at the moment restored to stays locked; a question about it must still end.
    "lock_timeout": "30s",
    # Nothing may act on the world by itself once recovery has ended.
    "autovacuum": "off",
    "max_logical_replication_workers": "0",
    "cron.launch_active_jobs": "off",
    "timescaledb.max_background_workers": "0",
    "restart_after_crash": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_line_prefix": "%m [%p] ",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "lc_messages": "C",
}
_RESTORED = re.compile(r'restored log file "(\w+)" from archive')
_NOISE = re.compile(r"\] (LOG|DEBUG\d|INFO|NOTICE|STATEMENT):")


class PrivateServer:
    """A server over `data_dir`, whose socket, log and configuration lie in `home`. Stopped when the context ends.

    `settings` come on top of what the data directory itself asks for. Recovery settings are read from the
    data directory's postgresql.auto.conf.
    """

    def __init__(self, postgres: Postgres, home: Path, data_dir: Path, settings: Mapping[str, str]) -> None:
        self._home = home
        self._data_dir = data_dir
        self._settings = dict(settings)
        self._bin_dir = postgres.bin_dir
        self._process: subprocess.Popen[bytes] | None = None
        self._required: dict[str, str] = {}
        self._log_start = 0
        self.log_file = home / "server.log"
        self.postgres = postgres.model_copy(update={"data_dir": data_dir, "socket_dir": home / "socket", "port": 5432})
        socket = os.fsencode(self.postgres.socket_dir / ".s.PGSQL.5432.lock")
        if len(socket) > _MAX_SOCKET_PATH:
            raise UsageError(
                f"{home} is too long a path for a Unix socket",
                detail=f"the socket's path would have {len(socket)} bytes; the system allows {_MAX_SOCKET_PATH}",
                hint="Set drill.directory in the configuration to a shorter path.",
            )

    def __enter__(self) -> PrivateServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._end(signal.SIGQUIT)

    def start(self) -> None:
        """Start it, without waiting for anything."""
        assert self._process is None, "one process at a time over a data directory"
        self._required = required_settings(self._bin_dir, self._data_dir)
        self._configure()
        self._log_start = self.log_file.stat().st_size if self.log_file.exists() else 0
        config_file = f"config_file={self._home / 'postgresql.conf'}"
        command = [str(self._bin_dir / "postgres"), "-D", str(self._data_dir), "-c", config_file]
        with self.log_file.open("ab") as log:
            # A session of its own: Ctrl-C is for us, and we end the server in good order.
            self._process = subprocess.Popen(
                command, cwd=self._home, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def stop(self) -> None:
        """Fast shutdown, to the end: the data directory is consistent on disk afterwards."""
        self._end(signal.SIGINT)

    def connect(self, dbname: str = "postgres") -> Connection:
        """A connection in autocommit mode, as the superuser."""
        return connect(self.postgres, dbname=dbname, purpose="ops drill")

    def wait_for(
        self, look: Callable[[Connection], Answer | None], what: str, *, patience: float, note: Callable[[str], None]
    ) -> Answer:
        """Ask `look` until it answers something else than None, and return that.

        There is no limit to how long recovery may take, only to standing still: OpsError after `patience`
        seconds in which neither a segment was restored nor a byte replayed, or at once when the server ends.
        A server that replay has taken beyond its settings (the primary was given more connections) is
        restarted with what it asks for now.
        """
        progress, since = "", time.monotonic()
        while True:
            if self._outgrown():
                self._restart()
            self._raise_if_ended(what)
            answer, position = self._ask(look)
            if answer is not None:
                return answer
            seen = position or self._last_segment()
            if seen != progress:
                progress, since = seen, time.monotonic()
                note(seen)
            elif time.monotonic() - since > patience:
                last = progress or "no segment restored"
                raise OpsError(
                    f"recovery stands still, {what} not reached",
                    detail=f"nothing new in {patience:.0f} s, last seen: {last}\n{self.last_words()}".strip(),
                )
            time.sleep(_POLL)

    def log(self) -> str:
        """What it has logged since it was started."""
        with self.log_file.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode(errors="replace")

    def last_words(self) -> str:
        """The last lines of the log that are not routine, restore_command's included."""
        lines = [line for line in self.log().splitlines() if line.strip() and not _NOISE.search(line)]
        return "\n".join(lines[-6:])

    def _ask(self, look: Callable[[Connection], Answer | None]) -> tuple[Answer | None, str]:
        """What `look` says, and the position of replay; nothing while the server takes no connections."""
        if not self._accepts_connections():
            return None, ""
        try:
            with self.connect() as connection:
                answer = look(connection)
                position = connection.execute("SELECT pg_last_wal_replay_lsn()::text").fetchone()
                return answer, f"replayed to {position[0]}" if position else ""
        except (psycopg.OperationalError, Unreachable):
            return None, ""  # ended meanwhile, or the question was cancelled by replay: both show soon

    def _accepts_connections(self) -> bool:
        # The postmaster keeps its state in the eighth line. Asking by connecting would fill the log with refusals.
        lines = pid_lines(self._data_dir)
        return len(lines) > 7 and lines[7].strip() == "ready"

    def _last_segment(self) -> str:
        found = _RESTORED.findall(self.log())
        return f"restored {found[-1]}" if found else ""

    def _outgrown(self) -> bool:
        if "insufficient parameter settings" not in self.log():
            return False
        return required_settings(self._bin_dir, self._data_dir) != self._required

    def _restart(self) -> None:
        self._end(signal.SIGINT)
        self.start()

    def _raise_if_ended(self, what: str) -> None:
        assert self._process is not None, "started before it is waited for"
        code = self._process.poll()
        if code is not None:
            raise OpsError(f"PostgreSQL ended before {what} was reached (exit code {code})", detail=self.last_words())

    def _configure(self) -> None:
        self._home.joinpath("socket").mkdir(mode=0o700, exist_ok=True)
        settings = {
            **_PRIVATE,
            **self._settings,
            **self._required,
            "unix_socket_directories": str(self.postgres.socket_dir),
            "port": str(self.postgres.port),
            "hba_file": str(self._home / "pg_hba.conf"),
            "ident_file": str(self._home / "pg_ident.conf"),
        }
        self._home.joinpath("postgresql.conf").write_text(render(settings))
        self._home.joinpath("pg_hba.conf").write_text("local all all peer\n")
        self._home.joinpath("pg_ident.conf").write_text("")

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for sign, patience in ((how, 120), (signal.SIGQUIT, 20), (signal.SIGKILL, 20)):
            process.send_signal(sign)
            try:
                process.wait(patience)
                return
            except subprocess.TimeoutExpired:
                continue
