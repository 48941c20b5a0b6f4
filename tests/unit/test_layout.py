"""Where things lie in the store: names that must never change (docs/adr/0002-storage-layout.md)."""

from __future__ import annotations

import pytest

from ops.model.layout import Layout, cluster_root
from ops.model.segment import WalFile

LAYOUT = Layout("pend", "main", 7_000_000_000_000_000_001)
ROOT = "pend/main/7000000000000000001/"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("000000020000000000000010", "wal/00000002/000000020000000000000010"),
        ("000000020000000000000010.partial", "wal/00000002/000000020000000000000010.partial"),
        (
            "000000020000000000000010.00000028.backup",
            "wal/00000002/000000020000000000000010.00000028.backup",
        ),
        ("00000002.history", "wal/00000002.history"),
    ],
)
def test_wal_lies_by_timeline_under_its_exact_name(name: str, key: str) -> None:
    assert LAYOUT.wal(WalFile.parse(name)) == ROOT + key


def test_everything_else_has_a_folder_of_its_kind() -> None:
    assert LAYOUT.repository == ROOT + "repository.json"
    assert LAYOUT.pack("abc") == ROOT + "packs/abc"
    assert LAYOUT.manifest("20261121T105300Z") == ROOT + "backups/20261121T105300Z/manifest"
    for folder in ("verified", "tombstones", "copied"):
        assert getattr(LAYOUT, folder) == f"{ROOT}{folder}/"
    assert LAYOUT.drill("d1") == ROOT + "evidence/drills/d1.json"


@pytest.mark.parametrize("prefix", ["pend", "/pend", "pend/", "/pend/"])
def test_slashes_around_the_prefix_do_not_matter(prefix: str) -> None:
    assert cluster_root(prefix, "main") == "pend/main/"


def test_a_prefix_may_be_missing_or_deep() -> None:
    assert cluster_root("", "main") == "main/"
    assert cluster_root("a/b", "main") == "a/b/main/"
