"""`ops wal push`: what is archived, what is refused, and with which exit code."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.config import FolderRepository, S3Repository
from ops.model.segment import WalFile
from ops.postgres.control import ControlData
from ops.store import open_store
from ops.store.repository import Repository, current, find

from .fix_postgres import Host
from .fix_store import USER as S3_USER
from .fix_store import Weed, repository_in

pytestmark = pytest.mark.integration

SEGMENT = "000000010000000000000010"
NEXT = "000000010000000000000011"


@pytest.fixture(scope="module")
def donors(module_hosts: Callable[[str], Host]) -> list[Host]:
    """Two stopped databases, small segments, with a few full ones in pg_wal."""
    made = [module_hosts("donor"), module_hosts("stranger")]
    for host in made:
        host.initdb("--wal-segsize=1", stranger=True)
        host.pg("pg_resetwal", "--next-wal-file", SEGMENT, host.data_dir)
        host.configure(wal_keep_size="64MB")
        host.start()
        for _ in range(3):
            host.sql("select pg_logical_emit_message(true, 'test', repeat('x', 100000)), pg_switch_wal()")
        host.stop()
    return made


@pytest.fixture
def donor(donors: list[Host], tmp_path: Path) -> Host:
    """A database whose configuration names an empty folder."""
    donors[0].write_config(donors[0].folder(tmp_path.name))
    return donors[0]


def segment(host: Host, name: str = SEGMENT) -> Path:
    return host.data_dir / "pg_wal" / name


def repository_of(host: Host) -> Repository:
    """The repository that the host's configuration names, seen from the test."""
    text = host.config_file.read_text()
    path = re.search(r'^path = "(.*)"$', text, re.MULTILINE)
    assert path
    identifier = ControlData.read(host.data_dir).system_identifier
    settings = FolderRepository(type="folder", path=Path(path[1]))
    return repository_in(settings, identifier, host.keys)


def stored_names(host: Host) -> list[str]:
    repository = repository_of(host)
    return [stored.key.rpartition("/")[2] for stored in repository.store.list(repository.layout.wal_root)]


@pytest.fixture
def planted(donor: Host, tmp_path: Path) -> Callable[..., Path]:
    """Puts a file beside the real WAL, in a directory of its own so that the donor stays as it is."""

    def plant(name: str, contents: bytes) -> Path:
        folder = donor.base / f"planted-{tmp_path.name}"  # pytest's own directory is root's alone
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(contents)
        return folder / name

    return plant


def test_a_pushed_segment_is_stored_byte_for_byte_in_s3(donors: list[Host], s3_settings: S3Repository) -> None:
    host = donors[0]
    host.write_config(s3_settings)
    outcome = host.ops("wal", "push", f"pg_wal/{SEGMENT}")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    identifier = current(open_store(s3_settings), "pend", "main", None).system_identifier
    repository = repository_in(s3_settings, identifier, host.keys)
    blob = repository.store.get(repository.layout.wal(WalFile.parse(SEGMENT)))
    plain = repository.unseal(blob, kind="wal", name=SEGMENT)
    assert plain == segment(host).read_bytes()
    info = repository.describe()
    assert (info.segment_size, info.postgres_version, info.cluster) == (1 << 20, 15, "main")


def test_the_same_bytes_again_are_a_success_that_says_so(donor: Host) -> None:
    assert donor.ops("wal", "push", f"pg_wal/{SEGMENT}").returncode == 0
    outcome = donor.ops("wal", "push", f"pg_wal/{SEGMENT}")
    assert outcome.returncode == 0
    assert "already, with the same contents" in outcome.stderr


def test_other_bytes_under_the_same_name_are_refused_and_nothing_is_overwritten(
    donor: Host, planted: Callable[..., Path]
) -> None:
    assert donor.ops("wal", "push", f"pg_wal/{SEGMENT}").returncode == 0
    repository = repository_of(donor)
    before = repository.store.get(repository.layout.wal(WalFile.parse(SEGMENT)))
    contents = segment(donor).read_bytes()
    outcome = donor.ops("wal", "push", planted(SEGMENT, contents[:-1] + b"!"))
    assert outcome.returncode == 1
    assert f"the first that differs is at offset {len(contents) - 1}" in outcome.stderr
    assert repository.store.get(repository.layout.wal(WalFile.parse(SEGMENT))) == before


