"""The report of a failover drill: its verdict and reasons, its document, and its page."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ops.failover.page import draw, html
from ops.model.failover import (
    HANG_LIMIT,
    Checked,
    Experience,
    Leadership,
    Moments,
    Redundancy,
    Report,
    Rows,
    as_dict,
    compared,
    experiences,
    from_dict,
    judge,
)
from ops.model.journal import Client, Entry

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
OLD, NEW = "10.0.0.1 since 100", "10.0.0.2 since 200"
WRITER, HELD = Client("write", "write", "steady"), Client("write, held", "write", "held")
FAULT = 10.0
JOURNALS = {
    WRITER: (
        *(Entry(i, 7 + i / 2 - 0.1, 7 + i / 2, OLD) for i in range(7)),
        Entry(0, 11.0, 11.5, error="connection refused"),
        *(Entry(i, 7 + i / 2 - 0.1, 7 + i / 2, NEW) for i in range(11, 27)),
    ),
    HELD: (Entry(1, 7.0, 7.1, OLD), Entry(2, 10.0, 10.4, error="57P01")),
}
GOOD = Report(
    id="20261121T120000Z-1f0c",
    cluster="pg_main",
    kind="switchover",
    started_at=NOON,
    finished_at=NOON + timedelta(seconds=20),
    check=Checked("ready"),
    before=Leadership("pg1", 3, Redundancy(2, 2)),
    after=Leadership("pg2", 4, Redundancy(2, 2)),
    moments=Moments(began=-3, elected=2.0, written=2.5, repaired=None, redundant=6.0, ended=10.0),
    clients=experiences(JOURNALS, began=7.0, fault=FAULT, ended=20.0),
    rows=Rows(acknowledged=24, lost=0, lost_on_old=0, strays=0, late=0),
)


def test_a_drill_that_lost_nothing_and_is_redundant_again_has_passed() -> None:
    assert judge(GOOD) == ("passed", ())


def test_times_are_counted_from_the_fault() -> None:
    writer, held = GOOD.clients
    assert writer.gap == (0.0, 2.5)
    assert GOOD.gap("write") == 2.5
    assert GOOD.gap("read") is None
    assert (held.gap, held.refused, held.longest_wait) == (None, 1, 0.4)
    assert GOOD.longest_hang == 0.4
    assert GOOD.errors == {"connection refused": 1, "57P01": 1}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (replace(GOOD, rows=replace(GOOD.rows, lost=2)), "2 of 24 acknowledged rows are lost"),
        (replace(GOOD, rows=replace(GOOD.rows, lost_on_old=1)), "lacks 1 acknowledged rows"),
        (replace(GOOD, rows=replace(GOOD.rows, strays=3)), "has 3 rows that the new one has not"),
        (replace(GOOD, rows=replace(GOOD.rows, late=1)), "the old primary acknowledged 1 rows after"),
        (replace(GOOD, moments=replace(GOOD.moments, redundant=None)), "redundancy was not back in time"),
        (replace(GOOD, moments=replace(GOOD.moments, elected=None)), "no other member came to lead"),
        (replace(GOOD, moments=replace(GOOD.moments, written=None)), "acknowledged nothing to anybody"),
        (
            replace(GOOD, clients=(GOOD.clients[0], replace(GOOD.clients[1], longest_wait=HANG_LIMIT + 1))),
            "hung for 31 s",
        ),
        (
            replace(GOOD, clients=(replace(GOOD.clients[0], gap=(0.0, 10.0)), GOOD.clients[1])),
            "nothing comes through any more on the write route",
        ),
    ],
)
def test_whatever_was_promised_and_not_kept_fails_the_drill_and_is_named(changed: Report, why: str) -> None:
    verdict, [reason] = judge(changed)
    assert verdict == "failed"
    assert why in reason


@pytest.mark.parametrize(
    "changed",
    [
        replace(GOOD, rows=replace(GOOD.rows, lost=None, strays=None)),
        replace(GOOD, rows=replace(GOOD.rows, lost_on_old=None, strays=None)),
        replace(GOOD, error="pg1 does not let us in over ssh"),
    ],
)
def test_what_could_not_be_found_out_is_not_passed(changed: Report) -> None:
    verdict, reasons = judge(changed)
    assert verdict == "unknown"
    assert reasons


def test_a_loss_counts_for_more_than_what_is_unknown_and_both_are_said() -> None:
    verdict, reasons = judge(replace(GOOD, rows=replace(GOOD.rows, lost=1), error="ssh broke"))
    assert verdict == "failed"
    assert reasons == ("1 of 24 acknowledged rows are lost", "ssh broke")


def test_rows_are_compared_with_what_both_primaries_have() -> None:
    promised = {("write", entry.number) for entry in JOURNALS[WRITER] if entry.acknowledged} | {("write, held", 1)}
    new, old = frozenset(promised - {("write", 3)}), frozenset(promised | {("write", 99)})
    assert compared(JOURNALS, FAULT, new, old) == Rows(len(promised), lost=1, lost_on_old=0, strays=2, late=0)
    assert compared(JOURNALS, FAULT, None, old) == Rows(len(promised), None, 0, None, 0)


def test_redundancy_is_back_when_as_many_stream_and_count_as_before() -> None:
    before = Redundancy(2, 2)
    assert Redundancy(2, 2).covers(before)
    assert not Redundancy(2, 1).covers(before)
    assert not Redundancy(1, 1).covers(before)


def test_a_report_can_be_read_back_as_it_was_stored() -> None:
    assert from_dict(json.loads(json.dumps(as_dict(GOOD)))) == GOOD


def test_what_a_later_version_adds_is_passed_over() -> None:
    document = as_dict(GOOD) | {"weather": "fine"}
    document["rows"]["colour"] = "red"
    assert from_dict(document) == GOOD


@pytest.mark.parametrize("document", [{}, {"format": 2}, as_dict(GOOD) | {"rows": None}, as_dict(GOOD) | {"check": {}}])
def test_what_is_no_report_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        from_dict(document)


def test_the_page_shows_the_gap_the_marks_and_nothing_from_elsewhere() -> None:
    page = html(replace(GOOD, verdict="failed", reasons=("2 rows <are> lost",)))
    assert "2.50 s" in page
    assert "2 rows &lt;are&gt; lost" in page
    for mark in ("fault<", "new primary, 2.50 s<", "redundancy back, 6.00 s<"):
        assert f">{mark}" in page
    assert "http" not in page
    assert "prefers-color-scheme: dark" in page


def test_everything_that_is_drawn_lies_on_the_page() -> None:
    drawing = draw(GOOD)
    [lane] = drawing.lanes
    assert lane.gap
    assert all(0 <= x <= 1000 for x in (*(bar.x for bar in lane.bars), lane.gap[0], lane.gap[0] + lane.gap[1]))
    assert all(0 < bar.height <= 1 for bar in lane.bars)
    assert [mark.name for mark in drawing.marks] == ["fault", "new primary", "redundancy back"]
    assert all(0 <= mark.x <= 1000 for mark in drawing.marks)


def test_a_drill_that_nobody_took_over_in_can_be_drawn_and_stored() -> None:
    silent = replace(
        GOOD,
        after=None,
        moments=Moments(-3, None, None, None, None, 10.0),
        clients=(Experience("write", "write", "steady", 0, 0, None, 0.0, {}),),
    )
    assert from_dict(as_dict(silent)) == silent
    assert "nobody" in html(silent)
