"""The exporter's own rules: nothing stale, nothing twice, nobody held up; and counters that only grow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from ops.errors import Unreachable
from ops.exporter import runner
from ops.exporter.build import exporter
from ops.exporter.collectors.of_host import HOST_COLLECTORS
from ops.exporter.database import query
from ops.exporter.files import Fresh
from ops.exporter.metric import Collector, Sample, families, gauge
from ops.exporter.runner import Cached
from ops.exporter.scrape import Exporter, SingleFlight
from ops.model import login
from ops.model.statements import Counts, Totals

from ..waiting import wait_until

LEVEL = gauge("ops_level_bytes", "How full it is.", "tank")
OTHER = gauge("ops_other_bytes", "Something else.")


class Tank:
    """Something to look at: `level` None fails, an event holds the look up."""

    def __init__(self, level: float | None = 1.0) -> None:
        self.level = level
        self.looks = 0
        self.held: threading.Event | None = None

    def read(self, _: object = None) -> Iterable[Sample]:
        self.looks += 1
        if self.held is not None:
            self.held.wait(30)
        if self.level is None:
            raise Unreachable("the tank does not answer")
        yield LEVEL(self.level, "north")


def made(*collectors: Collector[object], report: Callable[[str], None] = lambda _: None) -> Exporter:
    return exporter("host", collectors, {"": {"": object()}}, report)


def values(page: bytes) -> dict[str, float]:
    """Value by name, or by name and the label `collector`."""
    return {
        f"{one.name}/{one.labels['collector']}" if "collector" in one.labels else one.name: one.value
        for family in text_string_to_metric_families(page.decode())
        for one in family.samples
    }


def test_a_collector_that_fails_has_no_values_and_leaves_the_others_theirs() -> None:
    tank, said = Tank(), list[str]()
    well = Collector[object]("other", (OTHER,), lambda _: [OTHER(7)])
    source = made(Collector("tank", (LEVEL,), tank.read), well, report=said.append)
    assert values(source.page())["ops_level_bytes"] == 1
    tank.level = None
    seen = values(source.page())
    assert "ops_level_bytes" not in seen
    assert seen["ops_other_bytes"] == 7
    assert (seen["ops_collector_success/tank"], seen["ops_collector_success/other"]) == (0, 1)
    assert seen["ops_collector_last_success_timestamp_seconds/tank"] > 0
    source.page()
    tank.level = 2
    source.page()
    assert said == ["tank: the tank does not answer", "tank: well again"], "each of them once"


def test_a_mistake_of_ours_is_told_as_trouble_and_the_page_is_served() -> None:
    source = made(Collector[object]("broken", (LEVEL,), lambda _: [LEVEL(1 / 0, "north")]))
    assert values(source.page())["ops_collector_success/broken"] == 0
    assert "ZeroDivisionError" in str(source.readiness())


def test_what_hangs_is_left_out_and_never_run_twice_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.exporter.scrape.DEADLINE", 0.1)
    tank, well = Tank(), Collector[object]("other", (OTHER,), lambda _: [OTHER(7)])
    tank.held = threading.Event()
    source = made(Collector("tank", (LEVEL,), tank.read, limit=0.05), well)
    try:
        for _ in range(3):
            seen = values(source.page())
            assert "ops_level_bytes" not in seen
            assert (seen["ops_other_bytes"], seen["ops_collector_success/tank"]) == (7, 0)
        assert tank.looks == 1
        assert source.health() == (False, {"healthy": False, "stuck": ["tank"]})
    finally:
        tank.held.set()
    wait_until("it is shown again", lambda: values(source.page()), until=lambda seen: "ops_level_bytes" in seen)
    assert source.health()[0]


def test_what_was_read_in_the_background_is_shown_with_its_age_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tank = Tank()
    source = made(Collector("tank", (LEVEL,), tank.read, every=0.2))
    source.start()
    try:
        seen = wait_until("it was read", lambda: values(source.page()), until=lambda seen: "ops_level_bytes" in seen)
        assert 0 <= seen["ops_collector_cache_age_seconds/tank"] < 5
        tank.level = None
        seen = wait_until(
            "it fails", lambda: values(source.page()), until=lambda seen: seen["ops_collector_success/tank"] == 0
        )
        monkeypatch.setattr(runner, "_KEEP", 1e6)
        assert values(source.page())["ops_level_bytes"] == 1, "kept for a while"
        monkeypatch.setattr(runner, "_KEEP", 0.0)
        assert "ops_level_bytes" not in values(source.page())
    finally:
        source.close()


def test_a_background_run_that_hangs_does_not_keep_its_values_alive() -> None:
    tank = Tank()
    cached = Cached("tank", "", 1.0, 0.05, tank.read)
    cached.start()
    try:
        wait_until("it was read", lambda: cached.samples() != ())
        tank.held = threading.Event()
        wait_until("it is gone", lambda: cached.samples() == ())
    finally:
        assert tank.held
        tank.held.set()
        cached.close()


def test_what_failed_is_tried_again_before_its_next_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    tank = Tank()
    tank.level = None
    monkeypatch.setattr(runner, "_AGAIN", 0.05)
    cached = Cached("tank", "", 1.0, 3600, tank.read)
    cached.start()
    try:
        wait_until("it has failed", lambda: cached.last)
        tank.level = 1.0
        wait_until("it was read", lambda: cached.samples() != ())
    finally:
        cached.close()


def test_however_many_ask_it_is_made_once_and_the_next_gets_a_new_one() -> None:
    begun, go, made_so_far = threading.Barrier(2), threading.Event(), [0]

    def make() -> int:
        made_so_far[0] += 1
        if made_so_far[0] == 1:
            begun.wait(30)
            go.wait(30)
        return made_so_far[0]

    flight = SingleFlight(make)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(flight)
        begun.wait(30)
        others = [pool.submit(flight) for _ in range(8)]
        time.sleep(0.1)  # they are on their way; one that comes later still would only make this test easier
        go.set()
        assert first.result() == 1
        assert {other.result() for other in others} <= {1, 2}
    assert flight() == made_so_far[0]


def test_a_failure_of_the_one_who_makes_it_reaches_everybody_and_is_over_then() -> None:
    outcomes: list[Exception | int] = [Unreachable("no"), 3]

    def make() -> int:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    flight = SingleFlight(make)
    with pytest.raises(Unreachable):
        flight()
    assert flight() == 3


def test_of_two_samples_with_the_same_labels_the_first_is_told() -> None:
    (family,) = families((LEVEL,), [LEVEL(1, "north"), LEVEL(2, "north"), LEVEL(3, "south")])
    assert [(sample.labels["tank"], sample.value) for sample in family.samples] == [("north", 1), ("south", 3)]


def test_a_sample_needs_exactly_its_labels() -> None:
    with pytest.raises(AssertionError, match="tank"):
        LEVEL(1)


@pytest.mark.parametrize("path", sorted(Path("ops/exporter/queries").glob("*.sql")), ids=lambda path: path.stem)
def test_every_query_is_there_and_says_what_it_is_for(path: Path) -> None:
    assert query(path.stem).startswith("-- ")


def test_names_follow_the_rules_of_prometheus() -> None:
    metrics = [metric for collector in HOST_COLLECTORS for metric in collector.metrics]
    assert len({metric.name for metric in metrics}) == len(metrics)
    for metric in metrics:
        assert metric.name.startswith("ops_")
        assert metric.name.endswith("_total") == (metric.type == "counter")
        assert metric.help.endswith(".")


# -- totals of statements ------------------------------------------------------------------------------------

OWNER = ("app", "app")


def test_a_statement_that_is_forgotten_takes_nothing_from_the_total() -> None:
    totals = Totals()
    totals.look({(OWNER, 1): Counts(10, 5.0, 20), (OWNER, 2): Counts(1, 0.1, 1)})
    totals.look({(OWNER, 2): Counts(3, 0.3, 3)})
    assert totals.sums[OWNER].calls == 13
    totals.look({(OWNER, 1): Counts(4, 1.0, 4), (OWNER, 2): Counts(3, 0.3, 3)})
    assert totals.sums[OWNER].calls == 17, "what came back is counted from its new beginning"


def test_calls_are_slow_where_they_took_a_second_on_average_since_the_last_look() -> None:
    totals = Totals()
    totals.look({(OWNER, 1): Counts(1000, 10.0, 0)})
    totals.look({(OWNER, 1): Counts(1002, 14.0, 0)})
    totals.look({(OWNER, 1): Counts(1102, 15.0, 0)})
    assert totals.sums[OWNER].slow == 2


@given(st.lists(st.dictionaries(st.integers(0, 3), st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=4)))
def test_totals_never_shrink(looks: list[dict[int, tuple[int, int]]]) -> None:
    totals, before = Totals(), Counts()
    for look in looks:
        # Time and rows cannot shrink while the calls of the same statement grow: made so here.
        totals.look({(OWNER, key): Counts(calls, calls * 0.5, calls * rows) for key, (calls, rows) in look.items()})
        now = totals.sums.get(OWNER, Counts())
        assert now.calls >= before.calls
        assert now.seconds >= before.seconds
        before = now


# -- logins and files ----------------------------------------------------------------------------------------


def test_a_login_is_admitted_by_its_own_password_alone() -> None:
    users = login.parse(f"# who may look\n\nanna:{login.verifier('right', b'salt of anna')}\n")
    assert login.admits(users, "anna", "right")
    assert not login.admits(users, "anna", "wrong")
    assert not login.admits(users, "anna", "")
    assert not login.admits(users, "berta", "right")
    assert not login.admits({}, "berta", "")


def test_a_verifier_does_not_contain_its_password_and_is_the_same_for_the_same_salt() -> None:
    kept = login.verifier("a secret", b"salt")
    assert "a secret" not in kept
    assert kept == login.verifier("a secret", b"salt") != login.verifier("a secret", b"another")


@pytest.mark.parametrize("line", ["anna", "anna:secret", ":scrypt$1$1$1$aa$aa", "anna:scrypt$x$8$1$aa$aa"])
def test_a_line_that_is_no_login_is_named_by_its_number(line: str) -> None:
    with pytest.raises(ValueError, match="line 2"):
        login.parse(f"# logins\n{line}\n")


def test_a_file_is_read_again_when_it_changes_and_kept_when_it_breaks(tmp_path: Path) -> None:
    file, said = tmp_path / "number", list[str]()
    file.write_text("1")
    fresh = Fresh((file,), lambda: int(file.read_text()), said.append)
    assert fresh() == 1
    file.write_text("22")
    assert fresh() == 22
    file.write_text("not one")
    assert (fresh(), fresh()) == (22, 22)
    assert sum("keeping" in text for text in said) == 1
    file.write_text("4444")
    assert fresh() == 4444
