"""The load table's arithmetic: percentiles that were measured, verdicts by the slowest question, factors by medians."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.database.bench.measure import schedule
from ops.database.bench.questions import QUESTIONS
from ops.model.bench import CLASSES, Measured, Scale, percentile, rows, spread, summary, targets

SAMPLES = st.lists(st.floats(0, 1e6, allow_nan=False), min_size=1, max_size=300)


@given(SAMPLES, st.integers(1, 100))
def test_a_percentile_is_the_one_that_numpy_finds_without_interpolating(samples: list[float], percent: int) -> None:
    if len(samples) * percent % 100:
        expected = float(np.percentile(samples, percent, method="inverted_cdf"))
    else:  # a whole rank, which numpy's product may be a little above or below
        expected = sorted(samples)[len(samples) * percent // 100 - 1]
    assert percentile(samples, percent / 100) == expected


@given(SAMPLES, st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_was_measured_and_enough_samples_are_not_above_it(samples: list[float], share: float) -> None:
    found = percentile(samples, share)
    assert found in samples
    assert sum(sample <= found for sample in samples) >= math.floor(share * len(samples))
    assert sum(sample < found for sample in samples) < share * len(samples)


@given(SAMPLES)
def test_percentiles_rise(samples: list[float]) -> None:
    found = spread(samples)
    assert min(samples) <= found.p50 <= found.p95 <= found.p99 <= max(samples)
    assert found.n == len(samples)


@pytest.mark.parametrize(("samples", "share"), [([], 0.5), ([1.0], 0.0), ([1.0], 1.1)])
def test_no_percentile_of_nothing_and_of_no_share(samples: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="a percentile takes"):
        percentile(samples, share)


def test_a_class_is_met_when_the_99th_percentile_of_each_question_is_below_its_target() -> None:
    quick = Measured("quick", "simple", "app_user", [1.0] * 995 + [900.0] * 5)  # one of a hundred may be slow
    slow = Measured("slow", "simple", "app_user", [1.0] * 98 + [50.0, 900.0])  # two may not; 50 is not below 50
    found = rows([quick, slow], targets({}))
    assert [(row.question, row.p99, row.met) for row in found] == [("quick", 1.0, True), ("slow", 50.0, False)]
    (line,) = summary([quick, slow], found)
    # All samples together are quick enough. The question is not.
    assert (line.n, line.p99, line.missed, line.met) == (1100, 1.0, ("slow",), False)


def test_the_targets_are_those_of_the_requirements_unless_another_is_given() -> None:
    required = {"simple": 50, "complex": 500, "bulk": 5000, "live": 100, "search": 200}
    assert targets({}) == required
    assert targets({"bulk": 1}) == {**required, "bulk": 1}


def test_rows_stand_in_the_order_of_the_classes_with_how_much_longer_the_files_take() -> None:
    found = rows(
        [
            Measured("b", "search", "app_user", [2.0, 4.0, 9.0], [400.0], [1.0, 2.0, 3.0]),
            Measured("a", "simple", "app_user", [0.5]),
        ],
        targets({}),
    )
    assert [row.question for row in found] == ["a", "b"]
    assert (found[0].parsed, found[0].factor_parsed, found[0].factor_cached) == (None, None, None)
    assert (found[1].parsed, found[1].cached, found[1].factor_parsed, found[1].factor_cached) == (400, 2, 100, 0.5)


def test_every_class_has_questions_of_its_own_name_and_a_round_asks_them_all() -> None:
    names = [question.name for question in QUESTIONS]
    assert len(set(names)) == len(names)
    assert {question.query_class for question in QUESTIONS} == {one.name for one in CLASSES}
    repeats = {one.name: one.repeats for one in CLASSES}
    asked = [question.name for question in schedule(3)]
    assert sorted(asked) == sorted(q.name for q in QUESTIONS for _ in range(repeats[q.query_class]))
    assert asked == [question.name for question in schedule(3)] != [question.name for question in schedule(4)]


def test_the_room_that_is_asked_for_grows_with_the_scale() -> None:
    assert Scale(100, 1000).room < Scale(100, 100_000).room < Scale(10_000, 100_000).room < Scale().room
