"""Fixtures of the integration tests, by theme: fix_store.py (SeaweedFS, stores), fix_postgres.py (real servers)."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from .fix_archiver import archivers
from .fix_database import databases
from .fix_exporter import exporter, watched
from .fix_postgres import BIN_DIR, HOSTS, hosts, module_hosts, workspace
from .fix_proxy import proxy
from .fix_store import WEED, bucket, folder_settings, s3_settings, store, weed
from .fix_timescale import analytics, empty_timescale, pglite_password

__all__ = [
    "analytics",
    "archivers",
    "bucket",
    "databases",
    "empty_timescale",
    "exporter",
    "folder_settings",
    "hosts",
    "module_hosts",
    "pglite_password",
    "proxy",
    "s3_settings",
    "store",
    "watched",
    "weed",
    "workspace",
]


MEMORY, ENOUGH = Path("/dev/shm"), 6 * 1024**3  # bytes free; three workers use one or two of them


def pytest_configure(config: pytest.Config) -> None:
    if "TMPDIR" not in os.environ:  # workers inherit it
        work_in_memory(config)


def work_in_memory(config: pytest.Config) -> None:
    """Servers are copied, filled and removed by the hundred, and a disk takes as long over it as the tests do. What a
    power cut does to files is not tested here: nothing hangs on a disk that is one."""
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < ENOUGH:
        return
    place = tempfile.mkdtemp(prefix="ops-tests-", dir=MEMORY)
    Path(place).chmod(0o711)  # for who else runs servers
    os.environ["TMPDIR"] = tempfile.tempdir = place

    def leave() -> None:
        shutil.rmtree(place, ignore_errors=True)
        del os.environ["TMPDIR"]
        tempfile.tempdir = None

    config.add_cleanup(leave)


def pytest_report_header() -> list[str]:
    """The versions that the results hold for."""
    commands = ([str(BIN_DIR / "postgres"), "--version"], [str(WEED), "version"])
    return [
        subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()[0]
        for command in commands
    ]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What servers said last is in the report of a test that fails."""
    report = yield
    if report.failed:
        logs = ((host.base.name, host.log_text()[-3000:]) for host in HOSTS)
        report.sections += [(f"the end of the log of {name}", text) for name, text in logs if text]
    return report
