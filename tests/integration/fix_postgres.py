"""Real PostgreSQL servers, run as the user `postgres`, and our own command beside them."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakSet

import psycopg
import pytest

from ops.config import FolderRepository, Keys, S3Repository

from ..waiting import free_port, wait_until

BIN_DIR = Path("/usr/lib/postgresql/15/bin")
OPS = Path(sys.executable).parent / "ops"

# PostgreSQL refuses to run as root. Whoever is not root runs everything as themselves. The capability lets the user
# `postgres` read a checkout that lies where only root may enter; it is inherited by what PostgreSQL runs.
AS_POSTGRES = (
    *("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)
USER = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name

# The key-encryption key of every test: what the deploy would have put into /etc/ops/keys/test.
KEK = "dGhlIGtleSBvZiB0aGUgdGVzdHMsIDMyIGJ5dGVzISE="

# What makes a server quick to test with; durability against a power cut is not what these tests are about.
QUICK = {"fsync": "off", "shared_buffers": "32MB", "max_wal_size": "256MB", "wal_keep_size": "0"}

_LIKE_OURS = ("--auth=trust", "--username=postgres", "--data-checksums")
_EMPTY: dict[tuple[str, ...], Path] = {}  # initdb's options -> a database that nobody has started
_kept = tempfile.TemporaryDirectory(prefix="ops-initdb-", ignore_cleanup_errors=True)  # where those are


def as_postgres(command: Sequence[str | Path]) -> list[str]:
    """The command line that runs `command` as PostgreSQL's user."""
    return [*(AS_POSTGRES if os.geteuid() == 0 else ()), *map(str, command)]


