"""Which materialized views are due. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class View:
    """A materialized view: how old it may be, and what it shows is as of when."""

    name: str
    every: timedelta
    refreshed_at: datetime


def due(views: Iterable[View], now: datetime, slack: timedelta = timedelta(seconds=30)) -> list[View]:
    """The views that are too old, or will be within `slack`, the one that is most overdue first.

    The slack keeps a timer from finding a view a second too young, and leaving it until it fires again.
    """
    late = [view for view in views if view.refreshed_at + view.every <= now + slack]
    return sorted(late, key=lambda view: (view.refreshed_at + view.every, view.name))
