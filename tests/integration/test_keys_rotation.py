"""Keys that are rotated while a base backup runs: all backups restore afterwards, with the new key alone."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ops.backup import catalog
from ops.backup.create import create
from ops.backup.report import Silent
from ops.config import S3Repository, load
from ops.model.pack import FOOTER, sealing
from ops.store import keyring, open_store
from ops.store.repository import Repository, current

from ..waiting import wait_until
from .fix_postgres import Host
from .fix_store import repository_in

pytestmark = pytest.mark.integration


TABLES, ROWS = 6, 15000  # each about a pack's worth, in a file of its own


WORKERS = 1  # a pack goes by the key that it was begun with: were all begun at once, a rotation would come too late


class Rotator(Silent):
    """Changes both kinds of key, by another process, once two packs are stored; nothing is read meanwhile."""

    def __init__(self, repository: Repository, rotate: Callable[[], None]) -> None:
        self._rotate, self._repository = rotate, repository
        self._before = self._packs()
        self.at = 0.0

    def _packs(self) -> int:
        return len(list(self._repository.store.list(self._repository.layout.packs)))

    def progress(self, done: int, total: int) -> None:
        if not self.at and self._packs() >= self._before + 2:
            self.at = done / total
            self._rotate()


@pytest.fixture
def host(hosts: Callable[[str], Host], s3_settings: S3Repository) -> Host:
    """A server with an encrypted repository in S3 and one backup in it."""
    host = hosts("pg")
    host.initdb()
    host.write_config(s3_settings, backup={"workers": WORKERS})
    run(host, "repository", "init")  # by one process, so that there is one data key
    host.archive()
    host.start()
    host.sql("create table t as select 0 as i")
    add_noise(host)
    run(host, "backup", "create")
    host.archive_all()
    return host


def add_noise(host: Host) -> None:
    """Some 10 MB that no backup has and nothing makes smaller."""
    for number in range(TABLES):
        host.sql(f"drop table if exists noise{number}")
        host.sql(
            f"create table noise{number} as select sha512((i + random())::text::bytea) "
            f"from generate_series(1, {ROWS}) i"
        )


def run(host: Host, *arguments: str) -> Any:
    outcome = host.ops(*arguments, "--json")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return json.loads(outcome.stdout)


def opened(host: Host, settings: S3Repository) -> Repository:
    identifier = current(open_store(settings), "pend", "main", None).system_identifier
    return repository_in(settings, identifier, host.keys)


def data_keys(repository: Repository, backup: str) -> set[str]:
    """The data keys that the packs of a backup are sealed with."""
    packs = catalog.contents(repository, catalog.read(repository, backup)).packs
    found = [sealing(repository.store.get(repository.layout.pack(pack.id), offset=-FOOTER.size)) for pack in packs]
    return {one.key_id for one in found if one}


def restores(host: Host, copy: Host, settings: S3Repository, backup: str, rows: int) -> None:
    shutil.rmtree(copy.data_dir, ignore_errors=True)
    copy.write_key("newer", (host.keys.directory / "newer").read_text().strip())
    copy.write_config(settings)
    outcome = copy.ops("backup", "restore", backup, "--to", copy.data_dir, "--target", "latest")
    assert outcome.returncode == 0, outcome.stderr
    copy.start()
    wait_until("recovered", lambda: copy.value("select not pg_is_in_recovery()"), deadline=120)
    assert copy.value("select count(*) from t") == rows
    assert copy.value(f"select count(*) from noise{TABLES - 1}") == ROWS
    copy.stop("immediate")


def test_all_backups_restore_after_a_rotation_in_the_middle_of_one(
    host: Host, hosts: Callable[[str], Host], s3_settings: S3Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A run takes up a key that another process has made within five minutes: here at once.
    monkeypatch.setattr(keyring, "_LOOK_AGAIN", 0)
    (first,) = run(host, "backup", "list")
    (old,) = [key["id"] for key in run(host, "keys", "list")["data_keys"]]
    made = list[str]()

    def rotate() -> None:
        host.write_key("newer", base64.b64encode(os.urandom(32)).decode())
        host.write_config(s3_settings, backup={"workers": WORKERS}, keys={"current": "newer"})
        rotated = run(host, "keys", "rotate", "--data-key")
        assert rotated["wrapped"] == [old]
        made.append(rotated["made"])
        (host.keys.directory / "test").unlink()

    add_noise(host)
    repository = opened(host, s3_settings)
    rotator = Rotator(repository, rotate)
    config = load(host.config_file)
    middle = create(config, open_store(config.repository), rotator)
    assert 0 < rotator.at < 1
    assert data_keys(repository, middle.id) == {old, *made}, "packs of before and after lie in one backup"
    host.sql("insert into t values (1)")
    host.archive_all()
    add_noise(host)
    last = run(host, "backup", "create")
    assert data_keys(repository, last["id"]) > set(made)
    host.sql("insert into t values (2)")
    host.archive_all()

    assert run(host, "backup", "verify", "--all")["backups"] == 3
    assert run(host, "keys", "check", "--without", "test")["ok"]
    host.stop()
    copy = hosts("copy")
    for backup in (first["id"], middle.id, last["id"]):
        restores(host, copy, s3_settings, backup, 3)


def test_a_run_that_has_not_heard_of_the_new_key_ends_with_the_old_one(
    host: Host, s3_settings: S3Repository, workspace: Path
) -> None:
    """As it is within those five minutes: the old key-encryption key may go from the host all the same."""
    (old,) = [key["id"] for key in run(host, "keys", "list")["data_keys"]]

    def rotate() -> None:
        host.write_key("newer", base64.b64encode(os.urandom(32)).decode())
        host.write_config(s3_settings, backup={"workers": WORKERS}, keys={"current": "newer"})
        run(host, "keys", "rotate", "--data-key")
        (host.keys.directory / "test").unlink()

    add_noise(host)
    repository, config = opened(host, s3_settings), load(host.config_file)
    rotator = Rotator(repository, rotate)
    middle = create(config, open_store(config.repository), rotator)
    assert 0 < rotator.at < 1
    assert data_keys(repository, middle.id) == {old}
    outcome = host.ops("backup", "restore", middle.id, "--to", workspace / "restored")
    assert outcome.returncode == 0, outcome.stderr
