"""`ops wal fetch`: what it brings back, and which exit code PostgreSQL gets when it does not."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ops.config import FolderRepository, S3Repository
from ops.model.segment import WalFile
from ops.postgres.control import ControlData
from ops.store.codec import seal
from ops.store.repository import Repository, ensure
from ops.wal.contract import FetchExit

from ..waiting import wait_until
from .fix_postgres import AS_POSTGRES, OPS, USER, Host
from .fix_store import Weed, repository_in

pytestmark = pytest.mark.integration

# None of them is in pg_wal itself.
NAMES = [f"0000000100000000000000{number}" for number in (31, 32, 33, 34)]
LATER = "000000010000000000000035"
DESTINATION = "pg_wal/RECOVERYXLOG"


@pytest.fixture(scope="module")
def database(module_hosts: Callable[[str], Host]) -> Host:
    """A database whose server does not run."""
    host = module_hosts("pg")
    host.initdb()
    return host


@pytest.fixture
def repository(database: Host, tmp_path: Path) -> Iterator[Repository]:
    """A folder with four segments of the database's (the third is missing), and the host set up for it."""
    settings = database.folder(tmp_path.name)
    database.write_config(settings, wal={"standby_patience": 0.6})
    found = repository_in(settings, ControlData.read(database.data_dir).system_identifier, database.keys)
    ensure(found, segment_size=1 << 24, postgres_version=15)
    # What the tests' own user has made is PostgreSQL's to read.
    for path in settings.path.rglob("*"):
        shutil.chown(path, USER, USER)
    for name in (NAMES[0], NAMES[1], NAMES[3]):
        store(found, name, contents(name))
    yield found
    for path in [*database.data_dir.glob("*.signal"), *database.data_dir.glob("promote")]:
        path.unlink()
    for path in (database.data_dir / "pg_wal").glob("RECOVERYXLOG*"):
        path.unlink()


def contents(name: str) -> bytes:
    return name.encode() * 1000


def store(repository: Repository, name: str, plain: bytes, *, owner: int | None = None) -> None:
    owner = owner or repository.system_identifier
    blob = seal("wal", name, owner, plain, level=1, keyring=repository.keyring)
    repository.store.put(repository.layout.wal(WalFile.parse(name)), blob)


def replace(repository: Repository, name: str, change: Callable[[bytes], bytes]) -> None:
    """Alter a stored object, as nobody of ours ever does."""
    key = repository.layout.wal(WalFile.parse(name))
    blob = repository.store.get(key)
    repository.store.delete(key)
    repository.store.put(key, change(blob))


def fetched(host: Host) -> bytes | None:
    path = host.data_dir / DESTINATION
    return path.read_bytes() if path.exists() else None


def test_a_stored_file_comes_back_complete_and_nothing_else_is_left(database: Host, repository: Repository) -> None:
    pg_wal = database.data_dir / "pg_wal"
    before = set(pg_wal.iterdir())
    database.write(pg_wal / "RECOVERYXLOG.part-1", "left by one that was killed")
    outcome = database.ops("wal", "fetch", NAMES[0], DESTINATION)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert fetched(database) == contents(NAMES[0])
    assert set(pg_wal.iterdir()) - before == {pg_wal / "RECOVERYXLOG"}
    assert (pg_wal / "RECOVERYXLOG").stat().st_mode & 0o777 == 0o600


def test_an_old_file_at_the_destination_is_replaced_only_by_a_whole_one(database: Host, repository: Repository) -> None:
    database.write(database.data_dir / DESTINATION, "old")
    replace(repository, NAMES[1], lambda blob: blob[:-1])
    assert database.ops("wal", "fetch", NAMES[1], DESTINATION).returncode == 200
    assert fetched(database) == b"old"
    assert database.ops("wal", "fetch", NAMES[0], DESTINATION).returncode == 0
    assert fetched(database) == contents(NAMES[0])


@pytest.mark.parametrize("standby", [False, True])
@pytest.mark.parametrize("name", [LATER, "00000002.history", "000000020000000000000031"])
def test_what_the_store_does_not_have_is_absent(
    database: Host, repository: Repository, name: str, standby: bool
) -> None:
    if standby:
        (database.data_dir / "standby.signal").touch()
    outcome = database.ops("wal", "fetch", name, DESTINATION)
    assert (outcome.returncode, outcome.stderr, fetched(database)) == (FetchExit.ABSENT, "", None)


