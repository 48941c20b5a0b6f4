"""A second backup: what has not changed is neither stored nor read, and all of it is restored."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ops.backup import catalog, earlier
from ops.backup.verify import verify
from ops.config import FolderRepository, Retention
from ops.model.blocks import PAGE_SIZE
from ops.model.pages import segment_of
from ops.store import open_store
from ops.store.repository import Repository, current

from ..waiting import wait_until
from .fix_postgres import USER, Host
from .fix_store import repository_in

pytestmark = pytest.mark.integration

MIB = 1 << 20
ROWS = 400_000  # some 40 MB


def new_primary(host: Host) -> FolderRepository:
    repository = FolderRepository(type="folder", path=host.base / "repository")
    repository.path.mkdir()
    shutil.chown(repository.path, USER, USER)
    host.initdb()
    host.write_config(repository)
    host.archive()
    host.configure(autovacuum="off")
    host.start()
    return repository


@pytest.fixture(scope="module")
def host(module_hosts: Callable[[str], Host]) -> Host:
    """A primary with a large table, clustered by `i`, of which one backup was taken."""
    host = module_hosts("primary")
    new_primary(host)
    host.sql(
        "create table big as select i, md5(i::text) || sha512(i::text::bytea)::text as t "
        f"from generate_series(1, {ROWS}) i"
    )
    host.sql("create table other as select i, md5(i::text) as t from generate_series(1, 50000) i")
    host.sql("vacuum (freeze, analyze)")
    host.sql("checkpoint")
    make_old(host)
    take(host)
    return host


def make_old(host: Host) -> None:
    """All files as if they had been written an hour ago, as they would be a day later."""
    host.stop()
    hour_ago = time.time() - 3600
    for path in host.data_dir.rglob("*"):
        if path.is_file():
            os.utime(path, (hour_ago, hour_ago))
    host.start()


def take(host: Host, *, code: int = 0) -> dict[str, Any]:
    time.sleep(1.1)  # ids are seconds
    outcome = host.ops("backup", "create", "--json")
    assert outcome.returncode == code, outcome.stderr
    found, _ = json.JSONDecoder().raw_decode(outcome.stdout)
    assert isinstance(found, dict)
    return found


def repository(host: Host) -> Repository:
    settings = FolderRepository(type="folder", path=host.base / "repository")
    identifier = current(open_store(settings), "pend", "main", None).system_identifier
    return repository_in(settings, identifier, host.keys)


def file_of(host: Host, table: str) -> Path:
    return host.data_dir / str(host.value(f"select pg_relation_filepath('{table}')"))


def restored(host: Host, other: Host) -> None:
    """The newest backup, as a server that has recovered to the end."""
    other.write_config(FolderRepository(type="folder", path=host.base / "repository"))
    outcome = other.ops("backup", "restore", "latest", "--to", other.data_dir, "--target", "latest")
    assert outcome.returncode == 0, outcome.stderr
    other.start()
    wait_until("recovery has ended", lambda: not other.value("select pg_is_in_recovery()"))


CONTENTS = "select count(*) || ' ' || sum(hashtextextended(b::text, 0)) from {} b"


def test_a_second_backup_stores_only_what_has_changed(host: Host, hosts: Callable[[str], Host]) -> None:
    first = take(host)
    host.sql(f"update big set t = reverse(t) where i between 1000 and 1000 + {ROWS} / 100")
    host.sql("checkpoint")
    second = take(host)
    assert second["previous"] == first["id"]
    assert second["new_bytes"] < 0.03 * second["stored_bytes"], second
    contents = [host.value(CONTENTS.format(table)) for table in ("big", "other")]
    host.sql("select pg_switch_wal()")
    copy = hosts("copy")
    restored(host, copy)
    assert [copy.value(CONTENTS.format(table)) for table in ("big", "other")] == contents
    copy.stop()
    copy.pg("pg_checksums", "--check", copy.data_dir)
    report = verify(repository(host), before=2**62, progress=lambda done, total: None)
    assert (report.damaged, report.losses) == ([], [])


def test_a_file_that_has_not_changed_is_not_read(host: Host) -> None:
    make_old(host)
    take(host)
    # What nobody could see is what shows it: other bytes, with the size and time that the last backup saw.
    path = file_of(host, "other")
    status, before = path.stat(), path.read_bytes()
    host.stop()
    path.write_bytes(b"\xff" * len(before))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    host.start()
    taken = take(host)
    assert taken["damaged"] == {}
    # A new time, and it is read: all of it is damaged, and named.
    os.utime(path)
    damaged = take(host, code=1)
    relative = str(path.relative_to(host.data_dir))
    assert damaged["damaged"] == {relative: [[0, len(before) // PAGE_SIZE - 1]]}
    path.write_bytes(before)
    assert take(host)["damaged"] == {}


def test_files_that_changed_shortly_before_the_last_backup_are_read(host: Host) -> None:
    store = repository(host)
    before = earlier.look(store)
    assert before.backup
    start = int(before.backup.start_time.timestamp() * 10**9)
    base = next(file for file in before.contents.files if segment_of(file.path) is not None and file.size)
    for mtime, unread in ((start - 61 * 10**9, True), (start - 59 * 10**9, False), (start + 10**9, False)):
        file = replace(base, mtime=mtime)
        seen = replace(before, contents=replace(before.contents, files=(file,)))
        for same_history in (True, False):
            reuse = earlier.plan(store, seen, [file], same_history=same_history)
            assert bool(reuse.adopted) is (unread and same_history)
        grown = earlier.plan(store, seen, [replace(file, size=file.size + PAGE_SIZE)], same_history=True)
        assert not grown.adopted


def test_after_a_promotion_all_is_read_and_nothing_stored_twice(host: Host, hosts: Callable[[str], Host]) -> None:
    host.sql("select pg_switch_wal()")
    copy = hosts("promoted")
    restored(host, copy)
    copy.configure(archive_mode="on", archive_command=copy.command("wal push %p"))
    copy.stop()
    copy.start()
    # The times are those of the backup; were they believed, this would be missed.
    path = file_of(copy, "other")
    status, body = path.stat(), bytearray(path.read_bytes())
    body[5 * PAGE_SIZE + 4000] ^= 1
    path.write_bytes(body)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    taken = take(copy, code=1)
    assert (taken["timeline"], taken["damaged"]) == (2, {str(path.relative_to(copy.data_dir)): [[5, 5]]})
    assert taken["new_bytes"] < 0.1 * taken["stored_bytes"]


def test_damage_is_named_and_stays_named_until_it_is_mended(hosts: Callable[[str], Host]) -> None:
    host = hosts("damaged")
    new_primary(host)
    host.sql("create table kept as select i, md5(i::text) as t from generate_series(1, 100000) i")
    host.sql("checkpoint")
    path = file_of(host, "kept")
    make_old(host)
    whole = path.read_bytes()
    body = bytearray(whole)
    for page in (3, 100, 101):
        body[page * PAGE_SIZE + 4000] ^= 1
    path.write_bytes(body)
    relative = str(path.relative_to(host.data_dir))
    time.sleep(1.1)
    outcome = host.ops("backup", "create")
    assert (outcome.returncode, f"{relative}: block 3, 100 to 101" in outcome.stderr) == (1, True), outcome.stderr
    assert "3 pages of the database failed their checksum" in outcome.stderr
    make_old(host)
    for _ in range(2):  # read again, and then not even read
        assert take(host, code=1)["damaged"] == {relative: [[3, 3], [100, 101]]}
    listed, shown = host.ops("backup", "list").stdout, host.ops("backup", "show", "latest").stdout
    assert "3 damaged" in listed
    assert f"{relative}: block 3, 100 to 101" in shown
    path.write_bytes(whole)
    assert take(host)["damaged"] == {}


LITTLE = Retention(days=0, count=1, monthly_years=0, grace_hours=0)


def expire(host: Host, *options: str) -> dict[str, Any]:
    outcome = host.ops("backup", "expire", "--json", *options)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    (found,) = json.loads(outcome.stdout)
    assert isinstance(found, dict)
    return found


def test_what_is_needed_of_packs_that_are_mostly_dead_is_stored_anew_and_they_go(
    hosts: Callable[[str], Host],
) -> None:
    host = hosts("sparse")
    settings = new_primary(host)
    host.write_config(settings.model_copy(update={"retention": LITTLE}))
    # In blocks of 128 KiB some 1300 rows each, in packs of 1 MiB some eight blocks.
    host.sql(
        "create table noise as select i, sha512((i + random())::text::bytea) as t from generate_series(1, 60000) i"
    )
    host.sql("vacuum (freeze, analyze)")
    host.sql("checkpoint")
    make_old(host)
    first = take(host)
    host.sql("update noise set t = sha512((i + random())::text::bytea) where i % 9000 > 3000")
    host.sql("checkpoint")
    make_old(host)
    second = take(host)
    assert second["new_bytes"] < second["stored_bytes"]

    told = host.ops("backup", "expire", "--dry-run").stdout
    assert "mostly dead" in told
    assert f"it goes with backup {second['id']}" in told
    found = expire(host)
    shunned = {entry["object"].rpartition("/")[2]: entry for entry in found["sparse"]}
    assert shunned, "packs of the first backup of which little is left"
    store = repository(host)
    assert shunned.keys() <= packs_of(store, first["id"]) & packs_of(store, second["id"])
    assert all(0 < entry["needed_bytes"] < entry["stored_bytes"] / 2 for entry in shunned.values())

    third = take(host)
    assert not shunned.keys() & packs_of(store, third["id"])
    expected = sum(entry["renewed_bytes"] for entry in shunned.values())
    assert 0 < third["new_bytes"] < 2 * expected + 2 * MIB, "what is needed of them, and what any backup stores"
    for _ in range(2):
        removed = expire(host)["removed"]
    assert {f"packs/{name}" for name in shunned} <= set(removed)
    assert catalog.ids(store) == [third["id"]]
    contents = host.value(CONTENTS.format("noise"))
    host.archive_all()
    copy = hosts("copy")
    restored(host, copy)
    assert copy.value(CONTENTS.format("noise")) == contents
    assert host.ops("backup", "verify", "--all").returncode == 0


def packs_of(store: Repository, backup: str) -> set[str]:
    return {pack.id for pack in catalog.contents(store, catalog.read(store, backup)).packs}


def test_packs_that_are_gone_or_damaged_are_not_built_on(hosts: Callable[[str], Host]) -> None:
    host = hosts("healing")
    new_primary(host)
    host.sql("create table kept as select i, md5(i::text) as t from generate_series(1, 100000) i")
    make_old(host)
    take(host)
    store = repository(host)
    largest = max(earlier.look(store).usable, key=lambda pack: pack.size)
    path = host.base / "repository" / store.layout.pack(largest.id)
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)
    assert host.ops("backup", "verify").returncode == 1
    taken = take(host)
    assert largest.id not in {pack.id for pack in catalog.contents(store, catalog.read(store, taken["id"])).packs}
    another = max(earlier.look(store).usable, key=lambda pack: pack.size)
    (host.base / "repository" / store.layout.pack(another.id)).unlink()
    taken = take(host)
    assert earlier.missing(store, catalog.contents(store, catalog.read(store, taken["id"])).packs) == []
    assert host.ops("backup", "restore", "latest", "--to", host.base / "restored").returncode == 0
