"""What a repository holds, as the status page and the exporter see it: a real one, whole, broken, and out of reach."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ops.config import Config, FolderRepository, load
from ops.model.layout import Layout
from ops.model.segment import WalFile
from ops.status.holdings import Holdings, Observer, Part, Seen, look
from ops.store import open_store
from ops.store.repository import Repository

from ..waiting import wait_until
from .fix_postgres import USER, Host
from .fix_store import Weed, repository_in

pytestmark = pytest.mark.integration

ORIGINAL = "original"


@pytest.fixture(scope="module")
def server(module_hosts: Callable[[str], Host]) -> Host:
    """A server with two backups and WAL before, between and behind them, which `ops` has verified."""
    host = module_hosts("pg")
    host.initdb("--wal-segsize=1")
    host.write_config(host.folder(ORIGINAL))
    host.archive()
    host.start()
    for _ in range(2):
        assert host.ops("backup", "create").returncode == 0
        for _ in range(3):
            host.sql("select pg_logical_emit_message(true, 'test', repeat('x', 1000)), pg_switch_wal()")
    last = host.value("select pg_walfile_name(pg_switch_wal())")
    archived = "select coalesce(last_archived_wal, '') from pg_stat_archiver"
    wait_until("all is archived", lambda: host.value(archived), until=lambda name: bool(name >= last), deadline=90)
    host.stop()
    return host


@pytest.fixture
def place(server: Host, tmp_path: Path) -> Iterator[FolderRepository]:
    """A copy of what the server has archived, to damage; the server's configuration names it."""
    settings = server.folder(tmp_path.name)
    shutil.copytree(server.base / ORIGINAL, settings.path, dirs_exist_ok=True, copy_function=shutil.copy2)
    for path in settings.path.rglob("*"):
        shutil.chown(path, USER, USER)
    server.write_config(settings)
    yield settings
    server.write_config(server.folder(ORIGINAL))


def opened(host: Host, place: FolderRepository) -> Repository:
    (identifier,) = [int(path.name) for path in (place.path / "pend" / "main").iterdir()]
    return repository_in(place, identifier, host.keys)


def config(host: Host) -> Config:
    return load(host.config_file)


def known(part: Part[Seen]) -> Seen:
    assert part.seen is not None, part.trouble
    return part.seen


def segments(repository: Repository) -> list[str]:
    names = [stored.key.rpartition("/")[2] for stored in repository.store.list(repository.layout.wal_root)]
    return [name for name in names if len(name) == 24]


def key(repository: Repository, name: str) -> str:
    return repository.layout.wal(WalFile.parse(name))


def behind_the_first_backup(repository: Repository, seen: Holdings) -> str:
    """A segment that neither backup needs for itself, between the two."""
    first, second = known(seen.backups).found
    return next(name for name in segments(repository) if first.last_segment < name < second.first_segment)


def test_a_whole_repository_is_recoverable_from_its_oldest_backup_to_its_newest_wal(
    server: Host, place: FolderRepository
) -> None:
    assert server.ops("backup", "verify").returncode == 0
    before = datetime.now(UTC)
    seen = look(config(server))
    first, second = known(seen.backups).found
    wal, packs = known(seen.continuity), known(seen.packs)
    assert wal.start == first.stop_time
    assert wal.whole
    assert second.stop_time <= (wal.end or before) <= before
    assert wal.end == wal.newest
    assert wal.frontier == segments(opened(server, place))[-1]
    assert (packs.unread, packs.damaged) == (0, ())
    assert packs.oldest is not None
    assert packs.oldest <= before <= seen.taken
    assert known(seen.runs)["verify"] >= packs.oldest
    assert known(seen.runs)["backup"] >= second.stop_time
    assert "expire" not in known(seen.runs)
    assert (known(seen.drills).found, known(seen.failovers).found, seen.mirrors) == ((), (), {})


def test_a_missing_segment_is_a_gap_from_the_wal_before_it_to_the_end_of_the_next_backup(
    server: Host, place: FolderRepository
) -> None:
    repository = opened(server, place)
    whole = look(config(server))
    lost = behind_the_first_backup(repository, whole)
    before = segments(repository)[segments(repository).index(lost) - 1]
    repository.store.delete(key(repository, lost))
    seen = look(config(server))
    (gap,) = known(seen.continuity).gaps
    assert (gap.first, gap.last, gap.segments) == (lost, lost, 1)
    assert gap.since == repository.store.head(key(repository, before)).modified
    assert gap.until == known(seen.backups).found[-1].stop_time
    assert known(seen.continuity).start == known(whole.continuity).start
    assert known(seen.continuity).end == known(whole.continuity).end


def test_recovery_ends_before_a_gap_that_no_backup_lies_behind(server: Host, place: FolderRepository) -> None:
    repository = opened(server, place)
    *_, before, lost, _ = segments(repository)
    repository.store.delete(key(repository, lost))
    wal = known(look(config(server)).continuity)
    (gap,) = wal.gaps
    assert (gap.first, gap.until) == (lost, None)
    assert wal.frontier == before
    assert wal.end == repository.store.head(key(repository, before)).modified
    assert wal.newest is not None
    assert wal.newest > wal.end


