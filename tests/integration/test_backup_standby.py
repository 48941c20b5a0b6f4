"""A base backup taken from a standby, which was itself made from a base backup."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.config import FolderRepository

from ..waiting import wait_until
from .fix_postgres import USER, Host
from .fix_store import Weed

pytestmark = pytest.mark.integration


def test_a_backup_from_a_standby_restores_what_the_primary_committed_and_the_primary_names_it(
    hosts: Callable[[str], Host], workspace: Path, weed: Weed
) -> None:
    repository = FolderRepository(type="folder", path=workspace / "repository")
    repository.path.mkdir()
    shutil.chown(repository.path, USER, USER)
    primary, standby, restored = hosts("primary"), hosts("standby"), hosts("restored")
    for host in (primary, standby, restored):
        host.write_config(repository)
    primary.initdb()
    primary.archive(archive_timeout=1)  # a standby cannot make the primary switch its segment
    primary.start()
    primary.sql("create table kept as select generate_series(1, 1000) i")
    assert primary.ops("backup", "create").returncode == 0

    assert standby.ops("backup", "restore", "latest", "--to", standby.data_dir).returncode == 0
    conninfo = f"host={primary.base} port={primary.port} user=postgres application_name=pg2"
    standby.recover(standby=True, primary_conninfo=conninfo)
    standby.start()
    primary.sql("insert into kept values (2000)")
    end = primary.value("select pg_current_wal_lsn()")
    wait_until("replayed", lambda: standby.value(f"select pg_last_wal_replay_lsn() >= '{end}'"))

    # A Patroni that gives no answer keeps nobody from it: whoever streams is named.
    files = {"ca_file": weed.ca_file, "cert_file": weed.ca_file, "key_file": weed.directory / "key.pem"}
    primary.write_config(repository, patroni={"url": "https://localhost:1", **files})
    told = primary.ops("backup", "create")
    assert (told.returncode, "This is the primary" in told.stderr, "pg2 could" in told.stderr) == (0, True, True)
    time.sleep(1.1)  # ids are seconds
    untold = primary.ops("backup", "create", "--here")
    assert (untold.returncode, "This is the primary" in untold.stderr) == (0, False)

    time.sleep(1.1)
    taken = standby.ops("backup", "create", "--json")
    assert taken.returncode == 0, taken.stderr
    assert "This is the primary" not in taken.stderr
    assert json.loads(taken.stdout)["from_standby"] is True

    outcome = restored.ops("backup", "restore", "latest", "--to", restored.data_dir, "--target", "latest")
    assert outcome.returncode == 0, outcome.stderr
    assert not (restored.data_dir / "standby.signal").exists()
    restored.start()
    wait_until("recovery has ended", lambda: not restored.value("select pg_is_in_recovery()"))
    assert restored.value("select count(*) || ' ' || max(i) from kept") == "1001 2000"
