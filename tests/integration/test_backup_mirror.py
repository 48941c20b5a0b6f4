"""`ops repository mirror`: a restore from the copy alone; copying that is killed, or meets damage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ops.backup import catalog
from ops.backup.mirror import lag
from ops.config import FolderRepository, S3Repository
from ops.store.repository import Repository

from ..waiting import wait_until
from .fix_postgres import OPS, USER, Host, run_as_postgres
from .fix_store import Weed, repository_in

pytestmark = pytest.mark.integration

MAIN = "main copy"


@pytest.fixture(scope="module")
def server(module_hosts: Callable[[str], Host]) -> Host:
    """A server with two backups, and WAL behind them, in a folder."""
    host = module_hosts("pg")
    host.initdb("--wal-segsize=1")
    host.write_config(host.folder(MAIN))
    host.archive()
    host.start()
    host.sql("create table t (i int)")
    host.sql("create table noise as select sha512(i::text::bytea) from generate_series(1, 100000) i")
    for number in range(2):
        assert host.ops("backup", "create").returncode == 0
        host.sql(f"insert into t values ({number})")
        host.archive_all()
    host.stop()
    repository = opened(host, host.folder(MAIN))
    repository.store.put(repository.layout.drill("20261121T120000Z"), b"{}")  # what a drill says is not looked at
    return host


def with_copy(host: Host, copy: S3Repository | FolderRepository, source: FolderRepository | None = None) -> None:
    """The host's configuration with another repository beside the first one."""
    host.write_config(source or host.folder(MAIN), repositories={"offsite": host.section(copy, "credentials-offsite")})


def run(host: Host, *options: str, code: int = 0, kill_at: str = "") -> Any:
    env = {"OPS_CONFIG": str(host.config_file), "OPS_KILL_AT": kill_at}
    outcome = run_as_postgres([OPS, "repository", "mirror", "--json", *options], cwd=host.base, env=env)
    if kill_at:
        return outcome.returncode
    assert outcome.returncode == code, outcome.stdout + outcome.stderr
    return json.loads(outcome.stdout)["offsite"]


def opened(host: Host, settings: S3Repository | FolderRepository) -> Repository:
    (identifier,) = [int(path.name) for path in (host.base / MAIN / "pend" / "main").iterdir()]
    return repository_in(settings, identifier, host.keys)


def restores(server: Host, host: Host, settings: S3Repository | FolderRepository) -> None:
    """From this repository alone: it is the only one that the new host knows."""
    shutil.copytree(server.keys.directory, host.keys.directory, dirs_exist_ok=True)
    for path in (host.keys.directory, *host.keys.directory.iterdir()):
        shutil.chown(path, USER, USER)
    host.write_config(settings, keys={"directory": host.keys.directory})
    outcome = host.ops("backup", "restore", "latest", "--to", host.data_dir, "--target", "latest")
    assert outcome.returncode == 0, outcome.stderr
    host.start()
    wait_until("recovered", lambda: host.value("select not pg_is_in_recovery()"), deadline=60)
    assert host.value("select count(*) from t") == 2
    assert host.value("select count(*) from noise") == 100000


def test_the_copy_alone_restores_and_the_lag_is_told_before_and_after(
    server: Host, hosts: Callable[[str], Host], weed: Weed
) -> None:
    offsite = weed.settings(weed.make_bucket())
    with_copy(server, offsite)
    asked = datetime.now(UTC)
    before = run(server, "--check", code=1)
    answered = datetime.now(UTC)
    assert (len(before["missing_backups"]), before["copied_backups"]) == (2, [])
    assert before["missing_wal"] > 0
    source, target = opened(server, server.folder(MAIN)), opened(server, offsite)
    lacking = [*source.store.list(source.layout.wal_root), *source.store.list(source.layout.backups)]
    lacking += source.store.list(source.layout.drills)
    oldest = min(stored.modified for stored in lacking)
    lacking += source.store.list(source.layout.packs)
    assert before["missing_objects"] == len(lacking)
    assert before["missing_bytes"] == sum(stored.size for stored in lacking)
    assert (asked - oldest).total_seconds() - 0.1 < before["lag_seconds"] < (answered - oldest).total_seconds() + 0.1
    done = run(server)
    assert done["copied_backups"] == before["missing_backups"]
    nothing = {key: done[key] for key in ("missing_backups", "missing_wal", "missing_objects", "missing_bytes")}
    assert nothing == {"missing_backups": [], "missing_wal": 0, "missing_objects": 0, "missing_bytes": 0}
    assert done["lag_seconds"] == 0
    assert [target.store.get(stored.key) for stored in target.store.list(target.layout.drills)] == [b"{}"]
    assert run(server)["copied_pack_bytes"] == 0, "a second run has nothing to do"
    assert {backup.id for backup in catalog.backups(target)} == {backup.id for backup in catalog.backups(source)}
    assert server.ops("backup", "verify", "--repository", "offsite").returncode == 0
    assert server.ops("wal", "gaps", "--repository", "offsite").returncode == 0
    hidden = server.base / "hidden"
    (server.base / MAIN).rename(hidden)
    try:
        restores(server, hosts("restored"), offsite)
    finally:
        hidden.rename(server.base / MAIN)


