"""What every store promises (ops/store/base.py), asked of each kind: a real SeaweedFS with TLS, and a folder."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ops.config import FolderRepository, S3Repository
from ops.errors import Unreachable, UsageError
from ops.model.layout import Layout
from ops.store import open_store
from ops.store.base import AlreadyExists, NotFound, Store, Traits
from ops.store.probe import probe, record, recorded
from ops.store.repository import Repository, current, ensure, find

from .fix_store import ADMIN, USER, Weed

pytestmark = pytest.mark.integration

BODY = b"0123456789"


def test_what_was_put_comes_back(store: Store) -> None:
    for key, body in [("a/b/small", BODY), ("empty", b""), ("a/large", os.urandom(6 << 20))]:
        store.put(key, body)
        assert store.get(key) == body
        assert store.head(key).size == len(body)


def test_a_second_put_is_refused_and_changes_nothing(store: Store) -> None:
    store.put("key", BODY)
    for body in (b"other", BODY):
        with pytest.raises(AlreadyExists):
            store.put("key", body)
    assert store.get("key") == BODY


def test_of_many_that_put_at_once_exactly_one_succeeds(store: Store) -> None:
    together = threading.Barrier(8)

    def put(number: int) -> bytes | None:
        body = str(number).encode() * 1000
        together.wait(20)
        try:
            store.put("contested", body)
        except AlreadyExists:
            return None
        return body

    with ThreadPoolExecutor(8) as pool:
        winners = [body for body in pool.map(put, range(8)) if body is not None]
    assert len(winners) == 1
    assert store.get("contested") == winners[0]


def test_an_absent_object_is_not_found(store: Store) -> None:
    store.put("folder/key", BODY)
    for key in ("absent", "folder", "folder/absent", "folder/key/below"):
        with pytest.raises(NotFound):
            store.get(key)
        with pytest.raises(NotFound):
            store.head(key)


RANGES: list[tuple[int, int | None, bytes]] = [
    (0, None, BODY),
    (3, None, BODY[3:]),
    (3, 4, BODY[3:7]),
    (0, 10, BODY),
    (9, 1, b"9"),
    (-3, None, BODY[-3:]),
    (-10, None, BODY),
    (-5, 2, BODY[5:7]),
    (3, 0, b""),
    (10, None, b""),
    (10, 0, b""),
]
BEYOND: list[tuple[int, int | None]] = [(0, 11), (8, 3), (10, 1), (11, None), (11, 0), (-11, None), (-3, 4)]


def test_a_range_is_exactly_what_was_asked_for_or_an_error(store: Store) -> None:
    store.put("key", BODY)
    for offset, length, expected in RANGES:
        assert (offset, length, store.get("key", offset=offset, length=length)) == (offset, length, expected)
    for offset, length in BEYOND:
        with pytest.raises(ValueError, match="key"):
            store.get("key", offset=offset, length=length)


def test_a_listing_is_complete_and_in_key_order(store: Store) -> None:
    keys = ["wal/00000001.history", "wal/00000001/1", "wal/00000001/1.partial", "wal/00000001-x", "wal/B", "wal/a", "z"]
    for key in keys:
        store.put(key, key.encode())
    assert [stored.key for stored in store.list("wal/")] == sorted(keys[:-1])
    assert [stored.key for stored in store.list("wal/00000001/")] == ["wal/00000001/1", "wal/00000001/1.partial"]
    assert [stored.key for stored in store.list("wal/00000001/1.p")] == ["wal/00000001/1.partial"]
    assert [stored.key for stored in store.list("wal/0")] == sorted(keys[:4])
    assert [stored.key for stored in store.list("")] == sorted(keys)
    assert list(store.list("absent/")) == []
    (stored,) = store.list("z")
    assert stored == store.head("z")
    assert stored.size == 1
    assert abs(stored.modified - datetime.now(UTC)) < timedelta(seconds=30)


def test_a_listing_of_more_than_one_page_is_complete(store: Store) -> None:
    keys = [f"many/{number:04}" for number in range(1050)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, b"x"), keys))
    assert [stored.key for stored in store.list("many/")] == keys
    assert store.folders("") == ["many"]


def test_folders_are_the_names_one_level_down(store: Store) -> None:
    for key in ("root/b/1/x", "root/a/x", "root/a.x", "root/c", "rooted/d/x"):
        store.put(key, BODY)
    assert store.folders("root/") == ["a", "b"]
    assert store.folders("root/b/") == ["1"]
    assert store.folders("absent/") == []


def test_what_was_deleted_is_gone_and_deleting_again_is_no_error(store: Store) -> None:
    store.put("folder/key", BODY)
    for _ in range(2):
        store.delete("folder/key")
        with pytest.raises(NotFound):
            store.get("folder/key")
        assert list(store.list("folder/")) == []
    store.put("folder/key", b"again")
    assert store.get("folder/key") == b"again"


def test_threads_may_share_a_store(store: Store) -> None:
    def round_trip(number: int) -> bool:
        body = os.urandom(50_000)
        store.put(f"shared/{number}", body)
        return store.get(f"shared/{number}") == body

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(round_trip, range(64)))
    assert len(list(store.list("shared/"))) == 64


def test_a_store_that_does_not_answer_is_unreachable_and_never_empty(weed: Weed, bucket: str, tmp_path: Path) -> None:
    nobody = weed.settings(bucket).model_copy(update={"endpoint": "https://localhost:1"})
    wrong_keys = weed.settings(bucket, secret="wrong-%s-secret")
    no_bucket = weed.settings("no-such-bucket")
    untrusted = weed.settings(bucket).model_copy(update={"ca_file": None})
    unmounted = FolderRepository(type="folder", path=tmp_path / "unmounted")
    for settings in (nobody, wrong_keys, no_bucket, untrusted, unmounted):
        store = open_store(settings)
        for ask in (
            lambda store=store: store.get("key"),
            lambda store=store: store.get("key", offset=1, length=2),
            lambda store=store: store.head("key"),
            lambda store=store: store.put("key", BODY),
            lambda store=store: list(store.list("")),
            lambda store=store: store.folders(""),
        ):
            with pytest.raises(Unreachable) as caught:
                ask()
            told = f"{caught.value} {caught.value.detail} {caught.value.hint}"
            assert store.name in told
            assert "wrong-%s-secret" not in told
            assert USER[1] not in told


def test_keys_that_leave_the_folder_are_no_keys(folder_settings: FolderRepository) -> None:
    store = open_store(folder_settings)
    for key in ("", "/absolute", "../up", "a/../b", "a//b", "a/", ".incoming/x", "nul\0"):
        with pytest.raises(ValueError, match="not a key"):
            store.put(key, BODY)


def test_a_folder_shows_no_object_before_it_is_complete(folder_settings: FolderRepository) -> None:
    store = open_store(folder_settings)
    store.put("key", BODY)
    (folder_settings.path / ".incoming" / "left-by-a-crash").write_bytes(b"half")
    assert [stored.key for stored in store.list("")] == ["key"]
    assert store.folders("") == []


@pytest.mark.parametrize("mode", [0o440, 0o604, 0o666])
def test_credentials_that_others_may_read_are_refused(s3_settings: S3Repository, mode: int) -> None:
    assert s3_settings.credentials_file
    s3_settings.credentials_file.chmod(mode)
    with pytest.raises(UsageError, match="can be read by others"):
        open_store(s3_settings)


@pytest.mark.parametrize("text", ["", "secret without a section", "[other]\nkey = secret\n", "[default]\nx = secret\n"])
def test_a_broken_credentials_file_is_named_without_its_contents(s3_settings: S3Repository, text: str) -> None:
    assert s3_settings.credentials_file
    s3_settings.credentials_file.write_text(text)
    with pytest.raises(UsageError) as caught:
        open_store(s3_settings)
    assert str(s3_settings.credentials_file) in caught.value.message
    assert "secret without" not in f"{caught.value.detail}{caught.value.hint}"


def test_the_environment_of_whoever_runs_us_changes_nothing(
    s3_settings: S3Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://localhost:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody-else")
    open_store(s3_settings).put("key", BODY)


def test_the_repository_is_described_once_and_then_compared(store: Store) -> None:
    repository = Repository(store, Layout("pend", "main", 42))
    first = ensure(repository, segment_size=1 << 24, postgres_version=15)
    assert ensure(repository, segment_size=1 << 24, postgres_version=15) == first
    assert len(repository.block_key(first)) == 32
    with pytest.raises(Exception, match="another make"):
        ensure(repository, segment_size=1 << 20, postgres_version=15)


def test_hosts_that_come_first_at_once_agree(store: Store) -> None:
    repository = Repository(store, Layout("pend", "main", 42))
    with ThreadPoolExecutor(8) as pool:
        infos = list(pool.map(lambda _: ensure(repository, segment_size=1 << 24, postgres_version=15), range(8)))
    assert len({str(info.block_key) for info in infos}) == 1


def test_databases_of_the_same_name_are_kept_apart(store: Store) -> None:
    with pytest.raises(Exception, match="holds nothing of cluster 'main'"):
        current(store, "pend", "main", None)
    ensure(Repository(store, Layout("pend", "main", 42)), segment_size=1 << 24, postgres_version=15)
    store.put("pend/main/43/wal/00000001/x", b"no repository.json: not one of ours yet")
    assert current(store, "pend", "main", None).system_identifier == 42
    ensure(Repository(store, Layout("pend", "main", 9)), segment_size=1 << 24, postgres_version=16)
    assert [found.system_identifier for found in find(store, "pend", "main")] == [9, 42]
    with pytest.raises(UsageError) as caught:
        current(store, "pend", "main", None)
    assert "9, 42" in str(caught.value.detail)
    assert current(store, "pend", "main", 9).describe().postgres_version == 16
    with pytest.raises(Exception, match="system identifier 43"):
        current(store, "pend", "main", 43)


def test_the_probe_finds_that_writes_are_conditional_and_cleans_up(store: Store) -> None:
    layout = Layout("pend", "main", 42)
    found = probe(store, layout)
    assert (found.usable, found.cleaned) == (True, True)
    assert abs(found.clock_offset) < 60
    assert list(store.list("")) == []
    assert recorded(store, layout) is None
    record(store, layout, found)
    assert recorded(store, layout) == found


def test_the_probe_finds_out_about_versioning_and_object_lock(weed: Weed) -> None:
    admin = weed.admin()
    plain, locked = weed.make_bucket(), weed.make_bucket(lock=True)
    admin.put_object_lock_configuration(
        Bucket=locked,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 3}},
        },
    )
    admin.close()
    seen = open_store(weed.settings(locked)).traits("key")
    assert seen.object_lock is None, "whom the store does not tell does not know"

    def as_admin(bucket: str) -> Traits:
        settings = weed.settings(bucket)
        assert settings.credentials_file
        keys = f"aws_access_key_id = {ADMIN[0]}\naws_secret_access_key = {ADMIN[1]}\n"
        settings.credentials_file.write_text(f"[default]\n{keys}")
        return open_store(settings).traits("key")

    assert as_admin(plain).object_lock == "off"
    assert as_admin(plain).versioning == "off"
    assert as_admin(locked).versioning == "enabled"
    assert as_admin(locked).object_lock == "on, GOVERNANCE for 3 days"
    assert as_admin(plain).checksums is True
