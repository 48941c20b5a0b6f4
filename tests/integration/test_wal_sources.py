"""`ops wal fetch` with several repositories: the first that has a file gives it, and all of them say that none has."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.model.segment import WalFile
from ops.postgres.control import ControlData
from ops.store.repository import ensure
from ops.wal.contract import FetchExit

from .fix_archiver import Archiver
from .fix_postgres import USER, Host
from .fix_store import repository_in

pytestmark = pytest.mark.integration

NAMES = [f"0000000100000000000000{number}" for number in (31, 32, 33, 34)]
LATER = "000000010000000000000035"
DESTINATION = "pg_wal/RECOVERYXLOG"


@pytest.fixture(scope="module")
def database(module_hosts: Callable[[str], Host]) -> Host:
    """A database whose server does not run."""
    host = module_hosts("pg")
    host.initdb()
    return host


class Sites:
    """Two folders with the same four segments, as `[repository]` and `[repositories.offsite]`."""

    def __init__(self, host: Host, base: str) -> None:
        self.host = host
        self.settings = [host.folder(f"{base}-{place}") for place in ("main", "offsite")]
        self.configure()
        identifier = ControlData.read(host.data_dir).system_identifier
        self.repositories = [repository_in(settings, identifier, host.keys) for settings in self.settings]
        for repository in self.repositories:
            ensure(repository, segment_size=1 << 20, postgres_version=15)
            for name in NAMES:
                blob = repository.seal("wal", name, name.encode().ljust(1 << 20), level=1)
                repository.store.put(repository.layout.wal(WalFile.parse(name)), blob)
        for settings in self.settings:
            for path in settings.path.rglob("*"):
                shutil.chown(path, USER, USER)

    def configure(self, **wal: object) -> None:
        offsite: dict[str, Any] = {"repositories.offsite": {"type": "folder", "path": self.settings[1].path}}
        self.host.write_config(self.settings[0], wal={"standby_patience": 0.6, **wal}, **offsite)

    def fetch(self, name: str) -> tuple[int, str]:
        """The exit code and what is said; what came is what was stored, or nothing."""
        outcome = self.host.ops("wal", "fetch", name, DESTINATION)
        came = self.host.data_dir / DESTINATION
        assert came.exists() == (outcome.returncode == 0)
        if came.exists():
            assert came.read_bytes() == name.encode().ljust(1 << 20)
            came.unlink()
        return outcome.returncode, outcome.stderr

    def path(self, number: int, name: str) -> Path:
        return self.settings[number].path / self.repositories[number].layout.wal(WalFile.parse(name))

    def away(self, number: int) -> None:
        """That site does not answer any more."""
        place = self.settings[number].path
        place.rename(place.with_name(f"{place.name}-away"))

    def damage(self, number: int, name: str) -> None:
        blob = bytearray(self.path(number, name).read_bytes())
        blob[-1] ^= 1
        self.path(number, name).chmod(0o600)
        self.path(number, name).write_bytes(blob)


@pytest.fixture
def sites(database: Host, tmp_path: Path) -> Iterator[Sites]:
    yield Sites(database, tmp_path.name)
    (database.data_dir / "standby.signal").unlink(missing_ok=True)


def test_a_file_that_the_first_has_lost_or_damaged_comes_from_the_second(sites: Sites) -> None:
    sites.path(0, NAMES[0]).unlink()
    sites.damage(0, NAMES[1])
    assert sites.fetch(NAMES[0]) == (0, "")
    code, said = sites.fetch(NAMES[1])
    assert code == 0
    assert f"{NAMES[1]} in the store is damaged" in said
    assert f"{sites.settings[1].path} was asked instead" in said


def test_a_site_that_is_away_is_not_missed_but_keeps_a_recovery_from_ending(sites: Sites) -> None:
    assert sites.fetch(LATER)[0] == FetchExit.ABSENT
    sites.away(0)
    assert sites.fetch(NAMES[0])[0] == 0
    code, said = sites.fetch(LATER)
    assert (code, str(sites.settings[0].path) in said) == (200, True), said


def test_the_second_site_has_to_answer_too_before_a_recovery_ends(sites: Sites) -> None:
    sites.away(1)
    assert sites.fetch(NAMES[0]) == (0, "")
    code, said = sites.fetch(LATER)
    assert (code, str(sites.settings[1].path) in said) == (200, True), said


def test_a_gap_in_both_is_a_gap_and_one_that_the_other_fills_is_none(sites: Sites) -> None:
    sites.path(0, NAMES[2]).unlink()
    assert sites.fetch(NAMES[2])[0] == 0
    sites.path(1, NAMES[2]).unlink()
    sites.path(0, NAMES[3]).unlink()
    code, said = sites.fetch(NAMES[2])
    assert (code, f"later WAL is there: {NAMES[3]}" in said) == (200, True), said


def test_a_standby_waits_for_no_site_but_the_first_that_answers(sites: Sites) -> None:
    sites.host.write(sites.host.data_dir / "standby.signal", "")
    sites.path(0, NAMES[0]).unlink()
    assert sites.fetch(NAMES[0])[0] == 0, "a gap: WAL after it is there"
    sites.away(1)
    assert sites.fetch(LATER) == (FetchExit.ABSENT, "")
    assert sites.fetch(NAMES[0])[0] == FetchExit.ABSENT, "it asks its primary"
    assert sites.fetch(NAMES[1]) == (0, "")


def test_the_service_asks_a_site_that_was_away_last_and_goes_on_ahead_of_replay(
    sites: Sites, archivers: Callable[[Host], Archiver]
) -> None:
    archiver = archivers(sites.host)
    sites.configure(**archiver.settings(tail=False))
    archiver.start()
    sites.away(0)
    said = [archiver.client("fetch", name, DESTINATION, alone=False) for name in NAMES]
    assert [outcome.returncode for outcome in said] == [0] * 4
    assert ["was asked instead" in outcome.stderr for outcome in said] == [True, False, False, False]
    assert archiver.status()["prefetched_total"] >= 2
