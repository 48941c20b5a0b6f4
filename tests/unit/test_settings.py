"""PostgreSQL's settings: two spellings of one value, and what it takes to change one."""

from __future__ import annotations

import pytest

from ops.model.impact import Impact
from ops.model.settings import Setting, impacts, lowers, written


@pytest.mark.parametrize(
    ("value", "unit", "kind", "declared"),
    [
        ("100", None, "integer", 100),
        ("32768", "8kB", "integer", "256MB"),
        ("4096", "kB", "integer", "4MB"),
        ("900", "s", "integer", "15min"),
        ("60", "s", "integer", 60),
        ("0.9", None, "real", 0.9),
        ("0.2", "ms", "real", "200us"),
        ("-1", "kB", "integer", -1),
        ("on", None, "bool", True),
        ("off", None, "bool", "no"),
        ("replica", None, "enum", "Replica"),
        ("pg_stat_statements", None, "string", "pg_stat_statements"),
        ("12", "8kB", "integer", "97kB"),
    ],
)
def test_a_value_is_recognised_however_it_is_spelt(value: str, unit: str | None, kind: str, declared: object) -> None:
    assert Setting("any", value, unit, kind, "user").is_set_to(declared)


@pytest.mark.parametrize(
    ("value", "unit", "kind", "declared"),
    [
        ("100", None, "integer", 101),
        ("32768", "8kB", "integer", "128MB"),
        ("on", None, "bool", False),
        ("1", None, "integer", "a lot"),
        ("UTC", None, "string", "Europe/Prague"),
    ],
)
def test_another_value_is_not(value: str, unit: str | None, kind: str, declared: object) -> None:
    assert not Setting("any", value, unit, kind, "user").is_set_to(declared)


def test_a_switch_is_written_as_postgresql_does() -> None:
    assert [written(value) for value in (True, False, 100, "60s")] == ["on", "off", "100", "60s"]


def test_a_setting_of_the_postmaster_costs_a_restart_and_a_switchover_where_somebody_can_take_over() -> None:
    assert impacts("postmaster", members=3) == (Impact.RESTART, Impact.SWITCHOVER)
    assert impacts("postmaster", members=1) == (Impact.RESTART,)
    assert impacts("sighup", members=3) == (Impact.RELOAD,)
    assert impacts(None, members=3) == (Impact.RELOAD,), "of an extension that is not loaded yet"


def test_only_lowering_what_a_standby_needs_begins_on_the_primary() -> None:
    assert lowers("max_connections", "200", "100")
    assert not lowers("max_connections", "100", "200")
    assert not lowers("shared_buffers", "2GB", "1GB")
