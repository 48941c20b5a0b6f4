"""Fixtures of the integration tests, by theme: fix_store.py (SeaweedFS, stores), fix_postgres.py (real servers)."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Generator

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


def pytest_configure() -> None:
    """A shell ignores Ctrl-C for what it starts in the background, and so would all that tests start and interrupt."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
