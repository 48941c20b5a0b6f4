"""The whole life of a repository in a bucket under compliance lock, by a credential that may not delete."""

from __future__ import annotations

import base64
import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ops.config import Retention, S3Repository
from ops.store import open_store
from ops.store.base import AlreadyExists, Forbidden

from ..waiting import wait_until
from .fix_postgres import OPS, Host, run_as_postgres
from .fix_store import Weed

pytestmark = pytest.mark.integration

# As little as can be kept, so that there is much to let go of.
LITTLE = Retention(days=0, count=1, monthly_years=0, grace_hours=0)


def locked(weed: Weed) -> S3Repository:
    """A `[repository]` section for a bucket that lets nobody delete, for two reasons."""
    bucket = weed.make_locked_bucket()
    weed.deny_deleting(bucket)
    return weed.settings(bucket).model_copy(update={"retention": LITTLE})


def run(host: Host, *arguments: str) -> Any:
    outcome = host.ops(*arguments, "--json", timeout=300)
    assert outcome.returncode == 0, f"{arguments}: {outcome.stdout}{outcome.stderr}"
    return json.loads(outcome.stdout)


def back_up(host: Host, number: int) -> dict[str, Any]:
    host.sql(
        f"create table noise{number} as select sha512((i + random())::text::bytea) from generate_series(1, 9000) i"
    )
    taken: dict[str, Any] = run(host, "backup", "create")
    host.sql(f"insert into t values ({number})")
    host.archive_all()
    return taken


def configure(host: Host, main: S3Repository, offsite: S3Repository, current: str) -> None:
    others = {"offsite": host.section(offsite, "credentials-offsite")}
    host.write_config(main, repositories=others, keys={"current": current})


def rotate(host: Host, main: S3Repository, offsite: S3Repository) -> None:
    """To another key-encryption key and a new data key in both repositories; the old one is gone from the host."""
    host.write_key("newer", base64.b64encode(os.urandom(32)).decode())
    configure(host, main, offsite, "newer")
    for name in ("main", "offsite"):
        assert run(host, "keys", "rotate", "--data-key", "--repository", name)["made"]
    (host.keys.directory / "test").unlink()


def restores(server: Host, host: Host, settings: S3Repository, backup: str, rows: int) -> None:
    """From that repository alone, by a host that has the newer key only."""
    host.write_key("newer", (server.keys.directory / "newer").read_text().strip())
    host.write_config(settings)
    outcome = host.ops("backup", "restore", backup, "--to", host.data_dir, "--target", "latest")
    assert outcome.returncode == 0, outcome.stderr
    host.start()
    wait_until("recovered", lambda: host.value("select not pg_is_in_recovery()"), deadline=120)
    assert host.value("select count(*) from t") == rows
    host.stop("immediate")


def see_one_version_each(weed: Weed, bucket: str) -> None:
    """No key was written twice, and nothing was hidden: by what the store itself has kept of every request."""
    admin = weed.admin()
    pages = list(admin.get_paginator("list_object_versions").paginate(Bucket=bucket))
    versions = [one for page in pages for one in page.get("Versions", [])]
    assert [one["Key"] for page in pages for one in page.get("DeleteMarkers", [])] == []
    assert [key for key, count in Counter(one["Key"] for one in versions).items() if count != 1] == []
    kinds = {one["Key"].split("/")[3] for one in versions}
    assert kinds >= {"wal", "packs", "backups", "keys", "repository.json"}
    # It is the lock that keeps them, too, and not only what the policy says.
    admin.delete_bucket_policy(Bucket=bucket)
    first = versions[0]
    with pytest.raises(ClientError, match="AccessDenied"):
        admin.delete_object(
            Bucket=bucket, Key=first["Key"], VersionId=first["VersionId"], BypassGovernanceRetention=True
        )
    admin.close()


def test_the_whole_life_without_ever_deleting_or_writing_a_key_twice(hosts: Callable[[str], Host], weed: Weed) -> None:
    host, main, offsite = hosts("pg"), locked(weed), locked(weed)
    host.initdb("--wal-segsize=1")
    configure(host, main, offsite, "test")
    for name in ("main", "offsite"):
        found = run(host, "repository", "init", "--repository", name)["probe"]
        assert (found["conditional_writes"], found["cleaned"], found["traits"]["versioning"]) == (
            True,
            False,
            "enabled",
        )
    host.archive()
    host.start()
    host.sql("create table t (i int)")

    first = back_up(host, 1)
    host.sql("drop table noise1")
    second = back_up(host, 2)
    assert (second["previous"], second["new_bytes"] < 0.5 * second["stored_bytes"]) == (first["id"], True)
    mirrored = run(host, "repository", "mirror")["offsite"]
    assert mirrored["copied_backups"] == [first["id"], second["id"]]

    rotate(host, main, offsite)
    env = {"OPS_CONFIG": str(host.config_file), "OPS_KILL_AT": "create-packed"}
    host.sql("create table lost as select sha512(i::text::bytea) from generate_series(1, 9000) i")
    killed = run_as_postgres([OPS, "backup", "create"], cwd=host.data_dir, env=env)
    assert killed.returncode == -signal.SIGKILL
    third = back_up(host, 3)
    assert third["previous"] == second["id"]

    see_that_nothing_goes(host)
    mirrored = run(host, "repository", "mirror")["offsite"]
    assert (mirrored["copied_backups"], mirrored["missing_wal"]) == ([third["id"]], 0)
    for name in ("main", "offsite"):
        verified = run(host, "backup", "verify", "--all", "--repository", name)
        assert verified["backups"] == 3
        run(host, "wal", "gaps", "--repository", name)
    host.stop()
    restores(host, hosts("oldest"), main, first["id"], 3)
    restores(host, hosts("newest"), main, "latest", 3)
    restores(host, hosts("from-offsite"), offsite, second["id"], 3)
    for settings in (main, offsite):
        see_one_version_each(weed, settings.bucket)


def see_that_nothing_goes(host: Host) -> None:
    """What may go is told, again and again, and nothing fails."""
    going = {entry["object"] for (found,) in [run(host, "backup", "expire", "--dry-run")] for entry in found["may_go"]}
    assert {key.split("/")[0] for key in going} >= {"backups", "wal"}
    for number in range(3):
        (found,) = run(host, "backup", "expire")
        assert (found["removed"], found["pending"], found["refused"] > 0) == ([], len(going), number > 0)
    told = host.ops("backup", "expire").stdout
    assert "the store does not let us delete" in told


def test_of_many_that_put_at_once_into_a_locked_bucket_one_succeeds(weed: Weed) -> None:
    settings = locked(weed)
    store = open_store(settings)

    def put(number: int) -> bytes | None:
        body = f"{number}".encode() * 1000
        try:
            store.put("pend/main/1/wal/contested", body)
        except AlreadyExists:
            return None
        return body

    with ThreadPoolExecutor(8) as pool:
        (winner,) = [body for body in pool.map(put, range(32)) if body]
    assert store.get("pend/main/1/wal/contested") == winner
    with pytest.raises(Forbidden):
        store.delete("pend/main/1/wal/contested")
    admin = weed.admin()
    found = admin.list_object_versions(Bucket=settings.bucket)
    admin.close()
    assert (len(found["Versions"]), found.get("DeleteMarkers", [])) == (1, [])
