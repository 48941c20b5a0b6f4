"""The recovery window as a picture: everything in its place, and a gap is seen however short it is."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from ops.status import document as d
from ops.status.timeline import Timeline, drawn, timeline
from tests.status_samples import DAY, HOUR, NOW, well

MAIN = well().clusters[0]


def recovery(**changes: object) -> d.Recovery:
    assert MAIN.recovery.value is not None
    return MAIN.recovery.value.model_copy(update=changes)


def drill(target: datetime, *, proven: bool = True) -> d.RestoreDrill:
    assert MAIN.drills.value is not None
    return MAIN.drills.value.restores[0].model_copy(update={"target": target, "proven": proven})


def backup(at: datetime) -> d.Backup:
    assert MAIN.backups.value is not None
    return MAIN.backups.value.found[0].model_copy(update={"stopped_at": at})


def drawing(*, gaps: list[d.Gap] | None = None, drills: list[d.RestoreDrill] | None = None) -> Timeline:
    days = [backup(NOW - number * DAY) for number in (10, 5, 0)]
    window = recovery(start=NOW - 10 * DAY, end=NOW - HOUR, gaps=gaps or [])
    line = timeline(window, days, drills or [], NOW)
    assert line is not None
    return line


def test_the_window_runs_from_the_first_backup_to_now_with_everything_in_its_order() -> None:
    line = drawing(drills=[drill(NOW - 3 * DAY)])
    assert [mark.at for mark in line.backups] == sorted(mark.at for mark in line.backups)
    assert line.covered.start == line.backups[0].at
    assert line.covered.end < line.now == line.backups[-1].at
    assert line.backups[1].at < line.targets[0].at < line.backups[2].at
    assert line.backups[1].at == pytest.approx(50, abs=0.1)


def test_a_gap_reaches_from_the_wal_before_it_to_the_backup_behind_it() -> None:
    gap = d.Gap(cause="missing", first="A", last="B", segments=2, since=NOW - 6 * DAY, until=NOW - 5 * DAY)
    (stretch,) = drawing(gaps=[gap]).lost
    line = drawing()
    assert line.backups[0].at < stretch.start < stretch.end == line.backups[1].at
    open_ended = gap.model_copy(update={"since": None, "until": None})
    (stretch,) = drawing(gaps=[open_ended]).lost
    assert (stretch.start, stretch.end) == (line.covered.start, line.now)


def test_what_lies_before_the_window_is_left_out() -> None:
    line = drawing(drills=[drill(NOW - 40 * DAY)])
    assert line.targets == ()


def test_nothing_is_drawn_where_nothing_can_be_recovered() -> None:
    assert timeline(recovery(start=None, end=None), [], [], NOW) is None


@pytest.mark.parametrize("minutes", [1, 7, 45, 180, 60 * 24, 60 * 24 * 30, 60 * 24 * 365, 60 * 24 * 365 * 7])
def test_every_length_of_window_has_a_few_ticks_in_order(minutes: int) -> None:
    line = timeline(recovery(start=NOW - timedelta(minutes=minutes), end=NOW), [], [], NOW)
    assert line is not None
    places = [tick.at for tick in line.ticks]
    assert places == sorted(places)
    assert len(places) <= 8
    assert minutes < 5 or len(places) >= 2
    assert all(tick.label for tick in line.ticks)


def test_a_gap_of_a_moment_shows_in_a_line_of_text() -> None:
    moment = NOW - 5 * DAY
    gap = d.Gap(cause="missing", first="A", last="A", segments=1, since=moment, until=moment + timedelta(seconds=1))
    line = drawing(gaps=[gap], drills=[drill(moment)])
    assert drawn(line, 60, plain=True).count("x") == 1
    assert "x" not in drawn(drawing(), 60, plain=True)


def test_text_is_as_wide_as_it_may_be_and_shows_backups_and_drills() -> None:
    line = drawing(drills=[drill(NOW - 3 * DAY), drill(NOW - 2 * DAY, proven=False)])
    text = drawn(line, 40, plain=True)
    assert len(text) <= 40
    assert [text.count(sign) for sign in "Box"] == [3, 1, 1]
    assert len(drawn(line, 40)) == len(text)
    assert drawn(line, 40).isascii() is False


def test_the_picture_is_told_in_words() -> None:
    words = drawing(drills=[drill(NOW - 3 * DAY), drill(NOW - 2 * DAY, proven=False)]).words
    assert "3 backups" in words
    assert "no gap" in words
    assert "1 of 2 drills into it proven" in words