def test_a_segment_of_another_system_identifier_is_refused(
    donor: Host, donors: list[Host], planted: Callable[..., Path]
) -> None:
    outcome = donor.ops("wal", "push", planted(SEGMENT, segment(donors[1]).read_bytes()))
    assert outcome.returncode == 1
    assert "belongs to another database" in outcome.stderr
    for host in donors[:2]:
        assert str(ControlData.read(host.data_dir).system_identifier) in outcome.stderr
    assert stored_names(donor) == []


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        (SEGMENT, lambda contents: contents[: 1 << 19], "between 1 MiB and 1 GiB"),
        (NEXT, lambda contents: contents, "is that of 0/1000000, not of 0/1100000"),
        (f"{SEGMENT}.gz", lambda contents: contents, "not a file that PostgreSQL archives"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(
    donor: Host, planted: Callable[..., Path], name: str, damage: Callable[[bytes], bytes], said: str
) -> None:
    outcome = donor.ops("wal", "push", planted(name, damage(segment(donor).read_bytes())))
    assert outcome.returncode == 1, outcome.stderr
    assert said in outcome.stderr
    assert find(repository_of(donor).store, "pend", "main") == []


def test_the_other_kinds_of_file_are_archived_under_their_exact_names(
    donor: Host, planted: Callable[..., Path]
) -> None:
    partial = f"{SEGMENT}.partial"
    label = f"{SEGMENT}.00000028.backup"
    start = f"START WAL LOCATION: 0/1000028 (file {SEGMENT})\nSTOP WAL LOCATION: 0/1000100 (file {SEGMENT})\n"
    for name, contents in [
        ("00000002.history", b"1\t0/1000100\tno recovery target specified\n"),
        (partial, segment(donor).read_bytes()),
        (label, start.encode()),
    ]:
        outcome = donor.ops("wal", "push", planted(name, contents))
        assert outcome.returncode == 0, outcome.stderr
    assert stored_names(donor) == [label, partial, "00000002.history"]


def test_the_first_segment_of_a_timeline_carries_its_parents_pages(donor: Host, planted: Callable[..., Path]) -> None:
    child = SEGMENT.replace("00000001", "00000002", 1)
    contents = segment(donor).read_bytes()  # its first page is of timeline 1
    planted("00000002.history", b"1\t0/1000000\tthe switch came at its very start\n")
    refused = donor.ops("wal", "push", planted(child, contents))
    assert refused.returncode == 1
    assert "by the history it has to be 2" in refused.stderr
    planted("00000002.history", b"1\t0/1000100\tthe switch came within it\n")
    accepted = donor.ops("wal", "push", planted(child, contents))
    assert accepted.returncode == 0, accepted.stderr


def test_a_store_that_nobody_answers_at_is_exit_3_and_named(donors: list[Host], weed: Weed, bucket: str) -> None:
    settings = weed.settings(bucket).model_copy(update={"endpoint": "https://localhost:1"})
    donors[0].write_config(settings)
    outcome = donors[0].ops("wal", "push", f"pg_wal/{SEGMENT}")
    assert outcome.returncode == 3
    assert bucket in outcome.stderr
    assert "https://localhost:1" in outcome.stderr
    assert "HINT" in outcome.stderr


@pytest.mark.parametrize("what", ["keys", "bucket", "authority"])
def test_a_store_that_refuses_us_is_exit_3_and_no_secret_is_told(
    donors: list[Host], weed: Weed, bucket: str, what: str
) -> None:
    settings = weed.settings(bucket, secret="not-the-secret-%x")
    if what == "bucket":
        settings = weed.settings("no-such-bucket")
    if what == "authority":
        settings = weed.settings(bucket).model_copy(update={"ca_file": None})
    donors[0].write_config(settings)
    outcome = donors[0].ops("wal", "push", f"pg_wal/{SEGMENT}")
    assert outcome.returncode == 3, outcome.stderr
    assert settings.bucket in outcome.stderr
    assert "not-the-secret" not in outcome.stderr
    assert S3_USER[1] not in outcome.stderr


def test_wrong_usage_and_configuration_are_exit_2(donor: Host, s3_settings: S3Repository) -> None:
    assert donor.ops("wal", "push").returncode == 2
    assert donor.ops("wal", "push", "--colour", "x").returncode == 2
    assert donor.ops("wal", "push", "--config", "/nowhere", f"pg_wal/{SEGMENT}").returncode == 2
    donor.write_config(donor.folder(), wal={"compresion_level": 1})
    misspelt = donor.ops("wal", "push", f"pg_wal/{SEGMENT}")
    assert misspelt.returncode == 2
    assert "compression_level" in misspelt.stderr
    donor.write_config(s3_settings)
    (donor.base / "credentials").chmod(0o444)
    readable = donor.ops("wal", "push", f"pg_wal/{SEGMENT}")
    assert readable.returncode == 2
    assert "can be read by others" in readable.stderr


def test_a_data_directory_without_a_database_is_refused(donor: Host) -> None:
    outcome = donor.ops("wal", "push", "--data-dir", donor.base, f"pg_wal/{SEGMENT}")
    assert outcome.returncode == 1
    assert "pg_control" in outcome.stderr