def run_as_postgres(
    command: Sequence[str | Path], *, cwd: Path | None = None, env: dict[str, str] | None = None, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a command as PostgreSQL's user, in an environment that holds nothing of ours but `env`."""
    return subprocess.run(
        as_postgres(command),
        cwd=cwd or "/",
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def processes_in(directory: Path) -> list[str]:
    """The command lines of all processes that work in `directory`, or below it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(directory):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


HOSTS: WeakSet[Host] = WeakSet()  # all that there are: a test that fails shows the ends of their logs


class Host:
    """One database host in small: a directory with a PostgreSQL, its socket, its log and an `ops.toml`.

    base/data     the data directory           base/ops.toml     our configuration ($OPS_CONFIG)
    base/log      the server's log             base/             the socket
    base/keys     key-encryption keys
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.data_dir = base / "data"
        self.log = base / "log"
        self.config_file = base / "ops.toml"
        self.keys = Keys(directory=base / "keys")
        self.port = free_port()
        self.listen = ""  # addresses beside the socket
        HOSTS.add(self)

    # -- the server ------------------------------------------------------------------------------------------

    def initdb(self, *options: str, stranger: bool = False) -> None:
        """A new database; a `stranger` has a system identifier of its own. `options`: such as `--wal-segsize=1`.

        The others are copies of what initdb has made before in this process: that takes a fifth of the time.
        """
        if stranger or options not in _EMPTY:
            self.pg("initdb", "--no-sync", *_LIKE_OURS, *options, self.data_dir)
        else:
            self.clone(_EMPTY[options])
        if options not in _EMPTY:
            _EMPTY[options] = Path(_kept.name) / f"{len(_EMPTY)}"
            shutil.copytree(self.data_dir, _EMPTY[options])
        self.configure(**QUICK)

    def configure(self, **settings: object) -> None:
        """Add settings to postgresql.auto.conf, without a reload."""
        with (self.data_dir / "postgresql.auto.conf").open("a") as file:
            for name, value in settings.items():
                file.write(f"{name} = '{str(value).replace(chr(39), chr(39) * 2)}'\n")

    def start(self, *, check: bool = True) -> None:
        """Start the server; with `check` it has to accept connections (hot standby counts) within 60 s."""
        options = f"-p {self.port} -k {self.base} -c listen_addresses={self.listen}"
        outcome = self.pg(
            "pg_ctl", "start", "--silent", "--wait" if check else "--no-wait", "--timeout=60",
            f"--pgdata={self.data_dir}", f"--log={self.log}", f"--options={options}", check=False,
        )  # fmt: skip
        assert not check or outcome.returncode == 0, f"{outcome.stdout}{outcome.stderr}\n{self.log_text()[-4000:]}"

    def stop(self, mode: str = "fast") -> None:
        """Stop the server if it runs."""
        if self.running():
            self.pg("pg_ctl", "stop", "--silent", f"--mode={mode}", f"--pgdata={self.data_dir}", "--timeout=60")

    def kill(self) -> None:
        """SIGKILL for the server and for all that it has started."""

        def left() -> list[int]:
            found = []
            for process in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    if (process / "cwd").readlink() == self.data_dir:
                        found.append(int(process.name))
                        os.kill(found[-1], signal.SIGKILL)
            return found

        wait_until("its processes are gone", lambda: not left() and not self.running())

    def running(self) -> bool:
        return self.pg("pg_ctl", "status", f"--pgdata={self.data_dir}", check=False).returncode == 0

    def sql(self, query: str, dbname: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement and return its rows, if it has any."""
        with self.connect(dbname) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def value(self, query: str, dbname: str = "postgres") -> Any:
        """The one value that a query returns."""
        ((value,),) = self.sql(query, dbname)
        return value

    def connect(self, dbname: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(
            host=str(self.base), port=self.port, user="postgres", dbname=dbname, autocommit=True, connect_timeout=5
        )

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_for_log(self, text: str, *, deadline: float = 60) -> str:
        """The log, once `text` stands in it."""
        return wait_until(f"{text!r} in the log", self.log_text, deadline=deadline, until=lambda log: text in log)

    def pg(self, program: str, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's own programs as its user."""
        outcome = run_as_postgres([BIN_DIR / program, *arguments], cwd=self.base)
        assert not check or outcome.returncode == 0, f"{program}: {outcome.stdout}{outcome.stderr}"
        return outcome

    # -- our own command -------------------------------------------------------------------------------------

    def write_config(
        self, repository: S3Repository | FolderRepository, *, cluster: str = "main", **sections: Mapping[str, object]
    ) -> Path:
        """`ops.toml` for this host. `sections` add keys or tables: `wal={"standby_patience": 1}`. None leaves out."""
        if not self.keys.directory.exists():
            self.write_key("test", KEK)
        postgres = {
            "user": USER,
            "bin_dir": BIN_DIR,
            "data_dir": self.data_dir,
            "socket_dir": self.base,
            "port": self.port,
            **sections.pop("postgres", {}),
        }
        keys = {"directory": self.keys.directory, **sections.pop("keys", {})}
        tables = {"repository": self.section(repository), "keys": keys, "postgres": postgres, **sections}
        text = f"cluster = {_toml(cluster)}\n" + "".join(
            f"\n[{name}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in table.items() if value is not None)
            for name, table in tables.items()
        )
        self.write(self.config_file, text)
        return self.config_file

    def section(self, repository: S3Repository | FolderRepository, credentials: str = "credentials") -> dict[str, Any]:
        """A repository's section of `ops.toml`, with a file of this host's own for its credentials."""
        settings = repository.model_dump(exclude_none=True)
        if isinstance(repository, S3Repository) and repository.credentials_file:
            settings["credentials_file"] = self.base / credentials
            self.write(self.base / credentials, repository.credentials_file.read_text(), mode=0o400)
        return settings

    def write_key(self, name: str, secret: str) -> Path:
        """A key-encryption key for this host."""
        if not self.keys.directory.exists():
            self.keys.directory.mkdir()
            shutil.chown(self.keys.directory, USER, USER)
        self.write(self.keys.directory / name, secret + "\n", mode=0o400)
        return self.keys.directory / name

    def folder(self, name: str = "repository") -> FolderRepository:
        """A `[repository]` section for a folder of PostgreSQL's user on this host, made if it is not there yet."""
        path = self.base / name
        path.mkdir(exist_ok=True)
        shutil.chown(path, USER, USER)
        return FolderRepository(type="folder", path=path)

    def clone(self, source: Path) -> None:
        """Make this host's data directory a copy of `source`, a data directory that no server uses."""
        outcome = run_as_postgres(["cp", "-a", source, self.data_dir])
        assert outcome.returncode == 0, outcome.stderr

    def write(self, path: Path, text: str, *, mode: int = 0o600) -> None:
        """A file that belongs to PostgreSQL's user."""
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(text)
        path.chmod(mode)
        shutil.chown(path, USER, USER)

    def ops(self, *arguments: str | Path, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run `ops` as PostgreSQL does: as its user, in the data directory, with this host's configuration."""
        cwd = self.data_dir if self.data_dir.exists() else self.base
        return run_as_postgres([OPS, *arguments], cwd=cwd, env={"OPS_CONFIG": str(self.config_file)}, timeout=timeout)

    def command(self, arguments: str) -> str:
        """An archive_command or restore_command: `ops <arguments>` with this host's configuration."""
        return f"OPS_CONFIG={self.config_file} {OPS} {arguments}"

    def archive(self, **settings: object) -> None:
        """Make `ops wal push` this server's archive_command."""
        self.configure(archive_mode="on", archive_command=self.command("wal push %p"), wal_level="replica", **settings)

    def archive_all(self) -> None:
        """End the current segment, and wait until it is archived."""
        last = self.value("select pg_walfile_name(pg_switch_wal())")
        archived = "select coalesce(last_archived_wal, '') from pg_stat_archiver"
        wait_until("all is archived", lambda: self.value(archived), until=lambda name: bool(name >= last))

    def recover(self, *, standby: bool = False, **settings: object) -> None:
        """Make the next start a recovery with `ops wal fetch` as restore_command."""
        self.write(self.data_dir / ("standby.signal" if standby else "recovery.signal"), "")
        self.configure(restore_command=self.command("wal fetch %f %p"), **settings)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(key)} = {_toml(each)}" for key, each in value.items()) + "}"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


@contextmanager
def new_workspace() -> Iterator[Path]:
    """An empty directory of PostgreSQL's user. Not below pytest's own, which only root may enter."""
    with tempfile.TemporaryDirectory(prefix="ops-test-", ignore_cleanup_errors=True) as directory:
        shutil.chown(directory, USER, USER)
        yield Path(directory)


@contextmanager
def new_hosts(workspace: Path) -> Iterator[Callable[[str], Host]]:
    """Makes database hosts by name, without a database yet; their servers are stopped in the end."""
    made: list[Host] = []

    def make(name: str) -> Host:
        (workspace / name).mkdir()
        shutil.chown(workspace / name, USER, USER)
        made.append(Host(workspace / name))
        return made[-1]

    try:
        yield make
    finally:
        for host in made:
            if (host.data_dir / "postmaster.pid").exists():
                host.stop("immediate")


@pytest.fixture
def workspace() -> Iterator[Path]:
    with new_workspace() as directory:
        yield directory


@pytest.fixture
def hosts(workspace: Path) -> Iterator[Callable[[str], Host]]:
    with new_hosts(workspace) as make:
        yield make


@pytest.fixture(scope="module")
def module_hosts() -> Iterator[Callable[[str], Host]]:
    """As `hosts`, for servers that all tests of a module share."""
    with new_workspace() as workspace, new_hosts(workspace) as make:
        yield make
