"""`ops backup verify` reads what is stored: a flipped bit anywhere is named, with what it costs."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.backup import catalog
from ops.backup.verify import Report, verify
from ops.config import FolderRepository, S3Repository
from ops.model.pack import FOOTER
from ops.store import open_store
from ops.store.repository import Repository, current

from .fix_postgres import USER, Host
from .fix_store import repository_in

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", params=["aes-256-gcm", "none"])
def server(request: pytest.FixtureRequest, module_hosts: Callable[[str], Host]) -> Host:
    """A server with two backups in a folder, with WAL behind each of them; encrypted and not."""
    host = module_hosts(f"pg-{request.param}")
    host.initdb("--wal-segsize=1")
    host.write_config(host.folder("original").model_copy(update={"encryption": request.param}))
    host.archive()
    host.start()
    for number in range(2):
        host.sql(f"create table t{number} as select sha512(i::text::bytea) from generate_series(1, 5000) i")
        taken = host.ops("backup", "create", "--json")
        assert taken.returncode == 0, taken.stderr
        host.archive_all()
    host.stop()
    return host


@pytest.fixture
def settings(server: Host, tmp_path: Path) -> Iterator[FolderRepository]:
    """A copy of the repository, to damage, and the host's configuration for it."""
    encryption = "none" if "none" in server.base.name else "aes-256-gcm"
    settings = server.folder(tmp_path.name).model_copy(update={"encryption": encryption})
    shutil.copytree(server.base / "original", settings.path, dirs_exist_ok=True)
    for path in settings.path.rglob("*"):
        shutil.chown(path, USER, USER)
    server.write_config(settings)
    yield settings
    shutil.rmtree(settings.path)


@pytest.fixture
def repository(server: Host, settings: FolderRepository) -> Repository:
    identifier = current(open_store(settings), "pend", "main", None).system_identifier
    return repository_in(settings, identifier, server.keys)


def look(repository: Repository, before: int = 0) -> Report:
    fresh = repository_like(repository)
    return verify(fresh, before=before, progress=lambda done, total: None)


def repository_like(repository: Repository) -> Repository:
    """The same, without the keys that it has opened already."""
    if repository.keyring is None:
        return repository
    ring = type(repository.keyring)(repository.store, repository.layout, repository.keyring.files)
    return Repository(repository.store, repository.layout, ring)


def path_of(repository: Repository, key: str) -> Path:
    return Path(repository.store.name) / repository.layout.root / key


def flip(path: Path, byte: int, bit: int = 0) -> None:
    body = bytearray(path.read_bytes())
    body[byte] ^= 1 << bit
    path.write_bytes(body)


def packs(repository: Repository, backup_id: str) -> list[str]:
    return [pack.id for pack in catalog.contents(repository, catalog.read(repository, backup_id)).packs]


def test_what_is_whole_is_verified_once_and_then_remembered(server: Host, repository: Repository) -> None:
    def run(*options: str) -> Any:
        outcome = server.ops("backup", "verify", "--json", *options)
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
        return json.loads(outcome.stdout)

    first = run()
    assert (first["ok"], first["backups"], first["damaged"]) == (True, 2, [])
    assert first["verified_now"] == first["packs"] > 0
    assert first["verified_now_bytes"] == first["stored_bytes"]
    assert run()["verified_now"] == 0
    assert run("--all")["verified_now"] == first["packs"]
    assert "all is as it was put" in server.ops("backup", "verify").stdout


def test_a_flipped_bit_of_any_object_that_a_backup_consists_of_is_named(repository: Repository) -> None:
    """Ten bits, anywhere, of each kind of object; the next run starts from whole objects.

    Without encryption a few bits of a zstd frame mean nothing: what unpacks to the very same bytes is no damage.
    """
    newest = catalog.ids(repository)[-1]
    manifest = catalog.read(repository, newest)
    harmless = 0
    pack = f"packs/{packs(repository, newest)[0]}"
    for key in (pack, f"backups/{newest}/manifest", f"backups/{newest}/files"):
        path = path_of(repository, key)
        whole = path.read_bytes()
        for seed in range(10):
            flip(path, random.Random(seed).randrange(len(whole)), seed % 8)
            report = look(repository)
            if not report.damaged and repository.keyring is None and key != pack:
                assert catalog.read(repository, newest) == manifest
                assert catalog.contents(repository, manifest)
                harmless += 1
                path.write_bytes(whole)
                continue
            assert key in [damage.key for damage in report.damaged], (key, seed)
            assert newest in {name for damage in report.damaged for name in damage.backups}
            assert newest in [loss.backup for loss in report.losses]
            path.write_bytes(whole)
    assert look(repository).damaged == []
    assert harmless <= 2


