"""What goes wrong with base backups: each is noticed, named, and leaves with the documented exit code."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops.backup import catalog
from ops.backup.create import create
from ops.backup.packer import Packer, Packs
from ops.backup.reader import Reader
from ops.backup.report import Meter, Silent
from ops.backup.restore import restore_files
from ops.config import FolderRepository, load
from ops.errors import OpsError, Unreachable
from ops.model.manifest import File
from ops.store import open_store
from ops.store.codec import Damaged, Foreign
from ops.store.repository import Repository, current

from ..waiting import wait_until
from .fix_postgres import OPS, USER, Host, as_postgres
from .fix_store import repository_in

pytestmark = pytest.mark.integration


def folder(workspace: Path) -> FolderRepository:
    path = workspace / "repository"
    path.mkdir()
    shutil.chown(path, USER, USER)
    return FolderRepository(type="folder", path=path)


@pytest.fixture(scope="module")
def host(module_hosts: Callable[[str], Host]) -> Host:
    """A primary that archives into a folder beside it. Whoever breaks it mends it."""
    host = module_hosts("primary")
    host.initdb()
    host.write_config(folder(host.base))
    host.archive()
    host.start()
    return host


@pytest.fixture(scope="module")
def repository(host: Host) -> FolderRepository:
    return FolderRepository(type="folder", path=host.base / "repository")


@pytest.fixture(scope="module")
def taken(host: Host) -> str:
    """The id of a backup that is whole."""
    return take(host)


def take(host: Host) -> str:
    outcome = host.ops("backup", "create", "--json")
    assert outcome.returncode == 0, outcome.stderr
    backup_id: str = json.loads(outcome.stdout)["id"]
    return backup_id


def opened(host: Host, settings: FolderRepository) -> Repository:
    """The host's repository, with its keys, seen from the test."""
    identifier = current(open_store(settings), "pend", "main", None).system_identifier
    return repository_in(settings, identifier, host.keys)


def committed(repository: FolderRepository) -> list[Path]:
    return sorted(repository.path.glob("pend/main/*/backups/*/manifest"))


def packs(repository: FolderRepository) -> list[Path]:
    return sorted(repository.path.glob("pend/main/*/packs/*"))


def packs_of(store: Repository, backup_id: str, repository: FolderRepository) -> list[Path]:
    """The packs that one backup refers to."""
    contents = catalog.contents(store, catalog.read(store, backup_id))
    return [repository.path / store.layout.pack(pack.id) for pack in contents.packs]


@contextmanager
def archiving_stopped(host: Host) -> Iterator[None]:
    host.configure(archive_command="false")
    host.sql("select pg_reload_conf()")
    yield
    host.archive()
    host.sql("select pg_reload_conf()")


