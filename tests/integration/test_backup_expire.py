"""`ops backup expire` on real backups: what it removes, what it never does, and what is left when it is killed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ops.backup import catalog
from ops.backup.expire import expire
from ops.backup.lease import Lease
from ops.backup.report import Silent
from ops.backup.verify import verify
from ops.config import FolderRepository, Retention
from ops.errors import OpsError
from ops.model.retention import Policy
from ops.store import open_store
from ops.store.base import Forbidden
from ops.store.repository import Repository, current

from ..waiting import wait_until
from .fix_postgres import OPS, USER, Host, run_as_postgres
from .fix_store import Weed, repository_in

pytestmark = pytest.mark.integration

BACKUPS = 3
NOW = Retention(days=0, count=1, monthly_years=0, grace_hours=0)
GRACE = Policy(days=0, count=1, monthly_years=0, grace=timedelta(hours=1))


@pytest.fixture(scope="module")
def server(module_hosts: Callable[[str], Host]) -> Host:
    """A server with three backups and the WAL between them in a folder."""
    host = module_hosts("pg")
    host.initdb("--wal-segsize=1")
    host.write_config(host.folder("original"))
    host.archive()
    host.start()
    host.sql("create table t (i int)")
    for number in range(BACKUPS):
        host.sql(f"create table t{number} as select sha512(i::text::bytea) from generate_series(1, 5000) i")
        if number:
            host.sql(f"drop table t{number - 1}")
        taken = host.ops("backup", "create", "--json")
        assert taken.returncode == 0, taken.stderr
        host.sql(f"insert into t values ({number})")
        host.archive_all()
    host.stop()
    return host


@pytest.fixture
def settings(server: Host, tmp_path: Path) -> Iterator[FolderRepository]:
    """A copy of the repository, and the host's configuration for it: keep one backup, from now on."""
    settings = server.folder(tmp_path.name)
    shutil.copytree(server.base / "original", settings.path, dirs_exist_ok=True)
    for path in settings.path.rglob("*"):
        shutil.chown(path, USER, USER)
    server.write_config(settings.model_copy(update={"retention": NOW}))
    yield settings
    shutil.rmtree(settings.path)


@pytest.fixture
def repository(server: Host, settings: FolderRepository) -> Repository:
    identifier = current(open_store(settings), "pend", "main", None).system_identifier
    return repository_in(settings, identifier, server.keys)


def objects(repository: Repository, *roots: str) -> list[str]:
    root = repository.layout.root
    found = [stored.key.removeprefix(root) for stored in repository.store.list(root)]
    return [key for key in found if key.startswith(roots or ("backups/", "packs/", "wal/"))]


def run(host: Host, *options: str, kill_at: str = "") -> Any:
    env = {"OPS_CONFIG": str(host.config_file), "OPS_KILL_AT": kill_at}
    outcome = run_as_postgres([OPS, "backup", "expire", "--json", *options], cwd=host.base, env=env)
    if kill_at and outcome.returncode < 0:
        return None
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    (found,) = json.loads(outcome.stdout)
    return found


def intact(host: Host) -> None:
    """Every backup that is listed has all that it needs, read and proven."""
    outcome = host.ops("backup", "verify", "--all", "--json")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def restores(server: Host, host: Host, rows: int) -> None:
    host.write(host.config_file, server.config_file.read_text())
    outcome = host.ops("backup", "restore", "latest", "--to", host.data_dir, "--target", "latest")
    assert outcome.returncode == 0, outcome.stderr
    host.start()
    wait_until("recovered", lambda: host.value("select not pg_is_in_recovery()"), deadline=60)
    assert host.value("select count(*) from t") == rows


def test_a_dry_run_names_each_object_with_its_reason_and_changes_nothing(server: Host, repository: Repository) -> None:
    before = objects(repository, "")
    found = run(server, "--dry-run")
    first, second, third = catalog.ids(repository)
    assert found["kept"] == {third: "the last good backup"}
    going = {entry["object"]: entry["reason"] for entry in found["may_go"]}
    assert {f"backups/{name}/{part}" for name in (first, second) for part in ("files", "manifest")} <= going.keys()
    assert any(key.startswith("packs/") for key in going)
    assert any(key.startswith("wal/") for key in going)
    assert all(going.values())
    assert objects(repository, "") == before
    told = server.ops("backup", "expire", "--dry-run").stdout
    assert "the last good backup" in told
    assert f"backups/{first}/manifest" in told