def test_a_damaged_block_is_named_by_the_files_that_lie_in_it_and_the_index_by_all(
    server: Host, repository: Repository
) -> None:
    backup_id = catalog.ids(repository)[0]
    contents = catalog.contents(repository, catalog.read(repository, backup_id))
    first = contents.packs[0]
    path = path_of(repository, f"packs/{first.id}")
    whole = path.read_bytes()
    everything = {file.path for file in contents.files if any(run.pack == 0 for run in file.runs)}

    flip(path, 8 + 1)  # in the first block
    outcome = server.ops("backup", "verify", "--json")
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    (damage,) = json.loads(outcome.stdout)["damaged"]
    assert damage["object"] == f"packs/{first.id}"
    (cost,) = [cost for cost in damage["backups"] if cost["id"] == backup_id]
    holding = {file.path for file in contents.files for run in file.runs if (run.pack, run.first) == (0, 0)}
    assert set(cost["files"]) == holding
    assert len(holding) < len(everything)
    told = server.ops("backup", "verify").stdout
    assert f"DAMAGED  packs/{first.id}" in told
    assert min(holding) in told

    for byte in (3, len(whole) - FOOTER.size - 5, len(whole) - 3):  # magic, index, footer
        path.write_bytes(whole)
        flip(path, byte)
        (found,) = look(repository).damaged
        assert set(found.backups[backup_id] or ()) == everything


def test_a_pack_that_is_gone_is_named(repository: Repository) -> None:
    name = packs(repository, catalog.ids(repository)[0])[0]
    path_of(repository, f"packs/{name}").unlink()
    (damage,) = look(repository).damaged
    assert (damage.key, damage.detail) == (f"packs/{name}", "is not there")


def test_wal_that_a_backup_needs_is_missed(repository: Repository) -> None:
    backup = catalog.read(repository, catalog.ids(repository)[0]).backup
    path_of(repository, f"wal/{backup.first_segment[:8]}/{backup.first_segment}").unlink()
    (damage,) = look(repository).damaged
    assert damage.key.endswith(backup.first_segment)
    assert damage.backups == {backup.id: None}


def test_a_damaged_key_is_named_with_all_that_it_costs(repository: Repository) -> None:
    if repository.keyring is None:
        pytest.skip("there are no keys")
    (path,) = path_of(repository, "keys").iterdir()
    whole = path.read_bytes()
    for seed in range(10):
        flip(path, random.Random(seed).randrange(len(whole)), seed % 8)
        report = look(repository)
        said = {damage.key for damage in report.damaged}
        # A bit in the fingerprint looks like another secret of that name: nobody can tell, and nothing is called good.
        assert f"keys/{path.name}" in said or report.unknown, seed
        assert report.unknown or {loss.backup for loss in report.losses} == set(catalog.ids(repository))
        path.write_bytes(whole)


def test_a_damaged_description_of_the_repository_is_named(repository: Repository) -> None:
    path = path_of(repository, "repository.json")
    whole = path.read_bytes()
    for word in (b'"cluster"', b'"block_key"', b'"encryption"', b'"block_hash": "h', b'"block_size": 131072'):
        flip(path, whole.index(word) + len(word) - 1)
        report = look(repository)
        assert "repository.json" in [damage.key for damage in report.damaged], word
        assert {loss.backup for loss in report.losses} == set(catalog.ids(repository))
        path.write_bytes(whole)


def test_what_damage_costs_is_the_time_that_no_other_backup_reaches(repository: Repository) -> None:
    first, second = catalog.backups(repository)
    shared = set(packs(repository, first.id))
    own = next(name for name in packs(repository, second.id) if name not in shared)
    path_of(repository, f"packs/{own}").unlink()
    (loss,) = look(repository).losses
    assert (loss.backup, loss.instead, loss.until) == (second.id, first.id, None)

    path_of(repository, f"backups/{first.id}/files").unlink()
    losses = {loss.backup: loss for loss in look(repository).losses}
    assert losses[first.id].instead is None
    assert losses[first.id].since == first.stop_time
    assert losses[second.id].since == second.stop_time


def test_without_an_answer_or_a_key_there_is_no_verdict(
    server: Host, settings: FolderRepository, s3_settings: S3Repository
) -> None:
    server.write_config(s3_settings.model_copy(update={"endpoint": "https://localhost:1", "attempts": 1}))
    assert server.ops("backup", "verify", "--json").returncode == 3
    if settings.encryption != "none":
        server.write_config(settings, keys={"directory": server.base / "no-keys"})
        assert server.ops("backup", "verify", "--json").returncode == 3
