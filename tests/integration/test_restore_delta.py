"""Restoring over what is there: only what differs is fetched, what does not belong goes, and kill -9 does no harm.

The directory that is restored over is always a copy of the primary's as it was after more had been written to it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ops.backup import catalog
from ops.backup.place import Consent
from ops.backup.restore import POINTS, restore_files
from ops.config import FolderRepository
from ops.model.backup import Backup
from ops.model.blocks import BLOCK_SIZE
from ops.model.manifest import Contents
from ops.store.damage import Damaged
from ops.store.repository import Repository

from ..waiting import wait_until
from .fix_postgres import BIN_DIR, OPS, USER, Host, as_postgres, run_as_postgres
from .fix_store import repository_in

pytestmark = pytest.mark.integration

SPACE = "elsewhere"
CONTENTS = "select count(*) || ' rows, ' || coalesce(sum(hashtextextended(t::text, 0)), 0) from {table} t"


@dataclass
class Origin:
    """A primary, stopped, whose data have gone on since its backup."""

    primary: Host
    repository: FolderRepository
    backup: dict[str, Any]
    rows: str
    oid: str


@pytest.fixture(scope="module")
def origin(module_hosts: Callable[[str], Host]) -> Origin:
    primary = module_hosts("primary")
    primary.initdb("--wal-segsize=1")
    repository = primary.folder()
    primary.write_config(repository)
    primary.archive()
    primary.start()
    space = primary.base / "space"
    space.mkdir(mode=0o700)
    shutil.chown(space, USER, USER)
    primary.sql(f"create tablespace {SPACE} location '{space}'")
    primary.sql("create table big as select i, repeat(md5(i::text), 10) as t from generate_series(1, 40000) i")
    primary.sql(f"create table aside tablespace {SPACE} as select generate_series(1, 5000) i")
    primary.sql("vacuum")
    rows = primary.value(CONTENTS.format(table="big"))
    taken = primary.ops("backup", "create", "--json")
    assert taken.returncode == 0, taken.stderr
    primary.sql("update big set t = 'changed' where i = 17")
    primary.sql("create table later as select generate_series(1, 1000) i")
    primary.sql("drop table aside")
    segment = primary.value("select pg_walfile_name(pg_switch_wal())")
    wait_until(
        "all of it archived",
        lambda: primary.value("select last_archived_wal from pg_stat_archiver"),
        until=lambda last: last is not None and last >= segment,
    )
    oid = primary.value(f"select oid::text from pg_tablespace where spcname = '{SPACE}'")
    primary.stop()
    return Origin(primary, repository, json.loads(taken.stdout), rows, oid)


@pytest.fixture
def copy(origin: Origin, hosts: Callable[[str], Host]) -> Host:
    """A host of its own with the primary's data as they are now, its tablespace in a place of its own."""
    host = hosts("copy")
    host.clone(origin.primary.data_dir)
    host.write_config(origin.repository)
    place = host.base / "data.tablespaces"
    run_as_postgres(["mkdir", place])
    run_as_postgres(["cp", "-a", origin.primary.base / "space", place / origin.oid])
    run_as_postgres(["ln", "-sfn", place / origin.oid, host.data_dir / "pg_tblspc" / origin.oid])
    return host


def restore(host: Host, *options: str, target: str = "immediate") -> subprocess.CompletedProcess[str]:
    return host.ops("backup", "restore", "latest", "--to", host.data_dir, "--target", target, "--json", *options)


def killed(host: Host, point: str, *options: str) -> None:
    command: list[str | Path] = [
        OPS,
        "backup",
        "restore",
        "latest",
        "--to",
        host.data_dir,
        "--target",
        "immediate",
        *options,
    ]
    environment = {**os.environ, "OPS_CONFIG": str(host.config_file), "OPS_KILL_AT": point}
    outcome = subprocess.run(as_postgres(command), env=environment, cwd=host.base, capture_output=True, check=False)
    assert outcome.returncode == -9, outcome.stderr


def assert_restored(host: Host, origin: Origin) -> None:
    """It starts, recovers to the end of the backup, and holds what was in it, on pages that are whole."""
    host.start()
    wait_until("paused", lambda: host.value("select pg_get_wal_replay_pause_state()") == "paused")
    assert host.value(CONTENTS.format(table="big")) == origin.rows
    assert host.value("select count(*) from aside") == 5000
    assert host.value("select to_regclass('later')") is None
    host.stop()


DELTA = ("--delta", "--confirm", "main")


