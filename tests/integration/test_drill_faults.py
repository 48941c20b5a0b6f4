"""What a drill has to find: each fault is planted in a real primary or archive, and must fail the drill by name."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.config import FolderRepository
from ops.errors import Exit

from ..waiting import wait_until
from .fix_drill import Fleet, failed, fleet
from .fix_postgres import Host

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def repository() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ops-repository-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture(scope="module")
def ready(repository: Path) -> Iterator[Fleet]:
    """A fleet with a backup; its primary has failed over since, so that there are two timelines."""
    with fleet(FolderRepository(type="folder", path=repository), scale=0) as found:
        found.backup()
        found.archived(found.now())
        _fail_over(found.primary)
        found.archived(found.now())
        yield found


def _fail_over(host: Host) -> None:
    """What the archive sees of a failover: the end of one timeline and the beginning of the next."""
    host.stop()
    host.write(host.data_dir / "standby.signal", "")
    host.start()
    host.sql("select pg_promote()")
    wait_until("timeline 2", lambda: host.value("select pg_walfile_name(pg_current_wal_lsn())").startswith("00000002"))


def test_a_drill_follows_a_failover_to_the_newest_timeline(ready: Fleet) -> None:
    code, evidence = ready.run("latest")
    assert (code, failed(evidence), evidence["failure"]) == (Exit.OK, {}, None)
    assert evidence["timeline"] == 2


def test_a_lost_history_is_an_error_and_not_the_end_of_the_wal(ready: Fleet, repository: Path) -> None:
    (history,) = repository.glob("pend/main/*/wal/00000002.history")
    shutil.move(history, repository / "lost")
    try:
        code, evidence = ready.run("latest")
    finally:
        shutil.move(repository / "lost", history)
    assert code == Exit.NO
    assert "00000002.history" in evidence["failure"]["error"]


def test_each_kind_of_damage_in_the_database_fails_the_check_that_is_for_it(ready: Fleet) -> None:
    primary = ready.primary
    primary.sql("create database forgotten")
    primary.sql("create table damaged as select generate_series(1, 1000) as i")
    primary.sql("delete from ops.heartbeat where id = 2")
    primary.sql("checkpoint")
    path = primary.data_dir / primary.value("select pg_relation_filepath('damaged')")
    with path.open("r+b") as file:  # the server has the page in memory and does not notice; the backup reads the file
        file.seek(4000)
        file.write(b"damage")
    assert ready.backup(exit_code=Exit.NO)["damaged"], "it is kept, and says so"
    ready.archived(ready.now())

    code, evidence = ready.run("latest")
    assert (code, evidence["verdict"]) == (Exit.NO, "failed")
    found = failed(evidence)
    assert set(found) == {"no row is missing", "tables and indexes", "invariants", "page checksums"}
    assert "1 of rows 1 to" in found["no row is missing"]
    assert "heartbeat in postgres: row 3 follows row 1" in found["invariants"]
    assert f"bad checksum in base/{path.parent.name}/{path.name}, block 0" in found["page checksums"]
    assert "database forgotten has no extension amcheck" in found["tables and indexes"]
    assert "damaged" in found["tables and indexes"]
    listed = ready.drill.ops("drill", "list").stdout.splitlines()
    assert "failed" in listed[-1]
    assert "no row is missing" in listed[-1]
