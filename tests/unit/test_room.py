"""When the disk of pg_wal will be full: hours of an outage, simulated second by second of WAL."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import pytest

from ops.model.room import Room, wal_rate

MIB = 1 << 20
SEGMENT = 16 * MIB
HOUR = 3600.0
KEPT = 15 * 60.0  # seconds for which PostgreSQL keeps what is archived: about a checkpoint
SEEN = 4_000  # segments: more than end in an hour


@dataclass(frozen=True)
class Look:
    """What was predicted at a moment (seconds since the store went away), and how long it really took from there."""

    at: float
    lasts: float
    truth: float


def outage(free: int, rate: Callable[[float], float]) -> list[Look]:
    """A look each minute from the moment at which the store goes away to the one at which the disk is full.

    `rate`: bytes of WAL a second at a moment; before the outage it is that of its beginning.
    """

    ended, at, left = [], -KEPT, free
    while left >= 0:
        at += SEGMENT / rate(max(at, 0.0))
        ended.append(at)
        left -= SEGMENT if at > 0 else 0
    looks = []
    for now in range(0, int(at), 60):
        known = ended[: bisect_right(ended, now)]
        left = free - (len(known) - bisect_right(ended, 0)) * SEGMENT
        lasts = Room(0, left, SEGMENT, wal_rate(known[-SEEN:], SEGMENT, now)).lasts
        assert lasts is not None
        looks.append(Look(now, lasts, at - now))
    return looks


def first_below(looks: list[Look], hours: float) -> Look:
    return next(look for look in looks if look.lasts < hours * HOUR)


@pytest.mark.parametrize("rate", [MIB / 4, 4 * MIB, 16 * MIB])
def test_at_a_steady_rate_an_alert_comes_as_long_before_the_end_as_it_says(rate: float) -> None:
    looks = outage(int(9 * HOUR * rate), lambda at: rate)
    assert looks[0].lasts == pytest.approx(9 * HOUR, rel=0.12)
    for hours in (6, 2):
        assert 0.95 <= first_below(looks, hours).truth / (hours * HOUR) <= 1.15  # a segment more or less in the window
    lasting = [look.lasts for look in looks]
    assert all(later <= earlier * 1.15 for earlier, later in pairwise(lasting))


def test_a_rush_in_the_middle_is_seen_within_ten_minutes() -> None:
    calm, rush, begins = 2 * MIB, 10 * MIB, 3 * HOUR
    looks = outage(int((3 * calm + 5 * rush) * HOUR), lambda at: rush if at >= begins else calm)
    assert first_below(looks, 6).at <= begins + 600
    for look in looks:
        if look.at >= begins + 660:
            assert look.lasts <= look.truth * 1.05
    assert first_below(looks, 2).truth >= 2 * HOUR * 0.95


def test_a_pause_of_half_an_hour_does_not_end_an_alert() -> None:
    rate = 4 * MIB
    pause = range(int(2 * HOUR), int(2.5 * HOUR))
    looks = outage(int(5 * HOUR * rate), lambda at: MIB / 16 if int(at) in pause else rate)
    warned = first_below(looks, 6).at
    assert all(look.lasts < 10 * HOUR for look in looks if look.at > warned)


def test_a_disk_without_room_for_a_segment_is_full_at_any_rate() -> None:
    for rate in (None, 0.0, 1.0):
        assert Room(0, SEGMENT - 1, SEGMENT, rate).lasts == 0


def test_no_end_is_foretold_where_there_is_no_wal_or_too_little_is_known() -> None:
    assert Room(0, SEGMENT, SEGMENT, 0.0).lasts is None
    assert Room(0, SEGMENT, SEGMENT, None).lasts is None
    assert wal_rate([], SEGMENT, now=100) is None
    assert wal_rate([5.0], SEGMENT, now=100) is None
    assert wal_rate([1.0, 2.0, 3.0], SEGMENT, now=10_000) == 0


def test_moments_in_the_future_of_a_clock_that_was_set_back_do_not_count() -> None:
    assert wal_rate([0.0, 50.0, 1e9], SEGMENT, now=100) == SEGMENT / 100
