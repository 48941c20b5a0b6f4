"""The course of a drill, from calm to calm with the fault between, and the moments that its report is made of."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from ops.errors import OpsError
from ops.failover.clients import Running
from ops.failover.faults import Fault, Victim
from ops.failover.insider import Insider
from ops.failover.watch import Watch
from ops.model.failover import Leadership, Moments
from ops.model.journal import Journals, successor

CALM = 2.0  # seconds of undisturbed clients before the fault, and again after all is well
ALONE = 3.0  # seconds that a fault which is to be repaired lasts beyond the election
LEADER_WITHIN = 90.0
REDUNDANCY_WITHIN = 120.0  # after the repair, or the election where there is nothing to repair


class Listener(Protocol):
    """Who is told how far a drill is."""

    def step(self, title: str) -> AbstractContextManager[None]:
        """Entered when a step begins, left when it ends."""

    def note(self, text: str) -> None:
        """How far the step is."""

    def say(self, text: str) -> None:
        """Something that a person should know."""


class Course:
    """Moments are of the monotonic clock; None until they come. `error`: what ended it before its time."""

    def __init__(self, fault: Fault, victim: Victim, watch: Watch, before: Leadership, listener: Listener) -> None:
        self._fault, self._victim, self._watch, self._before = fault, victim, watch, before
        self._listener = listener
        self.began = self.fault = self.ended = time.monotonic()
        self.elected: float | None = None
        self.repaired: float | None = None
        self.redundant: float | None = None
        self.after: Leadership | None = None
        self.error = ""

    def run(self, clients: Sequence[Running], beside: Insider | None) -> None:
        """Break it, and see it mended. Whatever happens, Ctrl-C included, the host is brought back."""
        self.began = time.monotonic()
        with self._listener.step(f"{len(clients)} clients write and read"):
            time.sleep(CALM)
        try:
            with self._repaired_in_any_case():
                self._break_it()
                for client in clients:
                    client.wake()
            with self._listener.step("wait until the new primary is as redundant as the old one was"):
                self._await_redundancy()
            if beside:
                beside.fetch()
            time.sleep(CALM)
        except OpsError as error:
            self.error = f"{error.message}: {error.detail}" if error.detail else error.message
        self.ended = time.monotonic()

    def moments(self, journals: Journals) -> Moments:
        """Everything in seconds after the fault."""

        def after(moment: float | None) -> float | None:
            return None if moment is None else round(moment - self.fault, 3)

        return Moments(
            began=round(self.began - self.fault, 3),
            elected=after(self.elected),
            written=after(successor(journals, self.fault)),
            repaired=after(self.repaired),
            redundant=after(self.redundant),
            ended=round(self.ended - self.fault, 3),
        )

    def _break_it(self) -> None:
        name = self._victim.name
        with self._listener.step(f"{self._fault.name} of {name}: {self._fault.what}"):
            self.fault = time.monotonic()
            self._fault.inject(self._victim)
        with self._listener.step("wait for another primary"):
            seen = self._watch.wait(lambda now: now.leader != name, deadline=LEADER_WITHIN, note=self._listener.note)
            self.elected, self.after = time.monotonic() if seen else None, seen
        if self._fault.repair:
            time.sleep(ALONE)

    @contextmanager
    def _repaired_in_any_case(self) -> Iterator[None]:
        try:
            yield
        finally:
            if self._fault.repair:
                with self._listener.step(f"bring {self._victim.name} back"):
                    self._fault.repair(self._victim)
                self.repaired = time.monotonic()

    def _await_redundancy(self) -> None:
        def is_back(now: Leadership) -> bool:
            self.after = now
            return now.redundancy.covers(self._before.redundancy)

        seen = self._watch.wait(is_back, deadline=REDUNDANCY_WITHIN, note=self._listener.note)
        self.redundant = time.monotonic() if seen else None