def test_what_was_condemned_goes_and_the_last_backup_still_restores(
    server: Host, repository: Repository, hosts: Callable[[str], Host]
) -> None:
    last = catalog.backups(repository)[-1]
    before = set(objects(repository))
    found = run(server)
    assert (found["removed"], set(objects(repository))) == ([], before), "the first run only condemns"
    going = {entry["object"] for entry in found["may_go"]}
    found = run(server)
    assert set(found["removed"]) == going
    assert set(objects(repository)) == before - going
    assert catalog.ids(repository) == [last.id]
    wal = sorted(key.rpartition("/")[2] for key in objects(repository, "wal/"))
    assert wal[0] == last.first_segment
    intact(server)
    restores(server, hosts("restored"), BACKUPS)
    assert run(server)["may_go"] == []
    assert "nothing to let go of" in server.ops("backup", "expire").stdout


def test_the_defaults_remove_nothing_of_the_last_30_days(server: Host, repository: Repository) -> None:
    before = objects(repository)
    for days in (0, 20, 29):
        expire(repository, Policy(), datetime.now(UTC) + timedelta(days=days))
    assert objects(repository) == before
    later = datetime.now(UTC) + timedelta(days=70)
    expire(repository, Policy(), later)
    removed = expire(repository, Policy(), later + timedelta(hours=25)).removed
    assert {key.split("/")[0] for key in removed} == {"wal"}, "one of the month stays, two at least, and what they need"
    without_months = expire(repository, Policy(monthly_years=0), later)
    assert f"backups/{catalog.ids(repository)[0]}/manifest" in without_months.goes


def test_wal_that_was_let_go_of_behind_a_copy_of_a_month_is_no_gap(
    server: Host, settings: FolderRepository, repository: Repository
) -> None:
    months = NOW.model_copy(update={"monthly_years": 7})
    server.write_config(settings.model_copy(update={"retention": months}))
    assert server.ops("wal", "gaps").returncode == 0
    first, _, last = catalog.ids(repository)
    run(server)
    assert any(key.startswith("wal/") for key in run(server)["removed"])
    assert catalog.ids(repository) == [first, last]
    outcome = server.ops("wal", "gaps")
    assert outcome.returncode == 0, outcome.stdout
    intact(server)
    missing = sorted(objects(repository, "wal/"))[-1]
    repository.store.delete(repository.layout.root + missing)
    assert server.ops("wal", "gaps").returncode == 1, "what is missing is missed as before"


@pytest.mark.parametrize("point", ["expire-condemned", "expire-removed"])
def test_killed_anywhere_no_backup_lacks_anything_and_the_next_run_converges(
    server: Host, repository: Repository, point: str
) -> None:
    kept = catalog.ids(repository)[-1]
    going = {entry["object"] for entry in run(server, "--dry-run")["may_go"]}
    before, kills = set(objects(repository)), 0
    if point == "expire-removed":
        run(server)
    for _ in range(5):
        if run(server, kill_at=point) is not None:
            break
        kills += 1
        intact(server)
        if point == "expire-condemned":
            run(server)
    assert kills >= 1
    assert set(objects(repository)) == before - going
    assert catalog.ids(repository) == [kept]
    intact(server)


def test_what_is_needed_again_is_rescued_and_its_grace_begins_anew(repository: Repository) -> None:
    before = objects(repository)
    start = datetime.now(UTC) + timedelta(hours=3)
    assert expire(repository, GRACE, start).waiting
    wide = Policy(days=30, grace=GRACE.grace)
    assert expire(repository, wide, start + timedelta(hours=2)).rescued
    found = expire(repository, GRACE, start + timedelta(hours=4))
    assert (found.removed, objects(repository)) == ([], before)
    assert expire(repository, GRACE, start + timedelta(hours=6)).removed


def test_while_a_backup_holds_its_lease_no_pack_and_no_wal_goes(server: Host, repository: Repository) -> None:
    run(server)
    with Lease(repository, "backup", Silent()):
        for path in Path(repository.store.name).rglob("leases/**/*"):
            shutil.chown(path, USER, USER)
        found = run(server)
        assert found["held_up"] == "a backup is running"
        assert found["removed"], "the backups that are too old go all the same"
        assert {key.split("/")[0] for key in found["removed"]} == {"backups"}
    intact(server)
    run(server)
    assert {key.split("/")[0] for key in run(server)["removed"]} >= {"packs", "wal"}