def test_what_was_verified_and_found_bad_is_named_with_what_it_costs(server: Host, place: FolderRepository) -> None:
    repository = opened(server, place)
    bad = behind_the_first_backup(repository, look(config(server)))
    body = bytearray(repository.store.get(key(repository, bad)))
    body[len(body) // 2] ^= 1
    repository.store.delete(key(repository, bad))
    repository.store.put(key(repository, bad), bytes(body))
    pack = next(iter(repository.store.list(repository.layout.packs))).key
    spoilt = bytearray(repository.store.get(pack))
    spoilt[len(spoilt) // 2] ^= 1
    repository.store.delete(pack)
    repository.store.put(pack, bytes(spoilt))
    for path in place.path.rglob("*"):
        shutil.chown(path, USER, USER)
    assert known(look(config(server)).continuity).damaged == (), "nobody has read it yet"
    assert server.ops("wal", "gaps").returncode == 1
    assert server.ops("backup", "verify").returncode == 1
    seen = look(config(server))
    wal, packs = known(seen.continuity), known(seen.packs)
    assert [file.name for file in wal.damaged] == [bad]
    assert wal.gaps == ()
    assert [gap.first for gap in wal.lost] == [bad]
    assert packs.damaged == (pack.rpartition("/")[2],)


def test_a_part_that_cannot_be_read_says_so_and_keeps_none_of_the_others(server: Host, place: FolderRepository) -> None:
    repository = opened(server, place)
    first, second = known(look(config(server)).backups).found
    manifest = repository.layout.manifest(first.id)
    repository.store.delete(manifest)
    repository.store.put(manifest, b"not a manifest")
    repository.store.put(repository.layout.drill("20261121T120000Z-1f0c"), b"{}")
    repository.store.put(repository.layout.failover("20261121T120000Z-1f0c"), b"[]")
    server.write_config(place, repositories={"offsite": {"type": "folder", "path": "/nonexistent/repository"}})
    seen = look(config(server))
    assert known(seen.backups).found == (second,)
    assert [first.id in line for line in known(seen.backups).damaged] == [True]
    assert known(seen.continuity).start == second.stop_time
    assert ["20261121T120000Z-1f0c" in line for line in known(seen.drills).damaged] == [True]
    assert ["20261121T120000Z-1f0c" in line for line in known(seen.failovers).damaged] == [True]
    assert seen.mirrors["offsite"].seen is None
    assert seen.mirrors["offsite"].trouble


def test_a_failover_drill_is_told_by_its_record(server: Host, place: FolderRepository) -> None:
    repository = opened(server, place)
    record = {
        "id": "20261121T120000Z-1f0c", "kind": "host-kill", "started_at": "2026-11-21T12:00:00+00:00",
        "verdict": "failed", "reasons": ["2 of 900 acknowledged rows are lost"], "write_gap": 17.8, "read_gap": None,
        "moments": {"redundant": 36.2}, "rows": {"acknowledged": 900, "lost": 2, "late": 0}, "later": "is ignored",
    }  # fmt: skip
    repository.store.put(repository.layout.failover(str(record["id"])), json.dumps(record).encode())
    (drill,) = known(look(config(server)).failovers).found
    assert (drill.kind, drill.passed, drill.lost, drill.late) == ("host-kill", False, 2, 0)
    assert (drill.write_gap, drill.read_gap, drill.redundant) == (17.8, None, 36.2)
    assert drill.started_at == datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_a_repository_that_is_out_of_reach_is_no_empty_one(server: Host, weed: Weed) -> None:
    settings = weed.settings(weed.make_bucket(), secret="wrong", attempts=1)
    server.write_config(server.folder(ORIGINAL))
    seen = Observer(config(server).model_copy(update={"repository": settings})).look()
    parts: list[Part[Any]] = [seen.backups, seen.continuity, seen.packs, seen.drills, seen.failovers, seen.runs]
    assert all(part.seen is None for part in parts)
    assert {part.trouble for part in parts} == {seen.backups.trouble}
    assert seen.backups.trouble


def test_how_far_a_mirror_is_behind_and_that_it_has_caught_up(server: Host, place: FolderRepository) -> None:
    copy = server.folder(f"{place.path.name}-copy")
    server.write_config(place, repositories={"offsite": server.section(copy)})
    observer = Observer(config(server))
    behind = known(observer.look().mirrors["offsite"])
    assert behind.backups == 2
    assert behind.objects > 2
    assert min(behind.size, behind.seconds) > 0
    assert server.ops("repository", "mirror").returncode == 0
    behind = known(observer.look().mirrors["offsite"])
    assert (behind.backups, behind.objects, behind.size, behind.seconds) == (0, 0, 0, 0)


def test_looking_again_sees_what_is_new_and_what_has_gone(server: Host, place: FolderRepository) -> None:
    observer = Observer(config(server))
    repository = opened(server, place)
    first, second = known(observer.look().backups).found
    repository.store.delete(repository.layout.manifest(first.id))
    assert known(observer.look().backups).found == (second,)
    repository.store.delete(repository.layout.manifest(second.id))
    gone = observer.look()
    assert known(gone.backups).found == ()
    assert (known(gone.continuity).start, known(gone.continuity).end) == (None, None)
    assert known(gone.continuity).newest is not None


def test_what_was_read_once_is_not_fetched_again(server: Host, place: FolderRepository) -> None:
    observer = Observer(config(server))
    first, _ = known(observer.look().backups).found
    manifest = Layout(place.prefix, "main", first.system_identifier).manifest(first.id)
    store = open_store(place)
    store.delete(manifest)
    store.put(manifest, b"never to be read")
    assert first in known(observer.look().backups).found
    assert first not in known(look(config(server)).backups).found