def test_only_what_differs_is_fetched_and_what_does_not_belong_goes(origin: Origin, copy: Host) -> None:
    for name in ("stray", "base/stray", "global/999999", f"pg_tblspc/{origin.oid}/PG_14_1/kept"):
        (copy.data_dir / name).parent.mkdir(exist_ok=True)
        copy.write(copy.data_dir / name, "x")
    (copy.data_dir / "pg_stray").mkdir()
    (copy.data_dir / "link").symlink_to("/etc")
    outcome = restore(copy, *DELTA)
    assert outcome.returncode == 0, outcome.stderr
    done = json.loads(outcome.stdout)
    assert done["reused_bytes"] + done["fetched_bytes"] == done["bytes"] == origin.backup["size"]
    assert done["fetched_bytes"] < done["bytes"] / 4
    for name in ("stray", "base/stray", "global/999999", "pg_stray", "link"):
        assert not (copy.data_dir / name).exists()
    assert (copy.data_dir / f"pg_tblspc/{origin.oid}/PG_14_1/kept").exists()
    assert Path("/etc/passwd").exists()
    assert_restored(copy, origin)
    assert copy.data_dir.joinpath(f"pg_tblspc/{origin.oid}").readlink() == copy.base / "data.tablespaces" / origin.oid


def test_the_same_again_fetches_next_to_nothing(origin: Origin, copy: Host) -> None:
    assert restore(copy, *DELTA).returncode == 0
    again = restore(copy, *DELTA)
    assert again.returncode == 0, again.stderr
    # pg_control, which is always written anew, and the file that recovery settings went into.
    assert json.loads(again.stdout)["fetched_bytes"] < 16 * 1024


