"""Killed at every marked point, and a store that fails in every way: what is acknowledged is there, and undamaged."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest

from ops.config import S3Repository
from ops.model.layout import Layout
from ops.model.segment import WalFile
from ops.postgres.control import ControlData
from ops.store import open_store
from ops.store.repository import Repository, repository_at
from ops.wal import faults
from ops.wal.contract import FetchExit
from ops.wal.stored import read

from .fix_archiver import Archiver
from .fix_postgres import Host
from .fix_proxy import FAULTS, Proxy
from .fix_store import Weed

pytestmark = pytest.mark.integration

DESTINATION = "pg_wal/RECOVERYXLOG"


@pytest.fixture(scope="module")
def stopped(module_hosts: Callable[[str], Host]) -> Host:
    """A database with a few full segments that nobody has archived; its server does not run."""
    host = module_hosts("pg")
    host.initdb("--wal-segsize=1")
    host.configure(wal_keep_size="64MB")
    host.start()
    for _ in range(4):
        host.sql("select pg_logical_emit_message(true, 'test', repeat('x', 100000)), pg_switch_wal()")
    host.stop()
    return host


@pytest.fixture
def archiver(stopped: Host, archivers: Callable[[Host], Archiver], s3_settings: S3Repository) -> Iterator[Archiver]:
    """The service of that host, over an empty bucket; not started."""
    made = archivers(stopped)
    stopped.write_config(s3_settings, wal=made.settings())
    yield made
    (stopped.data_dir / DESTINATION).unlink(missing_ok=True)


@pytest.fixture(scope="module")
def segments(stopped: Host) -> list[str]:
    return sorted(path.name for path in (stopped.data_dir / "pg_wal").glob("0" * 7 + "1" + "?" * 16))[:3]


@pytest.fixture(scope="module")
def filled(stopped: Host, segments: list[str], weed: Weed) -> S3Repository:
    """A bucket that has those segments, for tests that only fetch."""
    settings = weed.settings(weed.make_bucket())
    stopped.write_config(settings)
    for name in segments:
        outcome = stopped.ops("wal", "push", f"pg_wal/{name}")
        assert outcome.returncode == 0, outcome.stderr
    return settings


@pytest.fixture
def reader(stopped: Host, archivers: Callable[[Host], Archiver], filled: S3Repository) -> Iterator[Archiver]:
    """The service of that host over the bucket that has the segments; not started."""
    made = archivers(stopped)
    stopped.write_config(filled, wal=made.settings())
    yield made
    (stopped.data_dir / DESTINATION).unlink(missing_ok=True)


def repository_of(host: Host, settings: S3Repository) -> Repository:
    layout = Layout("pend", "main", ControlData.read(host.data_dir).system_identifier)
    return repository_at(open_store(settings), layout, settings.encryption, host.keys)


def stored(host: Host, settings: S3Repository, name: str) -> bytes | None:
    """The segment as the store has it, opened and verified."""
    return read(repository_of(host, settings), WalFile.parse(name))


def original(host: Host, name: str) -> bytes:
    return (host.data_dir / "pg_wal" / name).read_bytes()


def fetched(host: Host) -> bytes | None:
    path = host.data_dir / DESTINATION
    return path.read_bytes() if path.exists() else None


@pytest.mark.parametrize("point", [*faults.PUSH, "client-asked", "client-answered"])
def test_a_push_that_is_killed_is_made_good_by_the_next(
    archiver: Archiver, segments: list[str], s3_settings: S3Repository, point: str
) -> None:
    host, name = archiver.host, segments[0]
    by_client = point in faults.CLIENT
    archiver.start(kill_at="" if by_client else point)
    outcome = archiver.client("push", f"pg_wal/{name}", kill_at=point if by_client else "", alone=False)
    if by_client:
        assert outcome.returncode == -signal.SIGKILL
    else:
        assert archiver.wait() == -signal.SIGKILL
        archiver.start()
    if outcome.returncode == 0:
        assert stored(host, s3_settings, name) == original(host, name)
    assert archiver.client("push", f"pg_wal/{name}", alone=False).returncode == 0
    assert stored(host, s3_settings, name) == original(host, name)


@pytest.mark.parametrize("point", ["push-read", "push-sealed", "push-stored"])
def test_a_push_without_the_service_may_be_killed_too(
    archiver: Archiver, segments: list[str], s3_settings: S3Repository, point: str
) -> None:
    name = segments[0]
    assert archiver.client("push", f"pg_wal/{name}", kill_at=point).returncode == -signal.SIGKILL
    assert archiver.client("push", f"pg_wal/{name}").returncode == 0
    assert stored(archiver.host, s3_settings, name) == original(archiver.host, name)


@pytest.mark.parametrize("point", [*faults.FETCH, *faults.CLIENT])
def test_a_fetch_that_is_killed_leaves_a_whole_file_or_none(reader: Archiver, segments: list[str], point: str) -> None:
    host = reader.host
    by_client = point in faults.CLIENT
    reader.start(kill_at="" if by_client else point)
    outcome = reader.client("fetch", segments[0], DESTINATION, kill_at=point if by_client else "", alone=False)
    assert outcome.returncode != 0
    assert fetched(host) in (None, original(host, segments[0]))
    if not by_client:
        assert reader.wait() == -signal.SIGKILL
        reader.start()
    for name in segments:
        assert reader.client("fetch", name, DESTINATION, alone=False).returncode == 0
        assert fetched(host) == original(host, name)
    assert [path.name for path in (host.data_dir / "pg_wal").glob("*.part-*")] == []


@pytest.mark.parametrize("point", ["fetch-got", "fetch-written", "fetch-placed"])
def test_a_fetch_without_the_service_may_be_killed_too(reader: Archiver, segments: list[str], point: str) -> None:
    host, name = reader.host, segments[0]
    assert reader.client("fetch", name, DESTINATION, kill_at=point).returncode == -signal.SIGKILL
    assert fetched(host) in (None, original(host, name))
    assert reader.client("fetch", name, DESTINATION).returncode == 0
    assert fetched(host) == original(host, name)
    assert [path.name for path in (host.data_dir / "pg_wal").glob("*.part-*")] == []


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_of_the_store_makes_us_acknowledge_what_it_does_not_have(
    archiver: Archiver, proxy: Proxy, segments: list[str], s3_settings: S3Repository, fault: str
) -> None:
    host, name = archiver.host, segments[0]
    host.write_config(proxy.settings(s3_settings), wal=archiver.settings())
    archiver.start()
    proxy.fault = fault
    outcome = archiver.client("push", f"pg_wal/{name}", alone=False)
    assert outcome.returncode in (0, 1, 3), outcome.stderr
    if outcome.returncode == 0:
        assert stored(host, s3_settings, name) == original(host, name)
    else:
        assert proxy.settings(s3_settings).bucket in outcome.stderr
    proxy.fault = ""
    assert archiver.client("push", f"pg_wal/{name}", alone=False).returncode == 0
    assert stored(host, s3_settings, name) == original(host, name)


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_of_the_store_ends_a_recovery_or_brings_back_other_bytes(
    reader: Archiver, proxy: Proxy, segments: list[str], filled: S3Repository, fault: str
) -> None:
    host, name = reader.host, segments[0]
    host.write_config(proxy.settings(filled), wal=reader.settings(standby_patience=0.5))
    reader.start()
    # It is stored already; the service has opened the repository then, so that the fault meets the segment.
    assert reader.client("push", f"pg_wal/{name}", alone=False).returncode == 0
    proxy.fault = fault
    outcome = reader.client("fetch", name, DESTINATION, alone=False)
    if fault == "slow":
        assert (outcome.returncode, fetched(host)) == (0, original(host, name))
        return
    assert (outcome.returncode, fetched(host)) == (200, None), outcome.stderr
    host.write(host.data_dir / "standby.signal", "")
    try:
        assert reader.client("fetch", name, DESTINATION, alone=False).returncode == FetchExit.ABSENT
    finally:
        (host.data_dir / "standby.signal").unlink()
    proxy.fault = ""
    assert reader.client("fetch", name, DESTINATION, alone=False).returncode == 0
    assert fetched(host) == original(host, name)


def test_what_was_fetched_ahead_is_another_databases_for_another_database(
    reader: Archiver, segments: list[str], hosts: Callable[[str], Host]
) -> None:
    reader.start()
    for name in segments[:2]:
        assert reader.client("fetch", name, DESTINATION, alone=False).returncode == 0
    stranger = hosts("stranger")
    stranger.initdb("--wal-segsize=1", stranger=True)
    outcome = reader.client(
        "fetch", segments[2], stranger.base / "out", "--data-dir", str(stranger.data_dir), alone=False
    )
    assert outcome.returncode == 200
    assert "holds nothing of this cluster" in outcome.stderr


def test_an_absent_file_is_asked_for_anew_each_time(archiver: Archiver, segments: list[str]) -> None:
    host = archiver.host
    assert archiver.client("push", f"pg_wal/{segments[0]}").returncode == 0
    archiver.start()
    assert archiver.client("fetch", segments[0], DESTINATION, alone=False).returncode == 0
    assert archiver.client("fetch", segments[1], DESTINATION, alone=False).returncode == FetchExit.ABSENT
    assert archiver.client("push", f"pg_wal/{segments[1]}", alone=False).returncode == 0
    assert archiver.client("fetch", segments[1], DESTINATION, alone=False).returncode == 0
    assert fetched(host) == original(host, segments[1])
