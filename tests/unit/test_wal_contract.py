"""The exit codes of the two WAL commands stay within what PostgreSQL reads them as."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ops.errors import OpsError, Unreachable, UsageError
from ops.model.command import restore_command
from ops.store.codec import Damaged, Foreign
from ops.wal.check import Refused
from ops.wal.contract import FetchExit, PushExit, fetch_exit, push_exit
from ops.wal.fetch import Hole

EVERY_FAILURE = [
    OpsError("x"),
    UsageError("x"),
    Unreachable("x"),
    Damaged("x"),
    Foreign("x"),
    Refused("x"),
    Hole("x"),
    OSError("x"),
    MemoryError(),
    KeyError("x"),
    KeyboardInterrupt(),
]


@pytest.mark.parametrize("error", EVERY_FAILURE, ids=lambda error: type(error).__name__)
def test_a_failed_push_is_counted_and_tried_again(error: BaseException) -> None:
    assert 1 <= push_exit(error) <= 125


@pytest.mark.parametrize("error", EVERY_FAILURE, ids=lambda error: type(error).__name__)
def test_a_failed_fetch_never_ends_a_recovery_as_if_the_wal_ended(error: BaseException) -> None:
    assert fetch_exit(error, standby=False, own_history=False) is FetchExit.STOP


@pytest.mark.parametrize("error", [Unreachable("x"), Damaged("x"), Foreign("x"), OSError("x")])
def test_what_may_pass_by_itself_does_not_kill_a_standby_or_a_promotion(error: BaseException) -> None:
    assert fetch_exit(error, standby=True, own_history=False) is FetchExit.ABSENT
    assert fetch_exit(error, standby=False, own_history=True) is FetchExit.ABSENT


@pytest.mark.parametrize("error", [UsageError("x"), KeyError("x"), MemoryError(), KeyboardInterrupt()])
def test_a_mistake_of_ours_stops_a_standby_too(error: BaseException) -> None:
    assert fetch_exit(error, standby=True, own_history=True) is FetchExit.STOP


def test_the_reasons_for_a_failed_push_are_told_apart() -> None:
    codes = [push_exit(error) for error in (Refused("x"), UsageError("x"), Unreachable("x"), KeyError("x"))]
    assert codes == [PushExit.REFUSED, PushExit.USAGE, PushExit.UNREACHABLE, PushExit.FAULT]


def test_absent_is_for_postgresql_what_1_is_and_no_python_that_cannot_begin_leaves_with_it() -> None:
    assert 1 <= FetchExit.ABSENT <= 125
    assert FetchExit.ABSENT not in (1, 2, 120, 126, 127)


@pytest.mark.parametrize("signal_file", ["recovery.signal", "standby.signal"])
@pytest.mark.parametrize(
    ("code", "recovery", "standby"),
    [
        (FetchExit.FETCHED, 0, 0),
        (FetchExit.ABSENT, 1, 1),
        (FetchExit.STOP, 200, 200),
        (128 + signal.SIGTERM, 143, 143),
        (128 + signal.SIGKILL, 137, 137),
        *((code, 200, 1) for code in (1, 2, 3, 120, 126, 127)),  # the client cannot have meant it
    ],
)
def test_the_restore_command_passes_on_what_the_client_meant(
    tmp_path: Path, signal_file: str, code: int, recovery: int, standby: int
) -> None:
    (tmp_path / signal_file).touch()
    expected = recovery if signal_file == "recovery.signal" else standby
    assert told(tmp_path, code, "0000000100000000000000AB") == expected


def test_a_server_that_is_being_promoted_gets_its_own_history_though_the_client_is_broken(tmp_path: Path) -> None:
    (tmp_path / "pg_wal").mkdir()
    assert told(tmp_path, 1, "00000001.history") == 1, "which nobody ever writes"
    assert told(tmp_path, 1, "00000002.history") == 200
    for name in ("00000002.history", "0000000200000000000000AB"):
        (tmp_path / "pg_wal" / name).touch()
    assert told(tmp_path, 1, "00000002.history") == 1
    assert told(tmp_path, 1, "0000000200000000000000AB") == 200, "a segment is not history: the archive may have more"


def told(data_dir: Path, code: int, name: str) -> int:
    """What PostgreSQL is told of a file where the client leaves with `code`."""
    command = restore_command(f"sh -c 'exit {code}' sh").replace("%f", name).replace("%p", "pg_wal/RECOVERYXLOG")
    return subprocess.run(command, shell=True, cwd=data_dir, check=False).returncode


def test_stop_is_above_125_and_is_not_the_death_by_any_signal() -> None:
    assert FetchExit.STOP > 128 + 64
    assert FetchExit.STOP <= 255


@pytest.mark.parametrize("modules", ["ops.cli.wal, ops.wal.answer, ops.wal.access, ops.wal.push", "ops.cli.restore"])
def test_what_runs_once_for_each_segment_or_restores_does_not_pay_for_psycopg(modules: str) -> None:
    code = f"import sys, {modules}; sys.exit('psycopg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
