"""For all tests: which of them share a worker, and Ctrl-C."""

from __future__ import annotations

import signal
from pathlib import PurePosixPath

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

LAB = PurePosixPath("tests/lab")


def pytest_configure() -> None:
    """A shell ignores Ctrl-C for what it starts in the background, and so would all that tests start and interrupt."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


class OneLab(LoadFileScheduling):  # type: ignore[misc]
    """The tests of a file go to one worker, which share its servers; and all of the lab's, because there is one lab."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return str(LAB) if LAB in PurePosixPath(file).parents else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneLab:
    return OneLab(config, log)
