"""A server that archives with `ops wal push`: outages, timelines, and what `ops wal list` and `gaps` make of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ops.config import S3Repository
from ops.postgres.control import ControlData
from ops.store.repository import Repository
from ops.wal.archive import load_archive

from ..waiting import wait_until
from .fix_postgres import Host, run_as_postgres
from .fix_store import Weed, repository_in

pytestmark = pytest.mark.integration


@pytest.fixture
def server(hosts: Callable[[str], Host]) -> Host:
    """A server with small segments that archives; its repository is still to be configured, then it is started."""
    host = hosts("pg")
    host.initdb("--wal-segsize=1")
    host.archive()
    return host


def switch(host: Host) -> str:
    """Write something, fill the segment up, and return its name."""
    host.sql("select pg_logical_emit_message(true, 'test', 'something')")
    return str(host.value("select pg_walfile_name(pg_switch_wal())"))


def archived(host: Host) -> str:
    return str(host.value("select coalesce(last_archived_wal, '') from pg_stat_archiver"))


def ready(host: Host) -> list[str]:
    """The files that PostgreSQL still has to archive."""
    return sorted(path.stem for path in (host.data_dir / "pg_wal" / "archive_status").glob("*.ready"))


def repository_of(host: Host, settings: S3Repository) -> Repository:
    return repository_in(settings, ControlData.read(host.data_dir).system_identifier, host.keys)


def as_json(host: Host, *arguments: str, code: int = 0) -> Any:
    outcome = host.ops(*arguments, "--json")
    assert outcome.returncode == code, outcome.stdout + outcome.stderr
    return json.loads(outcome.stdout)


def test_an_outage_of_the_store_loses_nothing(server: Host, weed: Weed, s3_settings: S3Repository) -> None:
    server.write_config(s3_settings.model_copy(update={"attempts": 1}))
    server.start()
    first = switch(server)
    wait_until("the first segment is archived", lambda: archived(server), until=lambda name: name >= first)
    weed.kill()
    try:
        during = [switch(server) for _ in range(3)]
        failed = wait_until("the outage is counted", lambda: server.value("select failed_count from pg_stat_archiver"))
        assert failed > 0
        assert ready(server) == during
        assert archived(server) == first
        assert s3_settings.bucket in server.log_text()
        assert "does not answer" in server.log_text()
    finally:
        weed.start()
    last = switch(server)
    # After three failures in a row the archiver rests until it is woken, for up to a minute.
    wait_until(
        "all is archived",
        lambda: (archived(server), ready(server)),
        until=lambda seen: seen == (last, []),
        deadline=90,
    )
    stored = load_archive(repository_of(server, s3_settings)).segments[1]
    numbers = [int(name[16:], 16) for name in [first, *during, last]]
    assert set(range(numbers[0], numbers[-1] + 1)) <= stored
    assert as_json(server, "wal", "gaps")["complete"]


def test_a_promoted_server_archives_its_history_and_goes_on(server: Host, s3_settings: S3Repository) -> None:
    server.write_config(s3_settings)
    server.start()
    first = switch(server)
    wait_until("it is archived", lambda: archived(server), until=lambda name: name >= first)
    server.stop()
    server.recover(standby=True)
    server.start()
    assert server.value("select pg_promote(true, 30)")
    last = switch(server)
    assert last.startswith("00000002")
    wait_until("it is archived", lambda: (archived(server), ready(server)), until=lambda seen: seen == (last, []))
    names = [stored.key.rpartition("/")[2] for stored in repository_of(server, s3_settings).store.list("")]
    assert "00000002.history" in names
    assert any(name.startswith("00000001") and name.endswith(".partial") for name in names)
    report = as_json(server, "wal", "gaps")
    assert (report["complete"], report["frontier"]["segment"], report["unknown_keys"]) == (True, last, [])
    timelines = as_json(server, "wal", "list")["timelines"]
    assert [timeline["number"] for timeline in timelines] == [1, 2]
    assert timelines[0]["oldest"] == first
    assert timelines[1]["newest"] == last


@pytest.fixture(scope="module")
def five(module_hosts: Callable[[str], Host]) -> tuple[Host, list[str]]:
    """A stopped server that has archived five segments."""
    host = module_hosts("five")
    host.initdb("--wal-segsize=1")
    host.archive()
    host.write_config(host.folder("original"))
    host.start()
    names = [switch(host) for _ in range(5)]
    wait_until("all is archived", lambda: archived(host), until=lambda name: name >= names[-1])
    host.stop("immediate")
    return host, names


@pytest.fixture
def filled(five: tuple[Host, list[str]]) -> Iterator[tuple[Host, list[str]]]:
    """The same, with a copy of its archive to do anything to."""
    host, names = five
    folder = host.base / "repository"
    run_as_postgres(["cp", "-a", host.base / "original", folder])
    host.write_config(host.folder())
    yield host, names
    shutil.rmtree(folder)


def lose(host: Host, name: str) -> None:
    (found,) = (host.base / "repository").rglob(name)
    found.unlink()


def test_gaps_are_named_by_segment(filled: tuple[Host, list[str]]) -> None:
    host, names = filled
    before = as_json(host, "wal", "gaps")
    assert (before["complete"], before["holes"], before["backups"]) == (True, [], 0)
    lose(host, names[1])
    lose(host, names[2])
    report = as_json(host, "wal", "gaps", code=1)
    (hole,) = report["holes"]
    assert hole["segments"] == names[1:3]
    assert hole["unrecoverable_until"] is None
    assert report["frontier"]["segment"] == names[0]
    told = host.ops("wal", "gaps")
    assert told.returncode == 1
    assert f"MISSING  {names[1]} to {names[2]} (2 segments)" in told.stdout


def test_a_lost_history_and_a_stray_file_are_named(filled: tuple[Host, list[str]]) -> None:
    host, names = filled
    wal = next((host.base / "repository").rglob(names[0])).parent.parent
    child = names[-1].replace("00000001", "00000002", 1)
    (wal / "00000002").mkdir()
    (wal / "00000002" / child).write_bytes(b"only its name is looked at")
    (wal / "00000001" / f"{names[0]}.gz").write_bytes(b"from another tool")
    report = as_json(host, "wal", "gaps", code=1)
    assert report["missing_histories"] == ["00000002.history"]
    assert [key.rpartition("/")[2] for key in report["unknown_keys"]] == [f"{names[0]}.gz"]
    assert report["holes"] == []
    told = host.ops("wal", "gaps").stdout
    assert "MISSING  00000002.history" in told
    assert "UNKNOWN" in told


def test_list_sums_up_each_timeline(filled: tuple[Host, list[str]]) -> None:
    host, names = filled
    (timeline,) = as_json(host, "wal", "list")["timelines"]
    assert (timeline["oldest"], timeline["newest"]) == (names[0], names[-1])
    assert timeline["segments"] == 5
    assert timeline["stored_bytes"] > 0
    told = host.ops("wal", "list").stdout
    assert names[0] in told
    assert names[-1] in told


def test_what_cannot_be_asked_is_exit_3_and_what_is_not_there_is_exit_1(
    filled: tuple[Host, list[str]], s3_settings: S3Repository
) -> None:
    host, _ = filled
    host.write_config(s3_settings)
    for command in ("gaps", "list"):
        outcome = host.ops("wal", command, "--json")
        assert outcome.returncode == 1
        assert "holds nothing of cluster 'main'" in json.loads(outcome.stdout)["error"]
    host.write_config(s3_settings.model_copy(update={"endpoint": "https://localhost:1", "attempts": 1}))
    for noun, verb in (("wal", "gaps"), ("wal", "list"), ("repository", "show"), ("repository", "init")):
        assert host.ops(noun, verb).returncode == 3


def test_another_server_of_the_same_name_has_a_repository_of_its_own(
    filled: tuple[Host, list[str]], hosts: Callable[[str], Host]
) -> None:
    host, names = filled
    other = hosts("rebuilt")
    other.initdb("--wal-segsize=1", stranger=True)
    other.write_config(host.folder())
    as_json(other, "repository", "init")
    ambiguous = other.ops("wal", "list")
    assert ambiguous.returncode == 2
    assert "--system-identifier" in ambiguous.stderr
    identifier = str(ControlData.read(host.data_dir).system_identifier)
    assert as_json(other, "wal", "list", "--system-identifier", identifier)["timelines"][0]["oldest"] == names[0]


def test_a_repository_is_made_once_and_shown_without_its_key(
    five: tuple[Host, list[str]], s3_settings: S3Repository
) -> None:
    server, _ = five
    server.write_config(s3_settings)
    nothing = server.ops("repository", "show")
    assert (nothing.returncode, nothing.stdout) == (1, "")
    made = as_json(server, "repository", "init")
    again = as_json(server, "repository", "init")
    assert made | {"probe": None} == again | {"probe": None}
    assert made["segment_size"] == 1 << 20
    assert made["system_identifier"] == ControlData.read(server.data_dir).system_identifier
    assert made["probe"]["conditional_writes"] is made["probe"]["cleaned"] is True
    (shown,) = as_json(server, "repository", "show")
    assert shown == again, "what was found last is recorded"
    repository = repository_of(server, s3_settings)
    (data_key,) = repository.store.list(repository.layout.keys)
    probes = {stored.key for stored in repository.store.list(repository.layout.probes)}
    assert len(probes) == 2
    known = {data_key.key, repository.layout.repository, *probes}
    assert {stored.key for stored in repository.store.list("")} == known
    secret = repository.block_key(repository.describe()).hex()
    for verb in ("init", "show"):
        told = server.ops("repository", verb)
        assert told.returncode == 0
        assert s3_settings.bucket in told.stdout
        assert secret not in told.stdout + told.stderr + json.dumps(made)
