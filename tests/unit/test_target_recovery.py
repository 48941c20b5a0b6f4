"""What a restored data directory is told, and what pg_waldump's output means."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.backup.recovery import fetching, write_recovery
from ops.model.lsn import LSN
from ops.model.oracle import Commit
from ops.model.target import AtTime, Latest
from ops.postgres.conf import name_in, render
from ops.postgres.programs import last_commit

NOON = AtTime(datetime(2026, 11, 21, 12, 0, tzinfo=UTC))


def settings(directory: Path) -> dict[str, str]:
    lines = (directory / "postgresql.auto.conf").read_text().splitlines()
    return {name_in(line): line.partition("=")[2].strip() for line in lines if name_in(line)}


def test_recovery_goes_along_a_timeline_by_number_and_pauses_at_the_target(tmp_path: Path) -> None:
    write_recovery(tmp_path, NOON, 3, "fetch %f %p")
    assert settings(tmp_path) == {
        "restore_command": "'fetch %f %p'",
        "recovery_target_timeline": "'3'",
        "recovery_prefetch": "'off'",
        "recovery_target_time": "'2026-11-21 12:00:00+00:00'",
        "recovery_target_inclusive": "'on'",
        "recovery_target_action": "'pause'",
    }
    assert (tmp_path / "recovery.signal").exists()


def test_an_earlier_recovery_is_forgotten_and_all_else_kept(tmp_path: Path) -> None:
    (tmp_path / "standby.signal").touch()
    (tmp_path / "postgresql.auto.conf").write_text(
        "# Do not edit\nwork_mem = '4MB'\nRecovery_Target_Xid = '17'\n  primary_conninfo 'host=pg1'\n"
        "restore_command='x'\n"
    )
    write_recovery(tmp_path, NOON, 1, "fetch %f %p")
    write_recovery(tmp_path, Latest(), 1, "fetch %f %p")
    assert settings(tmp_path) == {
        "work_mem": "'4MB'",
        "restore_command": "'fetch %f %p'",
        "recovery_target_timeline": "'1'",
        "recovery_prefetch": "'off'",
    }
    assert (tmp_path / "postgresql.auto.conf").read_text().startswith("# Do not edit\n")
    assert not (tmp_path / "standby.signal").exists()


def test_a_restore_command_survives_the_shell_and_postgresql() -> None:
    command = fetching(Path("/run/a b"), Path("/srv/100%/ops.toml"), "offsite")
    words = shlex.split(command.partition(";")[0])
    assert words[-8:-2] == ["fetch", "--tail", "--config", "/srv/100%%/ops.toml", "--repository", "offsite"]
    assert words[-2:] == ["%f", "%p"]
    assert "'/run/a b'" in command


def test_quotes_and_backslashes_survive_in_a_setting() -> None:
    assert render({"a": r"it's \n"}) == "a = 'it''s \\\\n'\n"
    with pytest.raises(ValueError, match="one line"):
        render({"a": "two\nlines"})


@given(st.text(st.characters(exclude_characters="\n\0", exclude_categories=["Cs"])))
def test_a_rendered_setting_is_one_quoted_line(value: str) -> None:
    line = render({"name": value})
    quoted = line.removeprefix("name = '").removesuffix("'\n")
    assert quoted.replace("''", "'").replace("\\\\", "\\") == value


WALDUMP = """\
rmgr: Transaction len (rec/tot):     34/    34, tx:        731, lsn: 0/050000B8, prev 0/05000078, desc: COMMIT 2026-11-21 11:19:26.630198 UTC
rmgr: Transaction len (rec/tot):    293/   293, tx:        747, lsn: 1/0D7AC128, prev 1/0D7AC068, desc: COMMIT 2026-11-21 11:25:09 UTC; inval msgs: catcache 55
rmgr: Transaction len (rec/tot):     34/    34, tx:        748, lsn: 1/0D7AD000, prev 1/0D7AC128, desc: ABORT 2026-11-21 11:25:10.981910 UTC
"""  # noqa: E501  as the program prints it


def test_the_last_commit_is_read_from_pg_waldump() -> None:
    expected = Commit(747, LSN.parse("1/D7AC128"), datetime(2026, 11, 21, 11, 25, 9, tzinfo=UTC))
    assert last_commit(WALDUMP.splitlines()) == expected


def test_a_prepared_transaction_commits_under_its_own_id() -> None:
    line = (
        "rmgr: Transaction len (rec/tot):     46/    46, tx:          0, lsn: 0/06000170, prev 0/06000130, "
        "desc: COMMIT_PREPARED 734: 2026-11-21 11:19:28.898473 UTC"
    )
    found = last_commit([line])
    assert found is not None
    assert found.xid == 734


def test_a_segment_without_commits_has_no_last_commit() -> None:
    assert last_commit(WALDUMP.splitlines()[2:]) is None
