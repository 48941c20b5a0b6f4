"""What the journals of clients tell: gaps, what was promised, and whether two primaries acknowledged at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.model.journal import (
    Client,
    Entry,
    errors,
    kind,
    late,
    longest_gap,
    longest_wait,
    pulse,
    rows,
    successor,
)

OLD, NEW = "10.0.0.1 since 100", "10.0.0.2 since 200"
WRITER = Client("write", "write", "steady")
STRAIGHT = Client("direct", "direct", "steady")
READER = Client("read", "read", "steady", writes=False)


def acknowledged(number: int, done: float, server: str = OLD) -> Entry:
    return Entry(number, done - 0.01, done, server)


def refused(number: int, done: float, error: str = "57P01") -> Entry:
    return Entry(number, done - 0.01, done, error=error)


def test_a_gap_is_between_two_acknowledgements_whatever_was_refused_meanwhile() -> None:
    entries = [acknowledged(1, 1.0), refused(2, 2.0), acknowledged(3, 5.0), acknowledged(4, 5.5)]
    assert longest_gap(entries, 6.0) == (1.0, 5.0)


def test_a_client_that_is_never_answered_again_has_a_gap_to_the_end() -> None:
    assert longest_gap([acknowledged(1, 1.0), acknowledged(2, 2.0), refused(3, 8.0)], 9.0) == (2.0, 9.0)


def test_who_was_never_answered_has_no_gap() -> None:
    assert longest_gap([refused(1, 2.0)], 9.0) is None


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0, 200))
def test_no_two_acknowledgements_are_further_apart_than_the_gap(moments: list[float], end: float) -> None:
    gap = longest_gap([acknowledged(i, moment) for i, moment in enumerate(moments)], end)
    assert gap
    start, stop = gap
    assert all(moment <= start or moment >= stop for moment in moments)
    assert start in moments
    assert stop in (*moments, end)


def test_a_statement_that_is_still_waited_for_counts_as_waited_for_to_the_end() -> None:
    assert longest_wait([Entry(1, 1.0, 1.5, OLD), Entry(2, 2.0, None)], 7.0) == 5.0


def test_only_rows_that_were_acknowledged_are_promised() -> None:
    journals = {
        WRITER: [acknowledged(1, 1.0), refused(2, 2.0), Entry(3, 3.0, None)],
        READER: [acknowledged(1, 1.0)],
    }
    assert rows(journals) == {("write", 1)}


def test_the_successor_is_another_server_than_any_that_wrote_before_the_fault() -> None:
    journals = {
        WRITER: [acknowledged(1, 1.0), acknowledged(2, 6.0, NEW)],
        STRAIGHT: [acknowledged(1, 1.2), acknowledged(2, 5.5, NEW)],
        READER: [acknowledged(1, 1.3, NEW)],  # a replica answers reads all along
    }
    assert successor(journals, fault=2.0) == 5.5
    assert late(journals, fault=2.0) == 0


def test_a_restarted_server_at_the_same_address_is_another_one() -> None:
    journals = {WRITER: [acknowledged(1, 1.0), acknowledged(2, 6.0, "10.0.0.1 since 300")]}
    assert successor(journals, fault=2.0) == 6.0


def test_rows_that_the_old_primary_acknowledges_beside_the_new_one_are_counted() -> None:
    journals = {
        WRITER: [acknowledged(1, 1.0), acknowledged(2, 5.0, NEW)],
        STRAIGHT: [acknowledged(1, 1.0), acknowledged(2, 4.9), acknowledged(3, 5.1), acknowledged(4, 5.2)],
    }
    assert late(journals, fault=2.0) == 2


def test_nothing_is_late_while_nobody_has_taken_over() -> None:
    assert late({WRITER: [acknowledged(1, 1.0), acknowledged(2, 9.0)]}, fault=2.0) == 0


@given(st.lists(st.floats(2.1, 50), max_size=20), st.floats(2.1, 50))
def test_an_acknowledgement_of_the_old_primary_is_late_exactly_when_it_comes_after_the_new_ones_first(
    moments: list[float], first: float
) -> None:
    journals = {
        WRITER: [acknowledged(1, 1.0), acknowledged(2, first, NEW)],
        STRAIGHT: [acknowledged(i, moment) for i, moment in enumerate(moments)],
    }
    assert late(journals, fault=2.0) == len([moment for moment in moments if moment > first])


@given(st.lists(st.floats(0, 99.9)))
def test_the_pulse_counts_every_acknowledgement_once(moments: list[float]) -> None:
    beats = pulse([acknowledged(i, moment) for i, moment in enumerate(moments)], 0, 100)
    assert sum(beats) == len(moments)
    assert len(beats) == 401


@pytest.mark.parametrize(
    ("words", "called"),
    [
        ("server closed the connection unexpectedly", "connection closed"),
        ("connection failed: Connection refused\n\tIs the server running on that host?", "connection refused"),
        ("connection timeout expired", "connect timeout"),
        ("could not receive data from server: Connection timed out", "connection timed out"),
        ("connection failed: session is read-only", "no primary"),
        ("SSL SYSCALL error: EOF detected", "connection closed"),
        ("consuming input failed: SSL error: unexpected eof while reading", "connection closed"),
        ("FATAL:  the database system is starting up", "starting up"),
        ("something new", "other"),
    ],
)
def test_what_libpq_says_is_counted_by_what_happened(words: str, called: str) -> None:
    assert kind(None, words) == called


def test_an_sqlstate_says_more_than_words() -> None:
    assert kind("57P01", "server closed the connection unexpectedly") == "57P01"


def test_errors_are_counted_the_most_frequent_first() -> None:
    entries = [refused(1, 1, "a"), refused(2, 2, "b"), refused(3, 3, "b"), acknowledged(4, 4)]
    assert list(errors(entries).items()) == [("b", 2), ("a", 1)]
