"""Groups of Redis servers: a mode has the hosts that it needs, and hosts of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.deploys.inventory import Inventory, load
from ops.errors import UsageError

ALL = """
site = {"name": "test", "networks": ["10.0.0.0/8"], "pki": "pki", "secrets": {"source": "environment"}}
repository = {"endpoint": "https://s3:8333", "bucket": "pend"}
"""


def inventory(folder: Path, hosts: int, redis: str, *, others: str = "") -> Inventory:
    data = folder / "group_data"
    data.mkdir()
    names = [f"r{number}" for number in range(1, hosts + 1)]
    (folder / "hosts.py").write_text(f"redis_cache = {names!r}\n{others}\n")
    (data / "all.py").write_text(ALL)
    (data / "redis_cache.py").write_text(f"redis = {redis}\n")
    return load(folder)


@pytest.mark.parametrize(
    ("hosts", "redis"),
    [
        (1, '{"mode": "standalone"}'),
        (3, "{}"),
        (5, '{"mode": "sentinel"}'),
        (6, '{"mode": "cluster"}'),
        (3, '{"mode": "cluster", "replicas": 0}'),
        (9, '{"mode": "cluster", "replicas": 2}'),
    ],
)
def test_a_mode_with_the_hosts_that_it_needs_is_taken(tmp_path: Path, hosts: int, redis: str) -> None:
    assert inventory(tmp_path, hosts, redis).redis_groups == ("redis_cache",)


@pytest.mark.parametrize(
    ("hosts", "redis", "words"),
    [
        (2, '{"mode": "standalone"}', "no 'standalone' group"),
        (2, "{}", "no 'sentinel' group"),
        (4, "{}", "no 'sentinel' group"),
        (5, '{"mode": "cluster"}', "no 'cluster' group"),
        (4, '{"mode": "cluster"}', "no 'cluster' group"),
        (3, '{"save": "900"}', "save"),
        (3, '{"maxmemory": "lots"}', "maxmemory"),
    ],
)
def test_what_could_never_work_is_refused(tmp_path: Path, hosts: int, redis: str, words: str) -> None:
    with pytest.raises(UsageError, match="redis_cache") as refusal:
        inventory(tmp_path, hosts, redis)
    assert words in f"{refusal.value.message} {refusal.value.detail}"


def test_redis_is_not_put_beside_postgresql(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'r1' is in 'pg_main' and in 'redis_cache'"):
        inventory(tmp_path, 3, "{}", others='etcd = ["e1"]\npg_main = ["r1"]')
