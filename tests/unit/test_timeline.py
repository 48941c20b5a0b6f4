"""Timeline histories, as PostgreSQL writes them."""

from __future__ import annotations

import pytest

from ops.model.lsn import LSN
from ops.model.timeline import Ancestor, History

TEXT = """# a comment
1\t0/3000060\tno recovery target specified

2\t0/5000100\tbefore 2026-11-21 10:53:00+00
"""


@pytest.fixture
def history() -> History:
    return History.parse(3, TEXT)


def test_the_ancestors_are_read_in_order(history: History) -> None:
    assert history == History(3, (Ancestor(1, LSN(0x3000060)), Ancestor(2, LSN(0x5000100))))


@pytest.mark.parametrize(
    ("lsn", "timeline"),
    [("0/0", 1), ("0/300005F", 1), ("0/3000060", 2), ("0/50000FF", 2), ("0/5000100", 3), ("FF/0", 3)],
)
def test_each_position_was_written_on_one_timeline(history: History, lsn: str, timeline: int) -> None:
    assert history.timeline_at(LSN.parse(lsn)) == timeline


def test_a_timeline_is_part_of_it_up_to_where_it_was_left(history: History) -> None:
    assert history.contains(1, LSN.parse("0/3000060"))
    assert not history.contains(1, LSN.parse("0/3000061"))
    assert history.contains(3, LSN.parse("FF/0"))
    assert not history.contains(4, LSN(0))
    assert history.left_at(2) == LSN.parse("0/5000100")
    assert history.left_at(3) is None
    with pytest.raises(KeyError):
        history.left_at(4)


def test_the_first_timeline_has_no_ancestors() -> None:
    assert History(1).timeline_at(LSN(0)) == 1
    assert History.parse(1, "") == History(1)


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "one\t0/3000060\t",
        "1\tnowhere\t",
        "2\t0/1\t\n1\t0/2\t",
        "1\t0/1\t\n1\t0/2\t",
        "3\t0/3000060\titself",
        "4\t0/3000060\ta descendant",
    ],
)
def test_what_is_no_history_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        History.parse(3, text)