def flip(path: Path, bit: int) -> None:
    body = bytearray(path.read_bytes())
    body[bit // 8] ^= 1 << bit % 8
    path.write_bytes(body)


def test_before_the_first_backup_the_way_to_it_is_named(hosts: Callable[[str], Host], workspace: Path) -> None:
    host = hosts("new")
    host.initdb()
    host.write_config(folder(workspace))
    host.archive()
    host.start()
    host.sql("select pg_switch_wal()")
    wait_until("the repository", lambda: host.value("select last_archived_wal from pg_stat_archiver"))
    restore = ["restore", "latest", "--to", "new"]
    for arguments, code, words in (
        (["list"], 0, "No base backup yet"),
        (["show", "latest"], 1, "ops backup create"),
        (restore, 1, "ops backup create"),
        ([*restore, "--target", "tomorrow"], 2, "not a recovery target"),
        ([*restore, "--tablespace", "here"], 2, "OID=DIR"),
    ):
        outcome = host.ops("backup", *arguments)
        assert (outcome.returncode, words in outcome.stderr) == (code, True), outcome.stderr


def test_a_server_that_is_not_set_for_it_is_not_backed_up(hosts: Callable[[str], Host], workspace: Path) -> None:
    host, repository = hosts("unfit"), folder(workspace)
    host.initdb()
    host.write_config(repository)
    for settings, words in (
        ({"archive_mode": "off"}, "archive_mode is off"),
        ({"wal_level": "minimal", "max_wal_senders": 0}, "wal_level is 'minimal'"),
        ({"wal_level": "replica", "archive_mode": "on", "full_page_writes": "off"}, "full_page_writes is off"),
    ):
        host.configure(**settings)
        host.start()
        outcome = host.ops("backup", "create")
        assert (outcome.returncode, words in outcome.stderr) == (1, True), outcome.stderr
        assert packs(repository) == []
        host.stop()


def test_names_and_places_that_cannot_be_are_refused(host: Host, taken: str, workspace: Path) -> None:
    wrong = host.ops("backup", "show", taken.replace("Z", "z"))
    assert (wrong.returncode, "Did you mean" in wrong.stderr) == (2, True), wrong.stderr

    before = sorted(path.name for path in host.data_dir.iterdir())
    full = host.ops("backup", "restore", "latest", "--to", host.data_dir)
    assert (full.returncode, "is not empty" in full.stderr) == (1, True), full.stderr
    assert sorted(path.name for path in host.data_dir.iterdir()) == before

    unknown = host.ops("backup", "restore", taken, "--to", workspace / "new", "--tablespace", f"77={workspace}/x")
    assert (unknown.returncode, "no tablespace 77" in unknown.stderr) == (1, True), unknown.stderr


def test_a_directory_that_may_not_be_written_is_refused(host: Host, taken: str, workspace: Path) -> None:
    closed = workspace / "closed"
    closed.mkdir(mode=0o500)
    shutil.chown(closed, USER, USER)
    for place in (closed, closed / "new"):
        outcome = host.ops("backup", "restore", taken, "--to", place)
        assert (outcome.returncode, "may not write to" in outcome.stderr) == (1, True), outcome.stderr


def test_a_store_or_server_that_is_away_leaves_the_question_open(
    host: Host, repository: FolderRepository, taken: str
) -> None:
    away = repository.path.with_name("away")
    repository.path.rename(away)
    for arguments in (["list"], ["create"], ["restore", taken, "--to", "new"]):
        outcome = host.ops("backup", *arguments)
        assert (outcome.returncode, "does not answer" in outcome.stderr) == (3, True), outcome.stderr
    away.rename(repository.path)
    host.stop()
    outcome = host.ops("backup", "create")
    assert (outcome.returncode, "does not let us in" in outcome.stderr) == (3, True), outcome.stderr
    host.start()


def test_a_backup_whose_wal_does_not_arrive_is_none(host: Host, repository: FolderRepository) -> None:
    before = committed(repository)
    host.write_config(repository, backup={"wal_timeout": 1})
    with archiving_stopped(host):
        outcome = host.ops("backup", "create")
    host.write_config(repository)
    assert outcome.returncode == 1
    assert re.search(r"WAL segment [0-9A-F]{24} is not in .*ops wal push", outcome.stderr, re.DOTALL)
    assert committed(repository) == before


def test_a_killed_backup_is_none_and_the_next_one_works(host: Host, repository: FolderRepository) -> None:
    before, packs_before = committed(repository), packs(repository)
    with archiving_stopped(host):
        process = subprocess.Popen(
            as_postgres([OPS, "backup", "create"]),
            env={**os.environ, "OPS_CONFIG": str(host.config_file)},
            stderr=subprocess.DEVNULL,
        )
        # What it copies is there, and it waits for WAL: the last moment before the commit.
        wait_until("packs are stored", lambda: len(packs(repository)) > len(packs_before))
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
    assert committed(repository) == before
    take(host)
    assert len(committed(repository)) == len(before) + 1


class Terminator(Silent):
    """Ends the server's side of a backup as soon as the first bytes have been read."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def progress(self, done: int, total: int) -> None:
        self._host.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ops backup create'"
        )


def test_a_backup_whose_connection_is_lost_is_none(host: Host, repository: FolderRepository) -> None:
    before, config = committed(repository), load(host.config_file)
    with pytest.raises(Unreachable, match="connection that holds the backup open is lost"):
        create(config, open_store(config.repository), Terminator(host))
    assert committed(repository) == before


def test_a_file_that_cannot_be_read_fails_the_backup_by_name(
    host: Host, repository: FolderRepository, taken: str, tmp_path: Path
) -> None:
    store = opened(host, repository)
    packer = Packer(store, Packs(), bytes(32), level=1)
    # These tests may read every file; so what cannot be read is a directory in a file's place.
    (tmp_path / "base").mkdir()
    reader = Reader(tmp_path, 8192, Meter(8192, lambda done, total: None))
    with pytest.raises(OpsError, match=f"could not read {tmp_path}/base"):
        reader.read([File("base", 8192, 0o600, 0)], [packer], while_waiting=lambda: None)


def test_a_flipped_bit_anywhere_is_refused_by_name_and_nothing_can_start(
    host: Host, repository: FolderRepository, taken: str, workspace: Path
) -> None:
    store = opened(host, repository)
    backup = catalog.get(store, taken)
    manifest = repository.path / store.layout.manifest(taken)
    files = manifest.with_name("files")
    pack = max(packs_of(store, taken, repository), key=lambda path: path.stat().st_size)
    size = pack.stat().st_size
    luck = random.Random(20261121)
    places = {
        manifest: [3, luck.randrange(manifest.stat().st_size * 8)],
        files: [luck.randrange(files.stat().st_size * 8)],
        # The magic, some blocks, the index, the footer and its very last bit.
        pack: [
            0,
            8 * 8,
            *(luck.randrange(size * 8) for _ in range(8)),
            (size - 500) * 8,
            (size - 60) * 8,
            size * 8 - 1,
        ],
    }
    target = workspace / "restored"
    for path, bits in places.items():
        whole = path.read_bytes()
        for bit in bits:
            flip(path, bit)
            with pytest.raises(OpsError) as caught:
                restore_files(store, backup, target, workers=2, progress=lambda done, total: None)
            assert isinstance(caught.value, Damaged | Foreign), f"bit {bit} of {path}: {caught.value}"
            name = taken if path != pack else pack.name
            assert name in caught.value.message, f"bit {bit} of {path}: {caught.value}"
            assert not (target / "global/pg_control").exists()
            shutil.rmtree(target, ignore_errors=True)
            path.write_bytes(whole)
    restore_files(store, backup, target, workers=2, progress=lambda done, total: None)
    assert (target / "global/pg_control").exists()


def test_a_damaged_backup_does_not_hide_the_others(host: Host, repository: FolderRepository, taken: str) -> None:
    wait_until("another second", lambda: not taken.startswith(f"{datetime.now(UTC):%Y%m%dT%H%M%S}"))
    other = take(host)
    (manifest,) = [path for path in committed(repository) if path.parent.name == other]
    flip(manifest, 5)
    listed = host.ops("backup", "list")
    flip(manifest, 5)
    assert (listed.returncode, other in listed.stderr) == (1, True), listed.stderr
    assert taken in listed.stdout


def test_a_pack_that_is_gone_is_named(host: Host, repository: FolderRepository, taken: str, workspace: Path) -> None:
    store = opened(host, repository)
    pack = packs_of(store, taken, repository)[0]
    pack.rename(workspace / "pack")
    outcome = host.ops("backup", "restore", taken, "--to", workspace / "restored")
    (workspace / "pack").rename(pack)
    assert (outcome.returncode, f"pack {pack.name}" in outcome.stderr) == (1, True), outcome.stderr
