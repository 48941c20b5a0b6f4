"""A backup that is killed anywhere is made good by the next, which stores what is missing; and one runs at a time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ops.backup import catalog, earlier, faults
from ops.backup.lease import BACKUP, Holder, Lease, Patience
from ops.backup.report import Silent
from ops.config import FolderRepository
from ops.errors import OpsError
from ops.model.layout import Layout
from ops.store import open_store
from ops.store.base import Store
from ops.store.repository import Repository, current

from ..waiting import wait_until
from .fix_postgres import OPS, USER, Host, as_postgres, run_as_postgres
from .fix_store import repository_in

pytestmark = pytest.mark.integration

MIB = 1 << 20


@pytest.fixture(scope="module")
def host(module_hosts: Callable[[str], Host]) -> Host:
    """A primary with 60 MiB that no compression makes smaller; no backup yet."""
    host = module_hosts("primary")
    host.initdb()
    host.write_config(folder(host, "repository"))
    host.archive()
    host.configure(autovacuum="off")
    host.start()
    host.sql("create table noise (i int, t bytea)")
    host.sql("alter table noise alter t set storage plain")
    host.sql(
        "insert into noise select i, (select string_agg(sha512((i * 100 + k)::text::bytea), ''::bytea) "
        "from generate_series(1, 30) k) from generate_series(1, 30000) i"
    )
    host.sql("vacuum (freeze, analyze)")
    host.sql("checkpoint")
    return host


def folder(host: Host, name: str) -> FolderRepository:
    path = host.base / name
    path.mkdir()
    shutil.chown(path, USER, USER)
    return FolderRepository(type="folder", path=path)


def opened(host: Host, settings: FolderRepository) -> Repository:
    identifier = current(open_store(settings), "pend", "main", None).system_identifier
    return repository_in(settings, identifier, host.keys)


def take(host: Host) -> dict[str, Any]:
    time.sleep(1.1)  # ids are seconds
    outcome = host.ops("backup", "create", "--json")
    assert outcome.returncode == 0, outcome.stderr
    found = json.loads(outcome.stdout)
    assert isinstance(found, dict)
    return found


def stored(repository: FolderRepository) -> int:
    return sum(path.stat().st_size for path in repository.path.glob("pend/main/*/packs/*"))


def test_killed_at_nine_tenths_the_next_run_stores_the_rest(host: Host) -> None:
    host.write_config(folder(host, "whole"))
    host.sql("select pg_switch_wal()")
    whole = take(host)["new_bytes"]
    settings = folder(host, "killed")
    rate = 20 * MIB
    host.write_config(settings, backup={"rate": rate})
    environment = {**os.environ, "OPS_CONFIG": str(host.config_file)}
    start = time.monotonic()
    process = subprocess.Popen(
        as_postgres([OPS, "backup", "create"]), env=environment, cwd="/", stderr=subprocess.DEVNULL
    )
    wait_until("nine tenths are stored", lambda: stored(settings) >= 0.9 * whole, deadline=120, pause=0.005)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    assert time.monotonic() - start > 0.8 * whole / rate  # and no faster than it was told to
    assert list(settings.path.glob("pend/main/*/backups/*/manifest")) == []
    host.write_config(settings)
    again = take(host)
    assert again["new_bytes"] <= 0.12 * whole, f"{again['new_bytes'] / whole:.1%} of {whole}"
    assert again["stored_bytes"] >= 0.95 * whole
    outcome = host.ops("backup", "restore", "latest", "--to", host.base / "restored")
    assert outcome.returncode == 0, outcome.stderr


@pytest.fixture(scope="module")
def prepared(host: Host) -> FolderRepository:
    settings = folder(host, "faults")
    host.write_config(settings)
    host.sql("select pg_switch_wal()")
    take(host)
    return settings


@pytest.mark.parametrize("point", faults.CREATE)
def test_killed_at_any_point_the_next_run_converges(host: Host, prepared: FolderRepository, point: str) -> None:
    host.write_config(prepared)
    host.sql("drop table if exists more")
    host.sql("create table more as select sha512((i + random())::text::bytea) from generate_series(1, 40000) i")
    repository = opened(host, prepared)
    before = catalog.ids(repository)
    time.sleep(1.1)
    killed = run_as_postgres(
        [OPS, "backup", "create"],
        cwd=host.data_dir,
        env={"OPS_CONFIG": str(host.config_file), "OPS_KILL_AT": point},
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    committed = point in ("create-committed", "create-released")
    assert len(catalog.ids(repository)) == len(before) + committed
    stored_before = stored(prepared)
    taken = take(host)
    assert len(catalog.ids(repository)) == len(before) + committed + 1
    assert stored(prepared) - stored_before == taken["new_bytes"]
    for backup_id in catalog.ids(repository):
        packs = catalog.contents(repository, catalog.read(repository, backup_id)).packs
        assert earlier.missing(repository, packs) == []
    if faults.CREATE.index(point) >= faults.CREATE.index("create-copied"):
        assert taken["new_bytes"] < MIB


def test_a_second_run_is_refused_and_told_who_is_running(host: Host, prepared: FolderRepository) -> None:
    host.write_config(prepared)
    repository = opened(host, prepared)
    with Lease(repository, BACKUP, Silent()):
        outcome = host.ops("backup", "create")
    assert outcome.returncode == 1
    holder = f"another backup of 'main' is running: {Holder.ourselves().host}, process {os.getpid()}, since "
    assert holder in outcome.stderr, outcome.stderr
    take(host)


# -- the lease alone, in each kind of store ---------------------------------------------------------------------

QUICK = Patience(beat=0.1, dead=0.5, watch=1)


@pytest.fixture
def leased(store: Store) -> Repository:
    return Repository(store, Layout("pend", "main", 42))


def put_foreign(repository: Repository, number: int = 1) -> None:
    """A lease that a process of another host holds, which says nothing any more."""
    there = replace(Holder.ourselves(), host="pg9", boot="another")
    repository.store.put(f"{repository.layout.leases('x')}{number:08d}", there.encode())


def test_a_lease_is_free_once_it_has_ended(leased: Repository) -> None:
    for _ in range(3):
        with Lease(leased, "x", Silent(), QUICK), pytest.raises(OpsError, match="another x of 'main' is running"):
            Lease(leased, "x", Silent(), QUICK).__enter__()
    names = [found.key.rpartition("/")[2] for found in leased.store.list(leased.layout.leases("x"))]
    assert names == ["00000003", "00000003.end"]


def test_of_many_that_ask_at_once_one_gets_it(leased: Repository) -> None:
    got, refused, together = list[Lease](), list[OpsError](), threading.Barrier(6)

    def ask() -> None:
        lease = Lease(leased, "x", Silent(), Patience())
        together.wait()
        try:
            got.append(lease.__enter__())
        except OpsError as error:
            refused.append(error)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 5)
    got[0].__exit__(None, None, None)


def test_a_holder_that_gives_no_sign_of_life_is_taken_for_dead_after_a_watch(leased: Repository) -> None:
    put_foreign(leased)
    with pytest.raises(OpsError, match="is running: pg9, process") as caught:
        Lease(leased, "x", Silent(), Patience(dead=60)).__enter__()
    assert "60 s after its last sign of life" in str(caught.value.hint)
    time.sleep(2)
    start = time.monotonic()
    with Lease(leased, "x", Silent(), QUICK) as lease:
        assert time.monotonic() - start >= QUICK.watch
        lease.check()


def test_a_holder_that_lives_is_not_taken_for_dead_by_a_clock_that_is_wrong(leased: Repository) -> None:
    put_foreign(leased)
    folder_, over = leased.layout.leases("x"), threading.Event()

    def live() -> None:
        for number in range(1, 100):
            leased.store.put(f"{folder_}00000001.beat-{number:06d}", b"")
            if over.wait(0.3):
                return

    living = threading.Thread(target=live)
    living.start()
    try:  # `dead` of nothing is what a clock far ahead comes to
        with pytest.raises(OpsError, match="is running: pg9") as caught:
            Lease(leased, "x", Silent(), Patience(beat=0.3, dead=-(10**6), watch=3)).__enter__()
    finally:
        over.set()
        living.join()
    assert "clocks disagree" in str(caught.value.detail)


def test_who_was_taken_for_dead_learns_of_it(leased: Repository) -> None:
    with Lease(leased, "x", Silent(), Patience(beat=0.1)) as lease:
        lease.check()
        put_foreign(leased, 2)
        wait_until("it is lost", lambda: lease.lost)
        with pytest.raises(OpsError, match="was taken over while this run lasted") as caught:
            lease.check()
        assert "pg9" in str(caught.value.detail)


def test_the_lease_of_a_process_that_is_gone_is_free_at_once(leased: Repository) -> None:
    gone = replace(Holder.ourselves(), started="1")
    leased.store.put(f"{leased.layout.leases('x')}00000001", gone.encode())
    with Lease(leased, "x", Silent(), Patience()) as lease:
        lease.check()