def test_a_plaintext_repository_is_copied_into_an_encrypted_one_under_its_own_keys(
    server: Host, hosts: Callable[[str], Host]
) -> None:
    first, second = server.folder("first"), server.folder("second").model_copy(update={"encryption": "none"})
    with_copy(server, second)
    run(server)
    server.write_config(second, repositories={"offsite": first.model_dump(exclude_none=True)})
    run(server)
    source, target = opened(server, second), opened(server, first)
    assert source.describe().block_key != target.describe().block_key
    restores(server, hosts("restored"), first)


@pytest.mark.parametrize("point", ["mirror-packed", "mirror-listed", "mirror-committed"])
def test_killed_anywhere_the_copy_is_whole_and_the_next_run_goes_on(server: Host, point: str, tmp_path: Path) -> None:
    copy = server.folder(tmp_path.name)
    with_copy(server, copy)
    target, kills = opened(server, copy), 0
    source = opened(server, server.folder(MAIN))
    behind = first = lag(source, target).size
    while run(server, kill_at=point) != 0:
        kills += 1
        assert kills < 20
        before, behind = behind, lag(source, target).size
        assert behind <= before
        assert 0 <= behind < first, "what a killed run has copied is not lacking any more"
        if catalog.ids(target):
            assert server.ops("backup", "verify", "--all", "--repository", "offsite").returncode == 0
        if kills == 3:
            break
    assert kills >= 1
    run(server)
    assert len(catalog.ids(target)) == 2
    assert server.ops("backup", "verify", "--all", "--repository", "offsite").returncode == 0
    stored = sum(found.size for found in target.store.list(target.layout.packs))
    needed = {pack.id: pack.size for backup_id in catalog.ids(target) for pack in _packs(target, backup_id)}
    strays = stored - sum(needed.values())
    assert strays <= kills * 2 * max(needed.values()), "no more than the packs that were on their way"


def _packs(repository: Repository, backup_id: str) -> Any:
    return catalog.contents(repository, catalog.read(repository, backup_id)).packs


def test_a_damaged_pack_is_not_copied_and_named_and_does_not_keep_the_rest(server: Host, tmp_path: Path) -> None:
    broken, copy = server.folder(f"{tmp_path.name}-broken"), server.folder(f"{tmp_path.name}-copy")
    shutil.copytree(server.base / MAIN, broken.path, dirs_exist_ok=True)
    for path in broken.path.rglob("*"):
        shutil.chown(path, USER, USER)
    with_copy(server, copy, broken)
    source, target = opened(server, broken), opened(server, copy)
    first, second = catalog.ids(source)
    shared = {pack.id for pack in _packs(source, first)}
    own = next(pack.id for pack in _packs(source, second) if pack.id not in shared)
    path = broken.path / source.layout.pack(own)
    body = bytearray(path.read_bytes())
    body[20] ^= 1
    path.write_bytes(body)
    found = run(server, code=1)
    assert found["copied_backups"] == [first]
    assert own in found["refused"][0]["error"]
    assert catalog.ids(target) == [first]


def test_a_repository_that_gives_no_answer_is_not_known_to_be_behind(server: Host, s3_settings: S3Repository) -> None:
    with_copy(server, s3_settings.model_copy(update={"endpoint": "https://localhost:1", "attempts": 1}))
    found = run(server, code=3)
    assert found["lag_seconds"] is None
    assert found["trouble"]
