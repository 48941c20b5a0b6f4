"""`ops wal gaps` reads what is stored: deleted, altered, foreign segments, while the server says that all is well."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.config import S3Repository
from ops.model.ledger import Entry, Seen
from ops.model.segment import WalFile
from ops.postgres.control import ControlData
from ops.store.repository import Repository
from ops.wal.archive import survey
from ops.wal.ledger import Ledger, verify

from ..waiting import wait_until
from .fix_postgres import USER, Host
from .fix_store import repository_in

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(module_hosts: Callable[[str], Host]) -> Host:
    """A running server that has archived a dozen segments into a folder, with small segments."""
    host = module_hosts("pg")
    host.initdb("--wal-segsize=1")
    host.write_config(host.folder("original"))
    host.archive(wal_keep_size="64MB")
    host.start()
    for _ in range(8):
        host.sql("select pg_logical_emit_message(true, 'test', repeat('x', 1000)), pg_switch_wal()")
    last = host.value("select pg_walfile_name(pg_switch_wal())")
    archived = "select coalesce(last_archived_wal, '') from pg_stat_archiver"
    wait_until("all is archived", lambda: host.value(archived), until=lambda name: bool(name >= last), deadline=90)
    return host


@pytest.fixture
def host(server: Host, tmp_path: Path) -> Iterator[Host]:
    """The server with a copy of what it has archived, to damage."""
    settings = server.folder(tmp_path.name)
    shutil.copytree(server.base / "original", settings.path, dirs_exist_ok=True)
    own(settings.path)
    server.write_config(settings)
    yield server
    server.write_config(server.folder("original"))


@pytest.fixture
def repository(host: Host, tmp_path: Path) -> Repository:
    return repository_in(host.folder(tmp_path.name), ControlData.read(host.data_dir).system_identifier, host.keys)


def own(folder: Path) -> None:
    for path in folder.rglob("*"):
        shutil.chown(path, USER, USER)


def segments(repository: Repository) -> list[str]:
    names = [stored.key.rpartition("/")[2] for stored in repository.store.list(repository.layout.wal_root)]
    return [name for name in names if len(name) == 24]


def key(repository: Repository, name: str) -> str:
    return repository.layout.wal(WalFile.parse(name))


def replace(host: Host, repository: Repository, name: str, body: bytes) -> None:
    """Put another object in the place of a stored one, as nobody of ours ever does."""
    repository.store.delete(key(repository, name))
    repository.store.put(key(repository, name), body)
    own(Path(repository.store.name))


def gaps(host: Host, *options: str, code: int) -> Any:
    outcome = host.ops("wal", "gaps", "--json", *options)
    assert outcome.returncode == code, outcome.stdout + outcome.stderr
    return json.loads(outcome.stdout)


def verdicts(report: Any) -> dict[str, str]:
    return {bad["file"]: bad["verdict"] for bad in report["bad"]}


def test_a_deleted_an_altered_and_a_foreign_segment_are_named_in_one_run_while_the_server_says_that_all_is_well(
    host: Host, repository: Repository
) -> None:
    deleted, altered, foreign, misplaced = segments(repository)[1:5]
    assert gaps(host, code=0)["verified"]["complete"], "all was verified, and found to be good"
    body = bytearray(repository.store.get(key(repository, altered)))
    body[len(body) // 2] ^= 1
    replace(host, repository, altered, bytes(body))
    other = (host.data_dir / "pg_wal" / foreign).read_bytes()
    assert other[24:32] == repository.system_identifier.to_bytes(8, "little")
    strange = other[:24] + (repository.system_identifier + 1).to_bytes(8, "little") + other[32:]
    replace(host, repository, foreign, repository.seal("wal", foreign, strange, level=1))
    replace(host, repository, misplaced, repository.seal("wal", misplaced, other, level=1))
    repository.store.delete(key(repository, deleted))

    report = gaps(host, code=1)
    assert [hole["segments"] for hole in report["holes"]] == [[deleted]]
    assert verdicts(report) == {altered: "damaged", foreign: "foreign", misplaced: "foreign"}
    assert all(bad["unrecoverable_from"] for bad in report["bad"])
    assert report["frontier"]["segment"] < deleted
    told = host.ops("wal", "gaps").stdout
    for line in (f"MISSING  {deleted}", f"DAMAGED  {altered}", f"FOREIGN  {foreign}"):
        assert line in told
    failed, last = host.sql("select failed_count, last_archived_wal from pg_stat_archiver")[0]
    assert (failed, last >= misplaced) == (0, True)


def test_what_was_found_bad_is_named_by_every_later_run_until_it_is_put_right(
    host: Host, repository: Repository
) -> None:
    name = segments(repository)[2]
    whole = repository.store.get(key(repository, name))
    replace(host, repository, name, whole[:-1])
    for options in ((), ("--verify", "none"), ("--verify", "1")):
        assert verdicts(gaps(host, *options, code=1)) == {name: "damaged"}
    replace(host, repository, name, whole)
    assert verdicts(gaps(host, "--verify", "1", code=0)) == {}


def test_runs_go_on_where_the_last_one_ended_and_none_reads_more_than_it_may(
    host: Host, repository: Repository
) -> None:
    stored = {found.key: found.size for found in repository.store.list(repository.layout.wal_root)}
    done = 0
    while done < len(stored):
        report = gaps(host, "--verify", str(2 * max(stored.values())), code=0)
        assert report["verified_now"] >= 1
        assert report["verified"]["objects"] > done
        done = report["verified"]["objects"]
    assert done > 2
    oldest = report["verified"]["oldest_timestamp_seconds"]
    again = gaps(host, "--verify", str(sum(stored.values())), code=0)
    assert again["verified"]["oldest_timestamp_seconds"] > oldest, "then it begins again with what was verified first"


def test_an_altered_segment_that_was_good_before_is_read_at_once_however_small_the_budget(
    host: Host, repository: Repository
) -> None:
    gaps(host, code=0)
    names = segments(repository)
    body = repository.store.get(key(repository, names[-1]))
    replace(host, repository, names[-1], body[:-1] + bytes([body[-1] ^ 1]))
    assert verdicts(gaps(host, "--verify", "1", code=1)) == {names[-1]: "damaged"}


def test_the_newest_segments_are_missed_when_they_were_there_once(host: Host, repository: Repository) -> None:
    names = segments(repository)
    for name in names[-2:]:
        repository.store.delete(key(repository, name))
    assert gaps(host, code=0)["holes"] == [], "by the store alone, the archive just ends earlier"
    own(Path(repository.store.name))
    shutil.copytree(host.base / "original", repository.store.name, dirs_exist_ok=True)
    own(Path(repository.store.name))
    gaps(host, code=0)
    for name in names[-2:]:
        repository.store.delete(key(repository, name))
    assert [hole["segments"] for hole in gaps(host, "--verify", "none", code=1)["holes"]] == [names[-2:]]


def test_a_damaged_ledger_is_named_and_what_it_vouched_for_is_verified_again(
    host: Host, repository: Repository
) -> None:
    gaps(host, code=0)
    (ledger,) = repository.store.list(repository.layout.ledger)
    body = repository.store.get(ledger.key)
    repository.store.delete(ledger.key)
    repository.store.put(ledger.key, body[:-1])
    own(Path(repository.store.name))
    report = gaps(host, code=0)
    assert report["damaged_ledgers"] == [ledger.key]
    assert report["verified_now"] == report["verified"]["of_objects"]


def test_many_runs_leave_a_ledger_that_is_read_from_its_last_full_object(host: Host, repository: Repository) -> None:
    for _ in range(3):
        gaps(host, "--verify", "1", code=0)
    for _ in range(33):  # as the command does, without a process for each
        seen, ledger = survey(repository), Ledger.load(repository, repository.layout.ledger)
        found = verify(repository, seen.archive, seen.stored, ledger, budget=1, progress=lambda done, total: None)
        ledger.record(repository, found)
    own(Path(repository.store.name))
    names = [found.key for found in repository.store.list(repository.layout.ledger)]
    assert [name.endswith(".full") for name in names].count(True) == 1
    assert gaps(host, "--verify", "none", code=0)["verified"]["complete"]


def test_a_ledger_keeps_what_it_knows_and_not_what_is_superseded(repository: Repository) -> None:
    runs = 110
    for run in range(runs):
        Ledger.load(repository, repository.layout.ledger).record(repository, {f"{run:024X}": Entry(Seen(1, 1), run)})
    names = [found.key for found in repository.store.list(repository.layout.ledger)]
    assert [name.endswith(".full") for name in names].count(True) == 2
    assert len(names) < 80
    assert Ledger.load(repository, repository.layout.ledger).entries.keys() >= {f"{run:024X}" for run in range(runs)}


def test_a_damaged_history_is_named_and_does_not_hide_the_rest(host: Host, repository: Repository) -> None:
    text = f"1\t0/{0x100000 * 3:X}\tno recovery target specified\n".encode()
    blob = repository.seal("wal", "00000002.history", text, level=1)
    repository.store.put(repository.layout.wal(WalFile.parse("00000002.history")), blob[:-1])
    repository.store.delete(key(repository, segments(repository)[2]))
    own(Path(repository.store.name))
    report = gaps(host, code=1)
    assert verdicts(report) == {"00000002.history": "damaged"}
    assert len(report["holes"]) == 1


def test_without_an_answer_of_the_store_there_is_no_verdict(host: Host, s3_settings: S3Repository) -> None:
    host.write_config(s3_settings.model_copy(update={"endpoint": "https://localhost:1", "attempts": 1}))
    outcome = host.ops("wal", "gaps", "--json")
    assert outcome.returncode == 3


def test_an_empty_promise_is_no_budget(host: Host) -> None:
    assert host.ops("wal", "gaps", "--verify", "much").returncode == 2