def test_a_recovery_is_not_told_that_a_gap_is_the_end(database: Host, repository: Repository) -> None:
    outcome = database.ops("wal", "fetch", NAMES[2], DESTINATION)
    assert outcome.returncode == 200
    assert f"{NAMES[2]} is missing" in outcome.stderr
    assert NAMES[3] in outcome.stderr
    (database.data_dir / "standby.signal").touch()
    assert database.ops("wal", "fetch", NAMES[2], DESTINATION).returncode == FetchExit.ABSENT


def test_a_gap_at_the_end_of_4_gib_is_seen_too(database: Host, repository: Repository) -> None:
    store(repository, "000000010000000100000000", b"the next 4 GiB")
    assert database.ops("wal", "fetch", "0000000100000000000000FF", DESTINATION).returncode == 200


def test_a_recovery_from_the_wrong_place_is_not_told_that_the_wal_ends(database: Host, repository: Repository) -> None:
    repository.store.delete(repository.layout.repository)
    outcome = database.ops("wal", "fetch", LATER, DESTINATION)
    assert outcome.returncode == 200
    assert "holds nothing of this cluster" in outcome.stderr


def flip(blob: bytes) -> bytes:
    return blob[:-10] + bytes([blob[-10] ^ 1]) + blob[-9:]


@pytest.mark.parametrize(
    ("change", "said"),
    [(flip, "is damaged"), (lambda blob: blob[:-1], "is damaged"), (lambda _: b"x", "is damaged")],
)
def test_a_damaged_object_stops_a_recovery_and_is_told_on_a_standby(
    database: Host, repository: Repository, change: Callable[[bytes], bytes], said: str
) -> None:
    replace(repository, NAMES[0], change)
    for standby, code in ((False, 200), (True, FetchExit.ABSENT)):
        if standby:
            (database.data_dir / "standby.signal").touch()
        outcome = database.ops("wal", "fetch", NAMES[0], DESTINATION)
        assert (outcome.returncode, fetched(database)) == (code, None)
        assert f"{NAMES[0]} in the store {said}" in outcome.stderr


def test_a_foreign_or_exchanged_object_stops_a_recovery(database: Host, repository: Repository) -> None:
    store(repository, "000000010000000000000037", b"theirs", owner=43)
    foreign = database.ops("wal", "fetch", "000000010000000000000037", DESTINATION)
    assert foreign.returncode == 200
    assert "belongs to another cluster" in foreign.stderr
    other = repository.store.get(repository.layout.wal(WalFile.parse(NAMES[1])))
    replace(repository, NAMES[0], lambda _: other)
    exchanged = database.ops("wal", "fetch", NAMES[0], DESTINATION)
    assert exchanged.returncode == 200
    assert NAMES[1] in exchanged.stderr
    assert fetched(database) is None


def test_a_store_that_is_not_there_stops_a_recovery(database: Host, repository: Repository, weed: Weed) -> None:
    folder = Path(repository.store.name)
    folder.rename(f"{folder}-away")
    assert database.ops("wal", "fetch", NAMES[0], DESTINATION).returncode == 200
    assert database.ops("wal", "fetch", LATER, DESTINATION).returncode == 200
    for settings in (
        weed.settings("no-such-bucket"),
        weed.settings(weed.make_bucket(), secret="wrong"),
        weed.settings(weed.make_bucket()).model_copy(update={"endpoint": "https://localhost:1"}),
    ):
        database.write_config(settings)
        outcome = database.ops("wal", "fetch", NAMES[0], DESTINATION)
        assert outcome.returncode == 200, outcome.stderr
        assert settings.bucket in outcome.stderr
        assert "HINT" in outcome.stderr


