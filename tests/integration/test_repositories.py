"""Several repositories: every segment to each, by a declared policy, and what was away catches up."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config as BotoConfig

from ops.config import FolderRepository, S3Repository
from ops.errors import UsageError
from ops.model.segment import WalFile
from ops.postgres.control import ControlData
from ops.store import open_store
from ops.store.folder import FolderStore
from ops.store.repository import Repository, ensure
from ops.store.throttle import Throttled
from ops.wal.mirror import Mirrors, mirror

from ..waiting import wait_until
from .fix_postgres import USER, Host
from .fix_store import ADMIN, Weed, repository_in
from .fix_store import USER as S3_USER

pytestmark = pytest.mark.integration

NAMES = [f"0000000100000000000000{number}" for number in (10, 11, 12)]


@pytest.fixture(scope="module")
def donor(module_hosts: Callable[[str], Host]) -> Host:
    """A stopped database with small segments, a few of them full in pg_wal."""
    host = module_hosts("donor")
    host.initdb("--wal-segsize=1")
    host.pg("pg_resetwal", "--next-wal-file", NAMES[0], host.data_dir)
    host.configure(wal_keep_size="64MB")
    host.start()
    for _ in range(4):
        host.sql("select pg_logical_emit_message(true, 'test', repeat('x', 1000)), pg_switch_wal()")
    host.stop()
    return host


@pytest.fixture
def places(donor: Host, tmp_path: Path) -> tuple[FolderRepository, FolderRepository]:
    """Two empty folders, as `[repository]` and as `[repositories.offsite]`."""
    return donor.folder(f"{tmp_path.name}-local"), donor.folder(f"{tmp_path.name}-offsite")


def configure(host: Host, places: tuple[FolderRepository, FolderRepository], policy: str) -> None:
    sections: dict[str, Any] = {"repositories.offsite": {"type": "folder", "path": places[1].path}}
    host.write_config(places[0], wal={"policy": policy}, **sections)


def away(settings: FolderRepository) -> Path:
    """Make a folder unreachable; where it has gone."""
    return settings.path.rename(settings.path.with_name(f"{settings.path.name}-away"))


def opened(host: Host, settings: FolderRepository | S3Repository) -> Repository:
    return repository_in(settings, ControlData.read(host.data_dir).system_identifier, host.keys)


def stored(repository: Repository) -> list[str]:
    return [found.key.rpartition("/")[2] for found in repository.store.list(repository.layout.wal_root)]


def contents(repository: Repository, name: str) -> bytes:
    return repository.unseal(repository.store.get(repository.layout.wal(WalFile.parse(name))), kind="wal", name=name)


def own(settings: FolderRepository) -> None:
    for path in settings.path.rglob("*"):
        shutil.chown(path, USER, USER)


def run(host: Host, *arguments: str, code: int = 0) -> Any:
    outcome = host.ops(*arguments, "--json")
    assert outcome.returncode == code, outcome.stdout + outcome.stderr
    return json.loads(outcome.stdout)


def test_under_the_policy_all_a_segment_is_archived_when_every_repository_has_it(
    donor: Host, places: tuple[FolderRepository, FolderRepository]
) -> None:
    configure(donor, places, "all")
    gone = away(places[1])
    failed = donor.ops("wal", "push", f"pg_wal/{NAMES[0]}")
    assert (failed.returncode, str(places[1].path) in failed.stderr) == (3, True), failed.stderr
    assert stored(opened(donor, places[0])) == [NAMES[0]], "a dead repository does not keep the others"
    gone.rename(places[1].path)
    assert donor.ops("wal", "push", f"pg_wal/{NAMES[0]}").returncode == 0
    for settings in places:
        found = opened(donor, settings)
        assert contents(found, NAMES[0]) == (donor.data_dir / "pg_wal" / NAMES[0]).read_bytes()


def test_under_the_policy_first_a_dead_repository_keeps_nothing_and_catches_up_from_the_first(
    donor: Host, places: tuple[FolderRepository, FolderRepository]
) -> None:
    configure(donor, places, "first")
    gone = away(places[1])
    for name in NAMES:
        assert donor.ops("wal", "push", f"pg_wal/{name}").returncode == 0
    assert run(donor, "wal", "mirror", "--check", code=3)["offsite"]["trouble"]
    gone.rename(places[1].path)
    behind = run(donor, "wal", "mirror", "--check", code=1)["offsite"]
    assert (behind["missing"], behind["copied"]) == (3, [])
    assert behind["oldest_missing_stored_at"]
    caught_up = run(donor, "wal", "mirror")["offsite"]
    assert (sorted(caught_up["copied"]), caught_up["missing"]) == (NAMES, 0)
    # Each repository has keys of its own: the same WAL, sealed anew.
    local, offsite = (opened(donor, settings) for settings in places)
    for name in NAMES:
        assert contents(local, name) == contents(offsite, name)
    (one,), (other,) = (list(found.store.list(found.layout.keys)) for found in (local, offsite))
    assert one.key != other.key
    assert run(donor, "wal", "gaps", "--repository", "offsite")["segments"] == 3


def test_a_database_comes_back_from_the_offsite_repository_alone(hosts: Callable[[str], Host]) -> None:
    primary, restored = hosts("primary"), hosts("restored")
    places = primary.folder("local"), primary.folder("offsite")
    primary.initdb("--wal-segsize=1")
    configure(primary, places, "all")
    primary.archive()
    primary.start()
    taken = run(primary, "backup", "create", "--repository", "offsite")
    assert run(primary, "backup", "list") == []
    assert [found["id"] for found in run(primary, "backup", "list", "--repository", "offsite")] == [taken["id"]]
    primary.sql("create table proof as select 1 as row")
    last = primary.value("select pg_walfile_name(pg_switch_wal())")
    offsite = opened(primary, places[1])
    wait_until("the row is offsite", lambda: last in stored(offsite))
    primary.stop()
    away(places[0])
    configure(restored, places, "all")
    target = ("--to", str(restored.data_dir), "--target", "latest", "--repository", "offsite")
    assert restored.ops("backup", "restore", "latest", *target, "--repository", "nowhere").returncode == 2
    run(restored, "backup", "restore", "latest", *target)
    restored.start()
    wait_until("recovery has ended", lambda: not restored.value("select pg_is_in_recovery()"))
    assert restored.value("select row from proof") == 1


def test_a_repository_that_was_away_catches_up_by_itself(
    donor: Host, places: tuple[FolderRepository, FolderRepository]
) -> None:
    configure(donor, places, "first")
    assert donor.ops("wal", "push", f"pg_wal/{NAMES[0]}").returncode == 0
    local, offsite = (opened(donor, settings) for settings in places)
    gone = away(places[1])
    mirrors = Mirrors(lambda: local, {"offsite": lambda: offsite}, 1)
    mirrors.start()
    try:
        wait_until("the outage is known", lambda: mirrors.troubles.get("offsite"))
        gone.rename(places[1].path)
        wait_until("it has caught up", lambda: stored(offsite), until=lambda names: names == NAMES[:1])
        wait_until("the trouble is over", lambda: mirrors.troubles, until=lambda troubles: not troubles)
    finally:
        mirrors.stop()


def test_other_wal_of_the_same_name_and_damage_are_named_and_do_not_keep_the_rest(
    donor: Host, places: tuple[FolderRepository, FolderRepository]
) -> None:
    configure(donor, places, "first")
    local, offsite = (opened(donor, settings) for settings in places)
    for name in NAMES:
        assert donor.ops("wal", "push", f"pg_wal/{name}").returncode == 0
    key = local.layout.wal(WalFile.parse(NAMES[0]))
    blob = local.store.get(key)
    local.store.delete(key)
    local.store.put(key, blob[:-1])
    own(places[0])
    report = run(donor, "wal", "mirror", code=1)["offsite"]
    assert sorted(report["copied"]) == NAMES[1:]
    assert [NAMES[0] in error["error"] for error in report["refused"]] == [True]
    assert stored(offsite) == NAMES[1:]


def test_whatever_is_missing_is_copied_the_oldest_and_the_newest_too(
    donor: Host, places: tuple[FolderRepository, FolderRepository]
) -> None:
    configure(donor, places, "first")
    local, offsite = (opened(donor, settings) for settings in places)
    for name in NAMES:
        assert donor.ops("wal", "push", f"pg_wal/{name}").returncode == 0
    assert sorted(mirror(local, offsite, level=1).names) == NAMES
    assert mirror(local, offsite, level=1).names == []
    for name in NAMES:
        offsite.store.delete(offsite.layout.wal(WalFile.parse(name)))
        assert mirror(local, offsite, level=1).names == [name]


def test_a_misspelt_repository_is_named_with_the_nearest_one(
    donor: Host, places: tuple[FolderRepository, FolderRepository]
) -> None:
    configure(donor, places, "first")
    outcome = donor.ops("wal", "gaps", "--repository", "ofsite")
    assert (outcome.returncode, "did you mean 'offsite'" in outcome.stderr.lower()) == (2, True), outcome.stderr


def test_a_limit_on_the_bandwidth_counts_what_all_threads_send_and_receive(tmp_path: Path) -> None:
    limit = 100 * 1024 * 1024
    store = Throttled(FolderStore(tmp_path), limit)
    before = time.monotonic()
    for number in range(4):
        store.put(f"key{number}", bytes(limit // 100))
    store.get("key0")
    store.get("key0", length=10)
    assert store.free_at - before >= (5 * (limit // 100) + 10) / limit


# -- what sites need of S3 -----------------------------------------------------------------------------------


@pytest.fixture
def admin(weed: Weed) -> Iterator[Any]:
    client = boto3.client(
        "s3", endpoint_url=weed.endpoint, region_name="us-east-1", aws_access_key_id=ADMIN[0],
        aws_secret_access_key=ADMIN[1], verify=str(weed.ca_file), config=BotoConfig(s3={"addressing_style": "path"}),
    )  # fmt: skip
    yield client
    client.close()


def test_tags_and_storage_class_go_with_every_object(s3_settings: S3Repository, admin: Any) -> None:
    tags = {"team": "pend data", "cost-centre": "a&b=c"}
    store = open_store(s3_settings.model_copy(update={"tags": tags, "storage_class": "STANDARD_IA"}))
    store.put("key", b"body")
    found = admin.get_object_tagging(Bucket=s3_settings.bucket, Key="key")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in found} == tags
    assert admin.head_object(Bucket=s3_settings.bucket, Key="key").get("StorageClass") == "STANDARD_IA"


def test_the_store_is_told_how_to_encrypt_what_it_keeps(s3_settings: S3Repository, admin: Any) -> None:
    open_store(s3_settings.model_copy(update={"sse": "AES256"})).put("key", b"body")
    assert admin.head_object(Bucket=s3_settings.bucket, Key="key")["ServerSideEncryption"] == "AES256"
    assert open_store(s3_settings).get("key") == b"body"


def test_a_kms_key_without_its_use_is_a_mistake_in_the_configuration(s3_settings: S3Repository) -> None:
    with pytest.raises(ValueError, match="kms_key"):
        S3Repository.model_validate(s3_settings.model_dump() | {"kms_key": "alias/pend"})


def test_credentials_come_from_the_profile_that_is_named(s3_settings: S3Repository) -> None:
    assert s3_settings.credentials_file
    text = s3_settings.credentials_file.read_text()
    wrong = "[default]\naws_access_key_id = nobody\naws_secret_access_key = nothing\n"
    s3_settings.credentials_file.write_text(wrong + text.replace("[default]", "[pend]"))
    open_store(s3_settings.model_copy(update={"profile": "pend"})).put("key", b"body")
    with pytest.raises(UsageError):
        open_store(s3_settings.model_copy(update={"profile": "absent"}))


class Metadata(BaseHTTPRequestHandler):
    """What hands a container the credentials of its role."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        answer = {"AccessKeyId": S3_USER[0], "SecretAccessKey": S3_USER[1], "Token": ""}
        self.wfile.write(json.dumps(answer | {"Expiration": "2099-01-01T00:00:00Z"}).encode())

    def log_message(self, *_: object) -> None:
        pass


def test_without_a_credentials_file_the_role_of_the_container_counts_and_no_variable_of_the_user(
    s3_settings: S3Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = HTTPServer(("127.0.0.1", 0), Metadata)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{server.server_port}/role")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody-else")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        open_store(s3_settings.model_copy(update={"credentials_file": None})).put("key", b"body")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_local_folder_and_a_bucket_hold_the_same_wal(
    donor: Host, places: tuple[FolderRepository, FolderRepository], s3_settings: S3Repository
) -> None:
    local, bucket = opened(donor, places[0]), opened(donor, s3_settings)
    ensure(local, segment_size=1 << 20, postgres_version=15)
    for name in NAMES:
        plain = (donor.data_dir / "pg_wal" / name).read_bytes()
        local.store.put(local.layout.wal(WalFile.parse(name)), local.seal("wal", name, plain, level=1))
    assert sorted(mirror(local, bucket, level=1).names) == NAMES
    assert all(contents(bucket, name) == contents(local, name) for name in NAMES)
