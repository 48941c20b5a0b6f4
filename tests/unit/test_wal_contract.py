"""The exit codes of the two WAL commands stay within what PostgreSQL reads them as."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ops.errors import OpsError, Unreachable, UsageError
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


def test_stop_is_above_125_and_is_not_the_death_by_any_signal() -> None:
    assert FetchExit.STOP > 128 + 64
    assert FetchExit.STOP <= 255


@pytest.mark.parametrize("modules", ["ops.cli.wal, ops.wal.answer, ops.wal.access, ops.wal.push", "ops.cli.restore"])
def test_what_runs_once_for_each_segment_or_restores_does_not_pay_for_psycopg(modules: str) -> None:
    code = f"import sys, {modules}; sys.exit('psycopg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
