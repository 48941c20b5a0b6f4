"""Recovery targets: what is understood, what is refused, and what PostgreSQL is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.model.lsn import LSN
from ops.model.plan import Random, parse_wish
from ops.model.target import AtLsn, AtName, AtTime, AtXid, Immediate, Latest, parse

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21T12:00:00Z",
        "2026-11-21 12:00",
        "2026-11-21T12:00:00",  # no zone: UTC
        "20261121T120000Z",
        "2026-11-21 13:00:00+01:00",
        "2026-11-21 07:00-05",
        "2026-11-21 12:00:00.000 UTC",  # as PostgreSQL writes it in a log
    ],
)
def test_a_time_is_utc_unless_it_names_a_zone(text: str) -> None:
    assert parse(text) == AtTime(NOON)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("latest", Latest()),
        ("immediate", Immediate()),
        ("lsn:0/3000060", AtLsn(LSN(0x3000060))),
        ("xid:1234", AtXid(1234)),
        ("name:before upgrade", AtName("before upgrade")),
    ],
)
def test_places_in_the_wal_are_named_by_their_kind(text: str, target: object) -> None:
    assert parse(text) == target
    assert str(target) == text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("yesterday", "not a recovery target: 'yesterday' \\(for example latest"),
        ("", "not a recovery target"),
        ("2026-11-21", "a day, not a moment: add the time, such as 2026-11-21T10:53:00Z"),
        ("2026-13-21T12:00:00Z", "not a recovery target"),
        ("lsn:zero", "not an LSN"),
        ("xid:2", "not a transaction id"),
        ("xid:-1", "not a transaction id"),
        ("name:", "1 to 63 bytes"),
        ("name:" + "ü" * 32, "1 to 63 bytes"),
        ("9999-12-31T23:59:59-14:00", "outside the years"),
    ],
)
def test_what_is_no_target_is_refused_with_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse(text)


def test_a_time_without_a_zone_is_no_target() -> None:
    with pytest.raises(ValueError, match="needs a zone"):
        AtTime(datetime(2026, 11, 21, 12, 0))


@given(
    st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2200, 1, 1)),
    st.integers(min_value=-840, max_value=840),
)
def test_a_printed_time_can_be_given_back_and_means_the_same_moment(moment: datetime, minutes: int) -> None:
    target = AtTime(moment.replace(tzinfo=timezone(timedelta(minutes=minutes))))
    again = parse(str(target))
    assert isinstance(again, AtTime)
    assert again.time == target.time
    assert again.settings() == target.settings()


@pytest.mark.parametrize(
    ("target", "name", "value"),
    [
        (AtTime(NOON + timedelta(microseconds=1)), "recovery_target_time", "2026-11-21 12:00:00.000001+00:00"),
        (AtLsn(LSN(0x3000060)), "recovery_target_lsn", "0/3000060"),
        (AtXid(1234), "recovery_target_xid", "1234"),
        (AtName("x"), "recovery_target_name", "x"),
        (Immediate(), "recovery_target", "immediate"),
    ],
)
def test_each_target_sets_exactly_one_of_the_settings_that_exclude_each_other(
    target: AtTime | AtLsn | AtXid | AtName | Immediate, name: str, value: str
) -> None:
    settings = target.settings()
    assert settings.pop(name) == value
    assert settings.pop("recovery_target_inclusive", "on") == "on"
    assert settings == {}


def test_the_latest_moment_sets_no_target() -> None:
    assert Latest().settings() == {}


def test_a_drill_takes_latest_random_and_times_only() -> None:
    assert parse_wish("random") == Random()
    assert parse_wish("latest") == Latest()
    assert parse_wish("2026-11-21T12:00:00Z") == AtTime(NOON)
    with pytest.raises(ValueError, match="a drill proves latest, random or a time, not 'xid:1234'"):
        parse_wish("xid:1234")
