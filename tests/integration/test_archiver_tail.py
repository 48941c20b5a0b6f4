"""The live tail: what a primary had on disk a moment before it was lost comes back from the store alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ops.config import S3Repository
from ops.errors import OpsError
from ops.model.layout import Layout
from ops.model.lsn import LSN
from ops.model.segment import Segment, WalFile
from ops.model.tail import Piece
from ops.postgres.control import ControlData
from ops.store import open_store
from ops.store.codec import Damaged
from ops.store.repository import Repository, ensure, repository_at
from ops.wal.contract import FetchExit
from ops.wal.tail import tail_of

from ..waiting import wait_until
from .fix_archiver import Archiver
from .fix_postgres import Host

pytestmark = pytest.mark.integration

MIB = 1 << 20


def repository_of(host: Host, settings: S3Repository) -> Repository:
    layout = Layout("pend", "main", ControlData.read(host.data_dir).system_identifier)
    return repository_at(open_store(settings), layout, settings.encryption, host.keys)


def tails(repository: Repository) -> set[str]:
    """The segments of which there are pieces."""
    return {stored.key.split("/")[-2] for stored in repository.store.list(repository.layout.tail_root)}


def shipped(archiver: Archiver, lsn: LSN) -> None:
    """Wait until all WAL before `lsn` is in the tail."""
    wait_until(
        f"{lsn} is in the tail",
        lambda: archiver.status()["tail"],
        until=lambda tail: tail is not None and tail["lsn"] is not None and LSN.parse(tail["lsn"]) >= lsn,
    )


@dataclass(frozen=True)
class Lost:
    """What is left of a primary that was lost: its bucket, and a base backup."""

    base: Path
    settings: S3Repository
    repository: Repository
    archived: str
    current: str


@pytest.fixture
def lost(hosts: Callable[[str], Host], archivers: Callable[[Host], Archiver], s3_settings: S3Repository) -> Lost:
    """Rows 1 to 3 were committed: the first is in the archive, the others in the segment that was being written."""
    host = hosts("primary")
    host.initdb("--wal-segsize=1")
    archiver = archivers(host)
    host.write_config(s3_settings, wal=archiver.settings())
    host.configure(archive_mode="on", archive_command=archiver.command("push %p"), wal_level="replica")
    archiver.start()
    host.start()
    host.sql("create table proof (row int)")
    base = host.base / "backup"
    host.pg("pg_basebackup", "--checkpoint=fast", "--wal-method=none", "--no-sync", "-h", host.base,
            "-p", str(host.port), "-U", "postgres", "-D", base)  # fmt: skip
    host.sql("insert into proof values (1)")
    archived = str(host.value("select pg_walfile_name(pg_switch_wal())"))
    wait_until("row 1 is archived", lambda: host.value("select last_archived_wal from pg_stat_archiver") == archived)
    for row in (2, 3):
        host.sql(f"insert into proof values ({row})")
        shipped(archiver, LSN.parse(host.value("select pg_current_wal_flush_lsn()::text")))
    current = str(host.value("select pg_walfile_name(pg_current_wal_lsn())"))
    repository = repository_of(host, s3_settings)
    wait_until("the other tails are removed", lambda: tails(repository), until=lambda found: found == {current})
    archiver.kill()
    host.stop("immediate")
    shutil.rmtree(host.data_dir)
    return Lost(base, s3_settings, repository, archived, current)


@pytest.fixture
def restored(lost: Lost, hosts: Callable[[str], Host]) -> Host:
    host = hosts("restored")
    host.clone(lost.base)
    host.write_config(lost.settings)
    host.configure(archive_mode="off")
    host.write(host.data_dir / "recovery.signal", "")
    return host


def test_the_end_of_a_lost_primary_comes_back_from_the_store_alone(
    lost: Lost, restored: Host, archivers: Callable[[Host], Archiver]
) -> None:
    archiver = archivers(restored)
    restored.write_config(lost.settings, wal=archiver.settings())
    archiver.start()
    restored.configure(restore_command=archiver.restore_command("--tail"))
    restored.start()
    wait_until("it is promoted", lambda: restored.value("select not pg_is_in_recovery()"))
    assert restored.sql("select row from proof order by row") == [(1,), (2,), (3,)]
    assert "from the live tail" in restored.log_text()
    restored.sql("insert into proof values (4)")


def test_only_who_asks_for_the_tail_gets_it_and_no_standby_does(lost: Lost, restored: Host) -> None:
    destination = "pg_wal/RECOVERYXLOG"
    assert restored.ops("wal", "fetch", lost.current, destination).returncode == FetchExit.ABSENT
    restored.write(restored.data_dir / "standby.signal", "")
    assert restored.ops("wal", "fetch", "--tail", lost.current, destination).returncode == FetchExit.ABSENT
    (restored.data_dir / "standby.signal").unlink()
    assert not (restored.data_dir / destination).exists()
    assert restored.ops("wal", "fetch", "--tail", lost.current, destination).returncode == 0
    contents = (restored.data_dir / destination).read_bytes()
    assert len(contents) == MIB
    assert contents.endswith(bytes(1000))


def test_the_tail_of_a_segment_is_gone_once_the_segment_is_archived(lost: Lost) -> None:
    repository = lost.repository
    assert lost.archived != lost.current
    assert tails(repository) == {lost.current}
    assert repository.store.head(repository.layout.wal(WalFile.parse(lost.archived)))


# -- without a server -----------------------------------------------------------------------------------------------

SEGMENT = Segment(1, 5, MIB)
FILE = WalFile.parse(SEGMENT.name)


@pytest.fixture
def plain(tmp_path: Path) -> Repository:
    """An unencrypted repository in a folder."""
    from ops.store.folder import FolderStore  # noqa: PLC0415

    repository = Repository(FolderStore(tmp_path), Layout("pend", "main", 4711))
    ensure(repository, segment_size=MIB, postgres_version=15)
    return repository


def ship(repository: Repository, start: int, contents: bytes) -> None:
    piece = Piece(SEGMENT.name, start, start + len(contents))
    repository.store.put(repository.layout.tail(piece), repository.seal("wal", piece.label, contents, level=1))


def test_pieces_are_put_together_and_end_in_zeros(plain: Repository) -> None:
    assert tail_of(plain, FILE, whole=False) is None
    ship(plain, 10, b"not connected")
    assert tail_of(plain, FILE, whole=False) is None
    ship(plain, 0, b"a" * 6)
    ship(plain, 4, b"aabbbb")
    assert tail_of(plain, FILE, whole=False) == (b"aaaaaabbbb" + b"not connected").ljust(MIB, b"\0")
    assert tail_of(plain, FILE, whole=True) is None


def test_a_tail_that_two_servers_wrote_is_refused(plain: Repository) -> None:
    ship(plain, 0, b"a" * 6)
    ship(plain, 0, b"b" * 9)
    with pytest.raises(Damaged, match="do not agree"):
        tail_of(plain, FILE, whole=False)


def test_a_piece_under_another_key_is_refused(plain: Repository) -> None:
    ship(plain, 0, b"a" * 6)
    (stored,) = plain.store.list(plain.layout.tail_root)
    other = Piece(SEGMENT.next().name, 0, 6)
    plain.store.put(plain.layout.tail(other), plain.store.get(stored.key))
    with pytest.raises(OpsError, match="damaged"):
        tail_of(plain, WalFile.parse(SEGMENT.next().name), whole=False)


def test_the_tail_ends_where_a_later_timeline_left_this_one(plain: Repository) -> None:
    ship(plain, 0, b"a" * 5000)
    history = f"1\t{LSN(SEGMENT.start.position + 3000)}\tno recovery target specified\n".encode()
    name = WalFile.parse("00000002.history")
    plain.store.put(plain.layout.wal(name), plain.seal("wal", name.name, history, level=1))
    assert tail_of(plain, FILE, whole=False) == (b"a" * 3000).ljust(MIB, b"\0")