def test_time_and_size_are_not_believed(origin: Origin, copy: Host) -> None:
    """A bit that has turned in a file, of which nothing else tells, is what a restore is for."""
    assert restore(copy, *DELTA).returncode == 0
    file = max((copy.data_dir / "base").glob("*/*"), key=lambda path: path.stat().st_size)
    before, whole = file.stat(), file.read_bytes()
    with file.open("r+b") as stream:
        stream.seek(len(whole) // 2)
        stream.write(bytes([whole[len(whole) // 2] ^ 1]))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert restore(copy, *DELTA).returncode == 0
    assert file.read_bytes() == whole


def test_nothing_is_written_through_a_name_that_is_somebody_elses(origin: Origin, copy: Host) -> None:
    file = max((copy.data_dir / "base").glob("*/*"), key=lambda path: path.stat().st_size)
    theirs = copy.base / "theirs"
    theirs.hardlink_to(file)
    with theirs.open("r+b") as stream:
        stream.write(b"theirs")
    version, elsewhere = copy.data_dir / "PG_VERSION", copy.base / "version"
    version.rename(elsewhere)
    version.symlink_to(elsewhere)
    copy.write(elsewhere, "theirs")
    assert restore(copy, *DELTA).returncode == 0
    assert theirs.read_bytes()[:6] == b"theirs"
    assert file.read_bytes()[:6] != b"theirs"
    assert (elsewhere.read_text(), version.read_text()) == ("theirs", "15\n")


def listing(root: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.lstat().st_mtime_ns) for path in root.rglob("*"))


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ((), 1, "is not empty"),
        (("--delta",), 1, "holds a database that would be lost"),
        (("--delta", "--confirm", "mian"), 2, "the cluster is main, not mian"),
    ],
)
def test_a_database_is_not_lost_without_its_cluster_s_name(
    origin: Origin, copy: Host, options: tuple[str, ...], code: int, words: str
) -> None:
    before = listing(copy.data_dir)
    outcome = restore(copy, *options)
    assert (outcome.returncode, words in outcome.stderr) == (code, True), outcome.stderr
    assert listing(copy.data_dir) == before


def test_a_directory_that_a_server_runs_in_is_refused_whatever_is_said(origin: Origin, copy: Host) -> None:
    copy.configure(archive_mode="off")
    copy.start()
    outcome = restore(copy, *DELTA)
    assert (outcome.returncode, "a server runs in it" in outcome.stderr) == (1, True), outcome.stderr
    assert copy.value("select count(*) from later") == 1000


def test_another_database_is_refused_by_its_identifier_and_goes_when_told(
    origin: Origin, hosts: Callable[[str], Host]
) -> None:
    other = hosts("other")
    other.initdb(stranger=True)
    other.write_config(origin.repository)
    refused = restore(other, "--delta")
    assert (refused.returncode, "another cluster's database" in refused.stderr) == (1, True), refused.stderr
    assert restore(other, *DELTA).returncode == 0
    assert_restored(other, origin)


def test_a_directory_that_is_no_database_is_refused_whatever_is_said(
    origin: Origin, hosts: Callable[[str], Host]
) -> None:
    host = hosts("home")
    host.write_config(origin.repository)
    host.data_dir.mkdir()
    shutil.chown(host.data_dir, USER, USER)
    host.write(host.data_dir / "thesis", "precious")
    outcome = restore(host, *DELTA)
    assert (outcome.returncode, "no database" in outcome.stderr) == (1, True), outcome.stderr
    assert (host.data_dir / "thesis").read_text() == "precious"


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_restore_cannot_start_and_the_same_command_ends_it(
    origin: Origin, hosts: Callable[[str], Host], point: str
) -> None:
    host = hosts("new")
    host.write_config(origin.repository)
    killed(host, point)
    if point == POINTS[-1]:
        assert restore(host).returncode == 1  # it is whole, and somebody may have begun to use it
    else:
        assert_cannot_start(host)
        outcome = restore(host)
        assert outcome.returncode == 0, outcome.stderr
        if POINTS.index(point) >= POINTS.index("restore-unpacked"):
            assert json.loads(outcome.stdout)["fetched_bytes"] < 16 * 1024
    assert_restored(host, origin)


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_delta_cannot_start_and_the_same_command_ends_it(origin: Origin, copy: Host, point: str) -> None:
    killed(copy, point, *DELTA)
    if point == "restore-control":
        assert (copy.data_dir / "global/pg_control").exists()  # nothing of what is there has been touched yet
    elif point != POINTS[-1]:
        assert_cannot_start(copy)
    outcome = restore(copy, *DELTA)
    assert outcome.returncode == 0, outcome.stderr
    assert_restored(copy, origin)


def assert_cannot_start(host: Host) -> None:
    assert not (host.data_dir / "global/pg_control").exists()
    outcome = host.pg("pg_ctl", "start", "--wait", "--timeout=5", f"--pgdata={host.data_dir}", check=False)
    assert outcome.returncode == 1
    assert not host.running()
    control = run_as_postgres([BIN_DIR / "pg_controldata", host.data_dir])
    assert control.returncode != 0


def test_two_restores_at_once_do_not_meet(origin: Origin, hosts: Callable[[str], Host]) -> None:
    host = hosts("new")
    host.write_config(origin.repository)
    first = subprocess.Popen(as_postgres(["flock", host.base, "sleep", "60"]))
    try:
        taken: list[str | Path] = ["flock", "--nonblock", host.base, "true"]
        wait_until("it is held", lambda: run_as_postgres(taken).returncode != 0)
        outcome = host.ops("backup", "restore", "latest", "--to", host.base / "data")
        assert outcome.returncode == 0, outcome.stderr  # the lock is on the directory itself, not on what is above
    finally:
        first.terminate()
        first.wait(10)
    second = subprocess.Popen(as_postgres(["flock", host.data_dir, "sleep", "60"]))
    try:
        wait_until(
            "it is held", lambda: run_as_postgres(["flock", "--nonblock", host.data_dir, "true"]).returncode != 0
        )
        outcome = restore(host, *DELTA)
        assert (outcome.returncode, "is under way" in outcome.stderr) == (3, True), outcome.stderr
    finally:
        second.terminate()
        second.wait(10)


def test_a_flipped_bit_is_refused_or_not_needed_and_never_gets_into_the_data(
    origin: Origin, workspace: Path, copy: Host
) -> None:
    """Over data of which most are in place: a damaged block is either refused, or nobody has asked for it."""
    identifier = origin.backup["system_identifier"]
    store = repository_in(origin.repository, identifier, origin.primary.keys)
    backup = catalog.get(store, origin.backup["id"])
    whole, target = workspace / "whole", workspace / "target"
    restore_files(store, backup, whole, workers=2, progress=lambda done, total: None)
    expected = digests(whole)
    packs = [origin.repository.path / store.layout.pack(p.id) for p in contents_of(store, backup).packs]
    luck, refused = random.Random(20261121), list[tuple[str, str]]()
    for _ in range(12):
        pack = luck.choice(packs)
        body = pack.read_bytes()
        bit = luck.randrange(len(body) * 8)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(copy.data_dir, target, symlinks=True)
        (target / "pg_tblspc" / origin.oid).unlink()
        spoil_half(target)
        consent = Consent(delta=True, confirmed=True)
        pack.write_bytes(body[: bit // 8] + bytes([body[bit // 8] ^ 1 << bit % 8]) + body[bit // 8 + 1 :])
        try:
            restore_files(store, backup, target, workers=2, progress=lambda done, total: None, consent=consent)
        except Damaged as error:
            refused.append((pack.name, error.message))
        else:
            assert digests(target) == expected
        finally:
            pack.write_bytes(body)
            shutil.rmtree(workspace / "target.tablespaces", ignore_errors=True)
    assert 0 < len(refused) < 12
    assert all(name in message for name, message in refused)


def spoil_half(root: Path) -> None:
    """Make every second block one that has to be fetched. By its contents: the databases have most of theirs in common,
    and what one of them lacks has to be fetched for it."""
    for path in sorted((root / "base").glob("*/*")):
        contents = path.read_bytes()
        with path.open("r+b") as stream:
            for offset in range(0, len(contents), BLOCK_SIZE):
                if zlib.crc32(contents[offset : offset + BLOCK_SIZE]) % 2:
                    stream.seek(offset)
                    stream.write(b"spoilt")


def contents_of(store: Repository, backup: Backup) -> Contents:
    return catalog.contents(store, catalog.read(store, backup.id))


def digests(root: Path) -> dict[str, str]:
    """Every file by its contents, but for the file with the paths of this very directory."""
    found = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
    return {name: sha256(path.read_bytes()).hexdigest() for name, path in found.items() if name != "tablespace_map"}
