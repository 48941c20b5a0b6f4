"""TimescaleDB in an inventory: its pin, what it asks of its cluster, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ops.deploys.apt_source import releases
from ops.deploys.inventory import load
from ops.deploys.settings import Postgres, TimescaleDB
from ops.deploys.settings.postgres import Database, Role
from ops.deploys.settings.timescaledb import AptSource
from ops.errors import UsageError
from ops.model.packages import expression, is_behind, satisfies
from ops.model.sizing import GIB, MIB, analytics_member, analytics_parameters

from .test_inventory import INVENTORIES, change, lab  # noqa: F401

SOURCE = AptSource(url="https://apt.timescale.example/debian/", suite="bookworm", key="key.asc")


def declared(**settings: Any) -> TimescaleDB:
    return TimescaleDB(source=SOURCE, **settings)


@pytest.mark.parametrize(
    ("pin", "version", "fits"),
    [
        ("2.28.*", "2.28.1~debian12", True),
        ("2.28.*", "2.28.0", True),
        ("2.28.*", "2.280.1", False),
        ("2.28.1", "2.28.1~debian12-1511", True),
        ("2.28.1", "2.28.1", True),
        ("2.28.1", "2.28.10~debian12", False),
        ("2.28.1~debian12", "2.28.1~debian12", True),
        ("2.28.1~debian12", "2.28.1", False),
        ("", "1.0", True),
        ("", None, False),
    ],
)
def test_a_pin_takes_its_own_versions_and_no_others(pin: str, version: str | None, fits: bool) -> None:
    assert satisfies(version, pin) is fits


def test_apt_is_given_the_same_expression_that_we_judge_by() -> None:
    assert expression("2.28.*") == r"^2\.28\..*$"
    assert re.match(expression("2.28.1"), "2.28.1+dfsg")


@pytest.mark.parametrize(
    ("pin", "version", "behind"),
    [
        ("2.27.*", "2.28.0~debian12", True),
        ("2.28.*", "2.28.9", False),
        ("2.28.1", "2.28.2", True),
        ("2.28.3", "2.28.2", False),
        ("", "2.28.2", False),
    ],
)
def test_a_pin_behind_what_is_installed_is_recognised(pin: str, version: str, behind: bool) -> None:
    assert is_behind(pin, version) is behind


@pytest.mark.parametrize("pin", ["*", "2.28 or newer", "latest", "/2/"])
def test_a_pin_that_is_no_version_is_refused(pin: str) -> None:
    with pytest.raises(ValidationError):
        declared(version=pin)


def test_the_pin_covers_the_loader_where_upstream_splits_it_off() -> None:
    assert declared().packages == ("timescaledb-2-postgresql-15", "timescaledb-2-loader-postgresql-15")
    assert declared(package="postgresql-15-timescaledb").packages == ("postgresql-15-timescaledb",)


def test_the_folder_of_releases_is_found_as_apt_finds_it() -> None:
    assert releases(SOURCE) == "https://apt.timescale.example/debian/dists/bookworm"
    flat = SOURCE.model_copy(update={"suite": "./"})
    assert releases(flat) == "https://apt.timescale.example/debian/."


@pytest.mark.parametrize("version", ["2.29.0", "2.29.*", "2.30.1~debian12", "3.0.0"])
def test_a_series_beyond_the_last_one_of_postgresql_15_is_refused(lab: Any, version: str) -> None:  # noqa: F811
    change(lab, "group_data/pg_analytics.py", '"required": False', f'"required": False, "version": "{version}"')
    with pytest.raises(UsageError) as caught:
        load(lab)
    assert "group_data/pg_analytics.py: timescaledb: version" in caught.value.message
    assert "is not for PostgreSQL 15, whose last series is 2.28" in caught.value.message


@pytest.mark.parametrize("version", ["2.28.1", "2.28.*", "2.27.0", ""])
def test_a_series_for_postgresql_15_is_taken(version: str) -> None:
    assert declared(version=version).unfit_for(15) is None


def test_a_package_for_another_postgresql_is_refused() -> None:
    assert declared().unfit_for(16) == (
        "the package timescaledb-2-postgresql-15 is for PostgreSQL 15, and postgres.version is 16"
    )
    assert declared(package="timescaledb-2-postgresql-16", version="2.29.1").unfit_for(16) is None


def cluster(**settings: Any) -> Postgres:
    roles, databases = {"app": Role()}, {"pend_analytics": Database(owner="app")}
    return declared().on(Postgres(roles=roles, databases=databases, **settings))


def test_the_library_is_preloaded_first_and_the_extension_comes_with_every_database() -> None:
    assert cluster().preload == ["timescaledb", "pg_stat_statements"]
    assert cluster().databases["pend_analytics"].extensions[0] == "timescaledb"
    assert declared().on(cluster()) == cluster(), "once is enough"


def test_only_the_cluster_that_has_it_gets_it() -> None:
    inventory = load(INVENTORIES / "lab")
    assert "timescaledb" in inventory.postgres("pg_analytics").preload
    assert "timescaledb" not in inventory.postgres("pg_main").preload
    assert not any("timescaledb" in name for name in inventory.postgres("pg_main").settings)


def test_what_the_inventory_sets_by_name_stays() -> None:
    settings = cluster(settings={"max_worker_processes": 99}).settings
    assert settings["max_worker_processes"] == 99
    assert settings["timescaledb.telemetry_level"] == "off"


@given(st.integers(2, 100), st.integers(1, 256))
def test_there_are_slots_for_every_worker(background: int, cores: int) -> None:
    found = analytics_parameters(background, cores)
    assert found["max_worker_processes"] == 3 + background + max(2, cores)
    assert analytics_parameters(background, None) == analytics_parameters(background, 32)


@given(st.integers(512 * MIB, 4096 * GIB), st.integers(1, 256), st.integers(10, 5000))
def test_members_of_any_size_get_memory_that_fits_them(memory: int, cores: int, connections: int) -> None:
    found = analytics_member(memory, cores, connections)
    work, maintenance = int(found["work_mem"][:-2]) * 1024, int(found["maintenance_work_mem"][:-2]) * MIB
    assert work >= 4 * MIB, "what the platform requires"
    assert 64 * MIB <= maintenance <= 2047 * MIB
    assert work == 4 * MIB or work * connections <= memory // 8


def test_an_inventory_without_some_hosts_has_no_group_that_nobody_is_in() -> None:
    inventory = load(INVENTORIES / "lab")
    members = inventory.groups["pg_analytics"]
    some = inventory.without({members[0]: "pg_analytics"})
    assert some.groups["pg_analytics"] == members[1:]
    assert inventory.without(dict.fromkeys(members, "pg_analytics")).clusters == ("pg_main",)
    assert inventory.without({"pg1": "pg_analytics"}) == inventory
