"""What is decided about a base backup without touching anything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.backup.reader import Piece, assemble, pieces
from ops.backup.unpack import Stretch, stretches, targets
from ops.model.backup import Label, backup_id, is_backup_id, needed_wal
from ops.model.blocks import Run
from ops.model.datadir import follows_link, left_out, tablespace_map
from ops.model.lsn import LSN
from ops.model.manifest import File

LABEL = """START WAL LOCATION: 0/6000028 (file 000000020000000000000006)
CHECKPOINT LOCATION: 0/6000060
BACKUP METHOD: streamed
BACKUP FROM: standby
START TIME: 2026-11-21 11:33:10 UTC
LABEL: ops 20261121T113309Z
START TIMELINE: 2
"""
SEGMENT = 16 * 1024 * 1024


def test_an_id_is_the_start_in_utc() -> None:
    start = datetime(2026, 11, 21, 11, 59, 0, 900000, tzinfo=timezone(timedelta(hours=1)))
    assert backup_id(start) == "20261121T105900Z"
    assert is_backup_id(backup_id(start))


@given(st.lists(st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1)), min_size=2))
def test_ids_sort_by_time(starts: list[datetime]) -> None:
    ids = [backup_id(start) for start in sorted(starts)]
    assert all(one <= two for one, two in pairwise(ids))


@pytest.mark.parametrize("text", ["", "latest", "20261121T105900", "20261121T105900Z/files", "x20261121T105900Z"])
def test_other_names_are_no_ids(text: str) -> None:
    assert not is_backup_id(text)


def test_a_label_says_where_the_backup_starts() -> None:
    assert Label.parse(LABEL) == Label(LSN.parse("0/6000028"), "000000020000000000000006", 2, True)


@pytest.mark.parametrize("line", ["START WAL LOCATION", "START TIMELINE", "BACKUP FROM"])
def test_a_label_without_a_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="backup_label"):
        Label.parse("\n".join(text for text in LABEL.splitlines() if not text.startswith(line)))


@pytest.mark.parametrize(
    ("stop", "last"),
    [
        ("0/6000100", "000000020000000000000006"),
        ("0/7000000", "000000020000000000000006"),  # the edge belongs to the segment before it
        ("0/7000001", "000000020000000000000007"),
        ("1/1", "000000020000000100000000"),
    ],
)
def test_the_needed_wal_runs_from_start_to_stop(stop: str, last: str) -> None:
    needed = needed_wal(Label.parse(LABEL), LSN.parse(stop), SEGMENT)
    assert needed[0].name == "000000020000000000000006"
    assert needed[-1].name == last
    assert all(one.next() == two for one, two in pairwise(needed))


def test_what_belongs_to_a_running_server_is_left_out() -> None:
    names = {"PG_VERSION", "base", "postmaster.pid", "standby.signal", "backup_label.old", "patroni.dynamic.json"}
    assert names - left_out("", names, 15) == {"PG_VERSION", "base", "patroni.dynamic.json"}


@pytest.mark.parametrize("directory", ["pg_wal", "pg_replslot", "pg_stat_tmp", "pg_subtrans"])
def test_directories_that_are_rebuilt_are_stored_empty(directory: str) -> None:
    assert left_out(directory, {"a", "b"}, 15) == {"a", "b"}


def test_wal_is_only_left_out_of_its_own_directory() -> None:
    assert left_out("base/pg_wal", {"a"}, 15) == set()


@pytest.mark.parametrize("directory", ["base/5", "pg_tblspc/16400/PG_15_202209061/5"])
def test_only_the_initial_fork_of_unlogged_relations_is_stored(directory: str) -> None:
    unlogged = {"100", "100.1", "100_fsm", "100_vm", "100_init"}
    logged = {"1", "1000", "1000_fsm", "1000.2", "pg_filenode.map"}
    assert left_out(directory, unlogged | logged, 15) == unlogged - {"100_init"}


def test_temporary_relations_and_caches_are_left_out() -> None:
    names = {"t3_16390", "t3_16390_fsm", "t12_7.1", "pgsql_tmp", "pg_internal.init", "pg_internal.init.77", "16390"}
    assert names - left_out("base/5", names, 15) == {"16390"}


def test_a_tablespace_of_the_version_before_an_upgrade_is_left_out() -> None:
    assert left_out("pg_tblspc/16400", {"PG_14_202107181", "PG_15_202209061", "lost+found"}, 15) == {
        "PG_14_202107181",
        "lost+found",
    }


@pytest.mark.parametrize(("path", "follows"), [("pg_wal", True), ("base", True), ("log", False), ("base/5", False)])
def test_only_directories_of_postgresql_are_followed(path: str, follows: bool) -> None:
    assert follows_link(path) is follows


def test_a_tablespace_map_escapes_what_ends_a_line() -> None:
    spaces = {"16400": "/srv/space", "16401": "/a\nb\\c"}
    assert tablespace_map(spaces) == "16400 /srv/space\n16401 /a\\\nb\\\\c\n"


def a_file(size: int, runs: tuple[Run, ...] = ()) -> File:
    return File("base/1", size, 0o600, 0, runs)


def read(offset: int, length: int | None, first: int) -> Piece:
    return Piece(0, offset, length, (Run(0, first, -(-length // 10)),) if length else ())


def test_pieces_of_a_file_become_one_run() -> None:
    done = [read(20, 15, 2), read(0, 20, 0)]  # in the order in which threads finished
    assert assemble([a_file(35)], done) == [a_file(35, (Run(0, 0, 4),))]


def test_a_file_that_shrank_ends_where_its_first_short_piece_ended() -> None:
    done = [read(0, 20, 0), read(20, 3, 2), read(40, 20, 3)]
    assert assemble([a_file(60)], done) == [a_file(23, (Run(0, 0, 3),))]


def test_a_file_that_went_while_it_was_read_is_stored_as_far_as_it_was_read() -> None:
    assert assemble([a_file(60)], [read(0, 20, 0), read(20, None, 0)]) == [a_file(20, (Run(0, 0, 2),))]


def test_a_file_that_was_gone_is_left_out() -> None:
    assert assemble([a_file(60)], [read(0, None, 0), read(20, None, 0)]) == []


def test_an_empty_file_is_stored() -> None:
    assert assemble([a_file(0)], []) == [a_file(0)]


@given(st.lists(st.integers(0, 100)), st.integers(1, 40))
def test_pieces_cover_every_file_once(sizes: list[int], size: int) -> None:
    found = list(pieces([a_file(size) for size in sizes], size))
    for number, whole in enumerate(sizes):
        own = [piece for piece in found if piece.file == number]
        assert sum(piece.length or 0 for piece in own) == whole
        assert [piece.offset for piece in own] == list(range(0, whole, size))


def test_each_block_has_its_place_in_its_file() -> None:
    file = a_file(25, (Run(1, 7, 1), Run(0, 3, 2)))
    assert stretches([file], 10) == {
        1: [Stretch("base/1", 0, 10, Run(1, 7, 1))],
        0: [Stretch("base/1", 10, 15, Run(0, 3, 2))],
    }
    places = targets(stretches([file], 10)[0], 10)
    assert {ordinal: [(to.offset, to.length) for to in found] for ordinal, found in places.items()} == {
        3: [(10, 10)],
        4: [(20, 5)],
    }


def test_a_block_that_files_share_has_several_places() -> None:
    one = File("base/1", 10, 0o600, 0, (Run(0, 3, 1),))
    two = File("base/2", 10, 0o600, 0, (Run(0, 3, 1),))
    places = targets(stretches([one, two], 10)[0], 10)
    assert [to.path for to in places[3]] == ["base/1", "base/2"]
