"""Encryption as a site meets it: nothing readable in the store, lost and wrong keys, rotation, what a key is worth."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.backup.exposure import examine
from ops.config import FolderRepository
from ops.postgres.control import ControlData
from ops.store.keyring import Keyring
from ops.store.repository import Repository
from ops.wal.contract import FetchExit

from ..waiting import wait_until
from .fix_postgres import USER, Host
from .fix_store import repository_in

pytestmark = pytest.mark.integration

CANARY = "a sentence that must not be readable in the store"


def new_secret() -> str:
    return base64.b64encode(os.urandom(32)).decode()


@pytest.fixture(scope="module")
def source(module_hosts: Callable[[str], Host]) -> Host:
    """A server that archives into an encrypted folder, with one backup, and WAL behind it."""
    host = module_hosts("pg")
    host.initdb("--wal-segsize=1")
    host.write_config(host.folder("original"))
    host.archive(wal_keep_size="64MB")
    host.start()
    host.sql(f"create table canary as select '{CANARY} ' || i as text from generate_series(1, 1000) i")
    assert host.ops("backup", "create").returncode == 0
    last = host.value("select pg_walfile_name(pg_switch_wal())")
    archived = "select coalesce(last_archived_wal, '') from pg_stat_archiver"
    wait_until("all is archived", lambda: host.value(archived), until=lambda name: bool(name >= last))
    host.stop()
    return host


@pytest.fixture
def host(source: Host, tmp_path: Path) -> Iterator[Host]:
    """The host with a copy of the repository and the keys, to do with as one likes."""
    settings = source.folder(tmp_path.name)
    shutil.copytree(source.base / "original", settings.path, dirs_exist_ok=True)
    for path in settings.path.rglob("*"):
        shutil.chown(path, USER, USER)
    kept = {path: path.read_text() for path in source.keys.directory.iterdir()}
    source.write_config(settings)
    yield source
    for path in source.keys.directory.iterdir():
        path.unlink()
    for path, text in kept.items():
        source.write(path, text, mode=0o400)


def opened(host: Host, tmp_path: Path) -> Repository:
    settings = FolderRepository(type="folder", path=host.base / tmp_path.name)
    return repository_in(settings, ControlData.read(host.data_dir).system_identifier, host.keys)


def opened_keyring(repository: Repository) -> Keyring:
    assert repository.keyring is not None
    return repository.keyring


def files(repository: Repository) -> dict[str, bytes]:
    return {stored.key: repository.store.get(stored.key) for stored in repository.store.list("")}


def segments(repository: Repository) -> list[str]:
    names = [stored.key.rpartition("/")[2] for stored in repository.store.list(repository.layout.wal_root)]
    return [name for name in names if len(name) == 24]


def as_json(host: Host, *arguments: str, code: int = 0) -> Any:
    outcome = host.ops(*arguments, "--json")
    assert outcome.returncode == code, outcome.stdout + outcome.stderr
    return json.loads(outcome.stdout)


def test_what_is_stored_shows_neither_data_nor_keys(host: Host, tmp_path: Path) -> None:
    secret = base64.b64decode((host.keys.directory / "test").read_text())
    repository = opened(host, tmp_path)
    hidden = [
        CANARY.encode(),
        secret,
        secret.hex().encode(),
        opened_keyring(repository).newest().secret,
        repository.block_key(repository.describe()),
        repository.block_key(repository.describe()).hex().encode(),
        b"START WAL LOCATION",
        b"base/1/1259",
    ]
    found = files(repository)
    assert any(key.startswith(repository.layout.packs) for key in found)
    for key, body in found.items():
        assert not [what for what in hidden if what in body], key


def test_an_encrypted_backup_is_restored_and_its_wal_fetched(host: Host, tmp_path: Path, workspace: Path) -> None:
    assert host.ops("backup", "restore", "latest", "--to", workspace / "restored").returncode == 0
    assert (workspace / "restored/global/pg_control").exists()
    name = segments(opened(host, tmp_path))[0]
    assert host.ops("wal", "fetch", name, workspace / "segment").returncode == 0
    assert (workspace / "segment").stat().st_size == 1 << 20


def test_without_the_key_everything_says_which_one_and_where_it_belongs(
    host: Host, tmp_path: Path, workspace: Path
) -> None:
    name = segments(opened(host, tmp_path))[0]
    (host.keys.directory / "test").unlink()
    host.write_key("other", new_secret())
    for code, arguments in (
        (200, ("wal", "fetch", name, workspace / "segment")),
        (3, ("backup", "restore", "latest", "--to", workspace / "restored")),
        (3, ("wal", "push", f"pg_wal/{name}")),
    ):
        outcome = host.ops(*arguments)
        assert outcome.returncode == code, outcome.stderr
        assert "the key-encryption key test" in outcome.stderr
        assert str(host.keys.directory / "test") in outcome.stderr
    assert list(workspace.iterdir()) == []


def test_a_standby_without_the_key_is_told_that_there_is_no_file(host: Host, tmp_path: Path, workspace: Path) -> None:
    name = segments(opened(host, tmp_path))[0]
    (host.keys.directory / "test").unlink()
    host.write(host.data_dir / "standby.signal", "")
    try:
        host.write_config(host.folder(tmp_path.name), wal={"standby_patience": 0.5})
        outcome = host.ops("wal", "fetch", name, workspace / "segment")
    finally:
        (host.data_dir / "standby.signal").unlink()
    assert outcome.returncode == FetchExit.ABSENT, outcome.stderr
    assert "test" in outcome.stderr


def test_another_key_of_the_same_name_is_told_from_the_right_one(host: Host, workspace: Path) -> None:
    host.write_key("test", new_secret())
    outcome = host.ops("backup", "restore", "latest", "--to", workspace / "restored")
    assert outcome.returncode == 3
    assert "is not the key that wrapped" in outcome.stderr
    assert "fingerprint" in outcome.stderr


def test_a_key_that_others_may_read_is_not_used(host: Host) -> None:
    (host.keys.directory / "test").chmod(0o444)
    outcome = host.ops("backup", "list")
    assert (outcome.returncode, "can be read by others" in outcome.stderr) == (2, True)


def test_a_repository_keeps_to_what_it_was_made_as(host: Host, tmp_path: Path) -> None:
    settings, name = host.folder(tmp_path.name), segments(opened(host, tmp_path))[0]
    host.write_config(settings.model_copy(update={"encryption": "none"}))
    pushed = host.ops("wal", "push", f"pg_wal/{name}")
    assert (pushed.returncode, "has encryption 'aes-256-gcm'" in pushed.stderr) == (1, True), pushed.stderr
    assert host.ops("wal", "fetch", name, "pg_wal/RECOVERYXLOG").returncode == 200
    assert not (host.data_dir / "pg_wal/RECOVERYXLOG").exists()
    host.write_config(host.folder(f"{tmp_path.name}-plain").model_copy(update={"encryption": "none"}))
    assert host.ops("wal", "push", f"pg_wal/{name}").returncode == 0
    host.write_config(host.folder(f"{tmp_path.name}-plain"))
    fetched = host.ops("wal", "fetch", name, "pg_wal/RECOVERYXLOG")
    assert (fetched.returncode, "it is plaintext" in fetched.stderr) == (200, True), fetched.stderr


def test_a_rotation_adds_keys_and_leaves_every_other_object_alone(host: Host, tmp_path: Path, workspace: Path) -> None:
    repository = opened(host, tmp_path)
    before = files(repository)
    host.write_key("newer", new_secret())
    host.write_config(host.folder(tmp_path.name), keys={"current": "newer"})
    assert len(as_json(host, "keys", "rotate")["wrapped"]) == 1
    assert as_json(host, "keys", "rotate")["wrapped"] == []
    after = files(repository)
    assert {key: after[key] for key in before} == before
    (added,) = after.keys() - before.keys()
    assert added.startswith(repository.layout.keys)
    assert added.endswith(".newer")
    (host.keys.directory / "test").unlink()
    assert host.ops("backup", "restore", "latest", "--to", workspace / "restored").returncode == 0


def test_a_new_data_key_seals_what_comes_and_the_old_one_opens_what_was(
    host: Host, tmp_path: Path, workspace: Path
) -> None:
    repository = opened(host, tmp_path)
    old, pg_wal = as_json(host, "keys", "list")["data_keys"][0]["id"], host.data_dir / "pg_wal"
    name, fresh = segments(repository)[-2:]
    repository.store.delete(f"{repository.layout.wal_root}{fresh[:8]}/{fresh}")
    made = as_json(host, "keys", "rotate", "--data-key")["made"]
    assert made > old
    # What is there already, sealed with the old key, is found to be the same; what is new takes the new key.
    assert "already" in host.ops("wal", "push", f"pg_wal/{name}").stderr
    assert host.ops("wal", "push", f"pg_wal/{fresh}").returncode == 0
    for each in (name, fresh):
        assert host.ops("wal", "fetch", each, workspace / each).returncode == 0
        assert (workspace / each).read_bytes() == (pg_wal / each).read_bytes()
    uses = examine(repository, opened_keyring(repository), lambda done, total: None).uses
    assert uses[made].wal == [fresh]
    assert name in uses[old].wal


def test_the_check_says_what_each_key_is_worth(host: Host, tmp_path: Path) -> None:
    repository = opened(host, tmp_path)
    (backup,) = {key.split("/")[4] for key in files(repository) if key.startswith(repository.layout.backups)}
    all_is_well = as_json(host, "keys", "check")
    assert all_is_well["ok"]
    assert set(segments(repository)) <= set(all_is_well["costs"]["test"]["wal"])
    assert all_is_well["costs"]["test"]["backups"] == [backup]
    lost = as_json(host, "keys", "check", "--without", "test", code=1)
    assert lost["without"]["lost"]["backups"] == [backup]
    host.write_key("newer", new_secret())
    host.write_config(host.folder(tmp_path.name), keys={"current": "newer"})
    as_json(host, "keys", "rotate")
    assert as_json(host, "keys", "check", "--without", "test")["without"]["lost"]["wal"] == []
    assert host.ops("keys", "check", "--without", "unknown").returncode == 2


def test_the_check_finds_what_cannot_be_opened_here_or_anywhere(host: Host, tmp_path: Path) -> None:
    repository = opened(host, tmp_path)
    (wrapped,) = [key for key in files(repository) if key.startswith(repository.layout.keys)]
    (host.keys.directory / "test").rename(host.base / "test.away")
    away = as_json(host, "keys", "check", code=1)
    assert set(segments(repository)) <= set(away["unreadable_here"]["wal"])
    assert list(away["closed"].values()) == ["needs the key test"]
    (host.base / "test.away").rename(host.keys.directory / "test")
    repository.store.delete(wrapped)
    gone = as_json(host, "keys", "check", code=1)
    assert list(gone["closed"].values()) == ["no wrapped copy of it is left in the store"]
    printed = host.ops("keys", "check")
    assert (printed.returncode, "CLOSED" in printed.stdout) == (1, True)


@pytest.mark.parametrize("bit", [80, 900, 1500, 3000])
def test_a_flipped_bit_in_a_wrapped_key_is_named_and_opens_nothing(
    host: Host, tmp_path: Path, workspace: Path, bit: int
) -> None:
    repository = opened(host, tmp_path)
    (wrapped,) = [key for key in files(repository) if key.startswith(repository.layout.keys)]
    path = host.base / tmp_path.name / wrapped
    body = bytearray(path.read_bytes())
    body[(bit // 8) % len(body)] ^= 1 << bit % 8
    path.write_bytes(body)
    outcome = host.ops("backup", "restore", "latest", "--to", workspace / "restored")
    assert outcome.returncode in (1, 3)
    assert wrapped.rpartition("/")[2].partition(".")[0] in outcome.stderr
    assert not (workspace / "restored").exists()
