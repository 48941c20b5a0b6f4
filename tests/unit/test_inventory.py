"""Inventories: a mistake is named by file, key and the nearest valid name, before any host is contacted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ops.deploys.inventory import load
from ops.deploys.postgres import dynamic_configuration
from ops.errors import UsageError

INVENTORIES = Path(__file__).parents[2] / "inventories"


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A copy of the lab's inventory, to make mistakes in."""
    folder = tmp_path / "lab"
    shutil.copytree(INVENTORIES / "lab", folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def change(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def refusal(folder: Path) -> str:
    """What a person reads when `folder` is refused."""
    with pytest.raises(UsageError) as caught:
        load(folder)
    return f"{caught.value.message}\n{caught.value.detail or ''}\n{caught.value.hint or ''}"


@pytest.mark.parametrize("name", ["lab", "production"])
def test_the_inventories_of_the_repository_are_valid(name: str) -> None:
    inventory = load(INVENTORIES / name)
    assert inventory.clusters == ("pg_main", "pg_analytics")
    assert inventory.postgres("pg_main").databases["pend_production"].owner == "pend_app"
    assert len(inventory.groups["etcd"]) == 3


@pytest.mark.parametrize("name", ["lab", "production"])
def test_a_whole_cluster_fits_in_fifteen_lines_and_names_no_primary(name: str) -> None:
    text = (INVENTORIES / name / "hosts.py").read_text()
    code = [line for line in text.splitlines() if line and not line.startswith(('"""', "#"))]
    assert len(code) <= 15
    assert not any(word in line for line in code for word in ("primary", "leader", "replica"))


def test_a_misspelt_key_is_named_with_its_file_and_the_nearest_valid_name(lab: Path) -> None:
    change(lab, "group_data/pg_main.py", '"preset"', '"presett"')
    said = refusal(lab)
    assert "group_data/pg_main.py: patroni" in said
    assert "presett: unknown key; did you mean 'preset'?" in said


def test_a_misspelt_key_deep_inside_is_named_by_its_path(lab: Path) -> None:
    change(lab, "group_data/pg_main.py", '"owner"', '"onwer"')
    assert "databases.pend_production.onwer: unknown key; did you mean 'owner'?" in refusal(lab)


def test_a_misspelt_top_level_key_is_named(lab: Path) -> None:
    change(lab, "group_data/pg_main.py", "postgres =", "postgress =")
    assert "group_data/pg_main.py: unknown key 'postgress'; did you mean 'postgres'?" in refusal(lab)


def test_a_misspelt_group_is_named(lab: Path) -> None:
    change(lab, "hosts.py", "object_store", "object_stroe")
    assert "no service looks for the group 'object_stroe'; did you mean 'object_store'?" in refusal(lab)


def test_group_data_of_an_unknown_group_is_named(lab: Path) -> None:
    (lab / "group_data" / "pg_mian.py").write_text("patroni = {}\n")
    assert "hosts.py has no group 'pg_mian'; did you mean 'pg_main'?" in refusal(lab)


def test_a_value_of_the_wrong_kind_is_named(lab: Path) -> None:
    change(lab, "group_data/pg_main.py", '"fast"', '"quick"')
    said = refusal(lab)
    assert "preset: Input should be 'fast' or 'balanced'" in said


def test_a_key_set_in_two_groups_of_one_host_is_refused(lab: Path) -> None:
    (lab / "group_data" / "etcd.py").write_text('patroni = {"preset": "balanced"}\n')
    assert "'patroni' is set twice for host 'pg1'" in refusal(lab)


def test_a_database_of_an_undeclared_owner_is_refused(lab: Path) -> None:
    change(lab, "group_data/pg_main.py", '"pend_app"}', '"nobody"}')
    assert "owned by 'nobody', which is not among the roles" in refusal(lab)


def test_timing_that_patroni_would_silently_adjust_is_refused(lab: Path) -> None:
    change(lab, "group_data/pg_main.py", '"preset": "fast"', '"preset": "fast", "retry_timeout": 10')
    assert "ttl is 20 s but loop_wait + 2 * retry_timeout is 25 s" in refusal(lab)


def test_a_drill_on_a_database_host_is_refused(lab: Path) -> None:
    change(lab, "hosts.py", '"drill1"', '"pg1"')
    assert "'pg1' is in 'drill' and in 'pg_main'" in refusal(lab)


def test_an_even_number_of_etcd_members_is_refused(lab: Path) -> None:
    change(lab, "hosts.py", 'etcd = ["pg1", "pg2", "pg3"]', 'etcd = ["pg1", "pg2"]')
    assert "etcd has 2 members" in refusal(lab)


def test_a_syntax_error_is_told_as_such(lab: Path) -> None:
    (lab / "group_data" / "all.py").write_text("site = {\n")
    assert "group_data/all.py: Python cannot read it" in refusal(lab)


def test_a_missing_site_is_named(lab: Path) -> None:
    change(lab, "group_data/all.py", '"name": "lab",', "")
    assert "name: Field required" in refusal(lab)


def test_the_platform_s_required_settings_reach_patroni() -> None:
    inventory = load(INVENTORIES / "production")
    dynamic = dynamic_configuration(inventory.postgres("pg_main"), inventory.patroni("pg_main"))
    parameters = dynamic["postgresql"]["parameters"]
    assert dynamic["synchronous_mode"] == "quorum"
    assert dynamic["failsafe_mode"] is True
    assert parameters["max_connections"] == 100
    assert parameters["archive_timeout"] == "60s"
    assert parameters["wal_log_hints"] == "on"
    assert parameters["log_min_duration_statement"] == "500ms", "the inventory's own settings win"


def test_a_setting_that_is_the_platform_s_own_is_refused(lab: Path) -> None:
    change(lab, "group_data/pg_main.py", '"sizing"', '"settings": {"archive_command": "/bin/true"}, "sizing"')
    assert "settings.archive_command is the platform's own" in refusal(lab)
