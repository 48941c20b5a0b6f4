"""`ops cluster restore --look`: the cluster as it was, beside the one that runs, and how they differ."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ..waiting import wait_until
from .fix_postgres import Host

pytestmark = pytest.mark.integration


@dataclass
class Lived:
    """A primary that runs, whose table `precious` was dropped after `moment`."""

    primary: Host
    moment: str

    def left(self) -> list[Path]:
        return sorted(self.primary.base.glob("data.restored-*"))


@pytest.fixture(scope="module")
def story(module_hosts: Callable[[str], Host]) -> Lived:
    """The one life that all tests look back at; none of them may change it."""
    primary = module_hosts("primary")
    primary.initdb("--wal-segsize=1")
    primary.write_config(primary.folder())
    primary.archive()
    primary.start()
    primary.sql("create database shop")
    taken = primary.ops("backup", "create")
    assert taken.returncode == 0, taken.stderr
    primary.sql("create table precious as select generate_series(1, 1000) i", "shop")
    primary.sql("analyze precious", "shop")  # at the moment its DROP is under way: nobody can count it there
    primary.sql("create table same as select generate_series(1, 10) i", "shop")
    primary.sql("create table grown as select generate_series(1, 10) i", "shop")
    moment = primary.value("select clock_timestamp()").isoformat()
    primary.sql("drop table precious", "shop")
    primary.sql("insert into grown values (11)", "shop")
    primary.sql("create table late (i int)", "shop")
    primary.sql("create database newer")
    archived(primary)
    return Lived(primary, moment)


@pytest.fixture
def lived(story: Lived) -> Iterator[Lived]:
    """That life, with nothing left beside it by another test."""
    assert story.left() == []
    yield story
    for path in story.left():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def archived(host: Host) -> None:
    segment = host.value("select pg_walfile_name(pg_switch_wal())")
    wait_until(
        f"{segment} archived",
        lambda: host.value("select last_archived_wal from pg_stat_archiver"),
        until=lambda last: last is not None and last >= segment,
    )


def look(host: Host, target: str, *options: str) -> dict[str, Any]:
    outcome = host.ops("cluster", "restore", "--look", "--json", "--target", target, *options, timeout=120)
    assert outcome.returncode == 0, outcome.stderr
    document: dict[str, Any] = json.loads(outcome.stdout)
    return document


def test_the_cluster_comes_back_beside_and_the_difference_is_shown(lived: Lived) -> None:
    primary = lived.primary
    found = look(primary, lived.moment)
    directory = primary.base / f"data.restored-{found['id']}"
    assert found["directory"] == str(directory)
    assert found["databases"] == {"restored": ["postgres", "shop"], "live": ["newer", "postgres", "shop"]}
    rows = {
        one["table"]: [one[side] and one[side]["rows"] for side in ("restored", "live")] for one in found["changes"]
    }
    assert rows == {"public.precious": [1000, None], "public.late": [None, 0], "public.grown": [10, 11]}
    assert found["restored"]["moment"] < lived.moment < found["live"]["moment"]
    assert json.loads((primary.base / f"data.restored-{found['id']}.json").read_text()) == found
    # The live one has seen nothing of it, and what was restored is stopped, and still before its target's end.
    assert primary.value("select count(*) from grown", "shop") == 11
    assert not (directory / "postmaster.pid").exists()
    assert (directory / "recovery.signal").exists()


def test_what_was_restored_opens_with_what_was_dropped(lived: Lived, hosts: Callable[[str], Host]) -> None:
    found = look(lived.primary, lived.moment)
    host = hosts("opened")
    Path(found["directory"]).rename(host.data_dir)
    host.start()
    host.sql("select pg_wal_replay_resume()")
    wait_until("it has ended recovery", lambda: not host.value("select pg_is_in_recovery()"))
    assert host.value("select count(*) from precious", "shop") == 1000


def test_the_difference_is_shown_to_people(lived: Lived) -> None:
    outcome = lived.primary.ops("cluster", "restore", "--look", "--target", lived.moment, timeout=120)
    assert outcome.returncode == 0, outcome.stderr
    assert "3 tables differ." in outcome.stdout
    assert "databases only live  newer" in outcome.stdout
    line = next(line for line in outcome.stdout.splitlines() if "public.precious" in line)
    assert line.split()[:3] == ["shop", "public.precious", "~1000"]
    assert "ops cluster restore --swap" in outcome.stdout


def test_latest_is_the_newest_commit_in_the_archive(lived: Lived) -> None:
    found = look(lived.primary, "latest")
    assert found["changes"] == []
    assert found["databases"]["restored"] == found["databases"]["live"]


def test_a_cluster_that_is_lost_comes_back_without_a_comparison(lived: Lived) -> None:
    lived.primary.stop()
    try:
        found = look(lived.primary, lived.moment)
    finally:
        lived.primary.start()
    assert (found["live"], found["changes"]) == (None, [])
    assert found["databases"] == {"restored": ["postgres", "shop"], "live": []}


def test_a_second_one_is_refused_and_the_way_on_is_named(lived: Lived) -> None:
    found = look(lived.primary, lived.moment)
    left = lived.left()
    outcome = lived.primary.ops("cluster", "restore", "--look", "--target", lived.moment)
    assert outcome.returncode == 1
    assert f"--swap {found['id']}" in outcome.stderr
    assert f"rm -rf {found['directory']}*" in outcome.stderr
    assert lived.left() == left


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--look",), 2, "either --target"),
        (("--target", "latest", "--swap", "x"), 2, "either --target"),
        (("--target", "yesterday-ish", "--look"), 2, "--target"),
        (("--target", "2001-01-01T00:00:00Z", "--look"), 1, "no base backup"),
        (("--target", "latest"), 2, "only root"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_left(
    lived: Lived, arguments: tuple[str, ...], code: int, words: str
) -> None:
    outcome = lived.primary.ops("cluster", "restore", *arguments)
    assert (outcome.returncode, words in outcome.stderr) == (code, True), outcome.stderr
    assert lived.left() == []


def test_a_target_that_is_not_reached_leaves_what_there_is_and_says_how_to_remove_it(lived: Lived) -> None:
    primary = lived.primary
    outcome = primary.ops("cluster", "restore", "--look", "--target", "name:never", timeout=120)
    assert (outcome.returncode, "before the target was reached" in outcome.stderr) == (1, True), outcome.stderr
    (left,) = lived.left()
    again = primary.ops("cluster", "restore", "--look", "--target", lived.moment)
    assert (again.returncode, f"rm -rf {left}*" in again.stderr) == (1, True), again.stderr