def test_on_a_standby_the_store_is_asked_again_for_as_long_as_patience_lasts(
    database: Host, repository: Repository
) -> None:
    (database.data_dir / "standby.signal").touch()
    folder = Path(repository.store.name)
    away = folder.rename(f"{folder}-away")
    absent = FolderRepository(type="folder", path=folder)
    database.write_config(absent, wal={"standby_patience": 2})
    start = time.monotonic()
    outcome = database.ops("wal", "fetch", NAMES[0], DESTINATION)
    assert (outcome.returncode, time.monotonic() - start > 1) == (FetchExit.ABSENT, True)
    assert "because this is a standby" in outcome.stderr
    database.write_config(absent, wal={"standby_patience": 30})
    process = fetching(database, NAMES[0])
    time.sleep(0.8)
    away.rename(folder)
    assert process.wait(20) == 0
    assert fetched(database) == contents(NAMES[0])


def test_a_standby_that_is_being_promoted_does_not_wait_for_the_store(database: Host, repository: Repository) -> None:
    nowhere = FolderRepository(type="folder", path=database.base / "nowhere")
    database.write_config(nowhere, wal={"standby_patience": 60})
    (database.data_dir / "standby.signal").touch()
    (database.data_dir / "promote").touch()
    assert database.ops("wal", "fetch", NAMES[0], DESTINATION, timeout=20).returncode == FetchExit.ABSENT


def test_wrong_usage_and_configuration_stop_a_recovery(database: Host, repository: Repository) -> None:
    for arguments in (
        [],
        [NAMES[0]],
        [NAMES[0], DESTINATION, "more"],
        ["--colour", NAMES[0], DESTINATION],
        ["RECOVERYXLOG", DESTINATION],
        ["--config", "/nowhere", NAMES[0], DESTINATION],
        ["--system-identifier", "one", NAMES[0], DESTINATION],
        [NAMES[0], "no/such/directory/RECOVERYXLOG"],
    ):
        outcome = database.ops("wal", "fetch", *arguments)
        assert outcome.returncode == 200, arguments
        assert outcome.stderr, arguments
    assert database.ops("wal", "fetch", "--help").returncode == 0
    assert database.ops("wal", "fetsh", NAMES[0], DESTINATION).returncode == 200
    database.write(database.config_file, "cluster = 1")
    assert database.ops("wal", "fetch", NAMES[0], DESTINATION).returncode == 200


def test_a_closed_stderr_does_not_change_the_code(database: Host, repository: Repository) -> None:
    command = f"cd {database.data_dir} && {database.command(f'wal fetch {NAMES[2]} {DESTINATION}')} 2>&-"
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 200


def test_outside_a_data_directory_the_only_repository_is_meant(
    database: Host, repository: Repository, hosts: Callable[[str], Host]
) -> None:
    elsewhere = hosts("desk")
    elsewhere.write_config(database.folder(Path(repository.store.name).name))
    outcome = elsewhere.ops("wal", "fetch", NAMES[0], elsewhere.base / "file")
    assert outcome.returncode == 0, outcome.stderr
    assert (elsewhere.base / "file").read_bytes() == contents(NAMES[0])


@contextmanager
def silent_store(settings: S3Repository) -> Iterator[S3Repository]:
    """A store that takes a connection and then says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        yield settings.model_copy(update={"endpoint": f"https://localhost:{port}", "read_timeout": 30.0})


def fetching(host: Host, name: str) -> subprocess.Popen[bytes]:
    """A fetch that runs beside the test."""
    switch = AS_POSTGRES if os.geteuid() == 0 else ()
    return subprocess.Popen(
        [*switch, OPS, "wal", "fetch", name, DESTINATION],
        cwd=host.data_dir,
        env={"PATH": os.environ["PATH"], "OPS_CONFIG": str(host.config_file)},
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 200)])
def test_a_fetch_that_is_told_to_stop_never_says_that_the_file_is_absent(
    database: Host, s3_settings: S3Repository, sent: signal.Signals, code: int
) -> None:
    with silent_store(s3_settings) as settings:
        database.write_config(settings)
        process = fetching(database, NAMES[0])
        wait_until("the fetch asks the store", lambda: connected(process.pid), deadline=60)
        process.send_signal(sent)
        assert process.wait(20) == code


def connected(pid: int) -> bool:
    """Whether the process has a socket open."""
    try:
        return any("socket:" in str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