def test_one_expiry_runs_at_a_time_and_a_dry_run_beside_it(server: Host, repository: Repository) -> None:
    run(server)
    before = objects(repository)
    with Lease(repository, "expire", Silent()):
        outcome = server.ops("backup", "expire")
        assert (outcome.returncode, "another expire of 'main' is running" in outcome.stderr) == (1, True), (
            outcome.stderr
        )
        assert objects(repository) == before
        assert run(server, "--dry-run")["may_go"]
    for path in Path(repository.store.name).rglob("leases/**/*"):
        shutil.chown(path, USER, USER)
    assert run(server)["removed"]


def test_an_expiry_that_was_taken_for_dead_removes_nothing_more(repository: Repository) -> None:
    start = datetime.now(UTC) + timedelta(hours=3)
    assert expire(repository, GRACE, start).waiting
    before = objects(repository)
    successor = f"{repository.layout.leases('expire')}00000003"

    def take_over(done: int, total: int) -> None:
        if done == total:
            repository.store.put(successor, b"{}")

    with pytest.raises(OpsError, match="was taken over while this run lasted"):
        expire(repository, GRACE, start + timedelta(hours=2), progress=take_over)
    assert objects(repository) == before


def test_a_backup_that_cannot_be_read_keeps_everything(server: Host, repository: Repository) -> None:
    path = Path(repository.store.name) / repository.layout.files(catalog.ids(repository)[0])
    path.write_bytes(path.read_bytes()[:-1])
    everything = ("backups/", "packs/", "wal/", "tombstones/")
    before = objects(repository, *everything)
    outcome = server.ops("backup", "expire")
    assert outcome.returncode == 1
    assert "nothing was removed" in outcome.stderr
    assert objects(repository, *everything) == before


def test_where_nobody_may_delete_what_is_pending_is_said_and_nothing_fails(
    server: Host, repository: Repository
) -> None:
    root = Path(repository.store.name) / repository.layout.root
    for folder in [path for kind in ("packs", "wal", "backups") for path in (root / kind, *(root / kind).rglob("*"))]:
        if folder.is_dir():
            shutil.chown(folder, "root", "root")
            folder.chmod(0o755)
    before = objects(repository)
    going = run(server)["pending"]
    for _ in range(3):
        found = run(server)
        assert (found["removed"], found["pending"]) == ([], going)
    assert found["refused"] > 0
    assert objects(repository) == before
    assert len(objects(repository, "tombstones/")) <= 2
    outcome = server.ops("backup", "expire")
    assert outcome.returncode == 0
    assert "the store does not let us delete" in outcome.stdout
    intact(server)


def test_a_bucket_that_denies_deleting_is_told_from_one_that_does_not_answer(weed: Weed) -> None:
    bucket = weed.make_bucket()
    store = open_store(weed.settings(bucket))
    store.put("key", b"body")
    weed.deny_deleting(bucket)
    with pytest.raises(Forbidden):
        store.delete("key")
    assert store.get("key") == b"body"


def copied_to(weed: Weed, bucket: str, server: Host, repository: Repository) -> Repository:
    """The same objects in a bucket, put one by one."""
    target = repository_in(weed.settings(bucket), repository.system_identifier, server.keys)
    for stored in repository.store.list(repository.layout.root):
        target.store.put(stored.key, repository.store.get(stored.key))
    return target


def test_a_bucket_that_lets_nobody_delete_keeps_everything_and_nothing_fails(
    weed: Weed, server: Host, repository: Repository
) -> None:
    bucket = weed.make_bucket()
    target = copied_to(weed, bucket, server, repository)
    weed.deny_deleting(bucket)
    before, later = objects(target), datetime.now(UTC) + timedelta(days=400)
    policy = Policy(monthly_years=0)
    for day in range(4):
        found = expire(target, policy, later + timedelta(days=day, hours=day))
        assert (found.removed, bool(found.pending), bool(found.refused)) == ([], True, day > 0)
    assert objects(target) == before
    assert len(objects(target, "tombstones/")) <= 2


def test_a_bucket_under_compliance_lock_keeps_every_byte(weed: Weed, server: Host, repository: Repository) -> None:
    bucket, admin = weed.make_locked_bucket(), weed.admin()
    target = copied_to(weed, bucket, server, repository)
    size = sum(found.size for found in repository.store.list(repository.layout.root))
    later = datetime.now(UTC) + timedelta(days=400)
    for day in range(3):
        expire(target, Policy(monthly_years=0), later + timedelta(days=day, hours=day))
    versions = admin.get_paginator("list_object_versions").paginate(Bucket=bucket)
    assert sum(one["Size"] for page in versions for one in page.get("Versions", [])) >= size
    admin.close()
    assert len(catalog.backups(target)) >= 2, "what is hidden is not missed by what stays"
    assert verify(target, before=0, progress=lambda done, total: None).damaged == []
