"""A rolling restart, driven from any member through Patroni's API. What comes next: ops/model/rolling.py."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ops.config import Config
from ops.errors import OpsError, Unreachable
from ops.model.impact import Impact
from ops.model.rolling import Node, Reason, Restart, Step, Stop, Switchover, Wait, next_step
from ops.postgres import members
from ops.postgres.declared import Difference
from ops.postgres.patroni import Patroni
from ops.postgres.switchover import switch

START_TIMEOUT = 60  # seconds that one server may take to accept connections


def pending(config: Config, patroni: Patroni) -> list[Difference]:
    """Who is due for a restart, and what that does to the cluster."""
    nodes = members.look(config, patroni)
    with_others = (Impact.RESTART, Impact.SWITCHOVER) if len(nodes) > 1 else (Impact.RESTART,)
    return [
        Difference(f"{node.name}: {reason.what}", with_others if node.leads else (Impact.RESTART,))
        for node in nodes
        for reason in sorted(node.reasons)
    ]


@dataclass
class Rolling:
    """One run. `made` hears of each step after it, `note` of what is waited for or under way.

    `wait`: seconds that one step may take to settle. `done` says in words what was done, also where it stopped.
    """

    config: Config
    patroni: Patroni
    wait: float
    allow_interruption: bool
    made: Callable[[str], None]
    note: Callable[[str], None]
    done: list[str] = field(default_factory=list)
    _tried: dict[str, frozenset[Reason]] = field(default_factory=dict)
    _nodes: list[Node] = field(default_factory=list)

    def run(self) -> list[str]:
        """Restart every member that is due, one at a time; OpsError at the first step without a good end."""
        while step := self._next():
            self.note(str(step))
            try:
                self.done.append(self._carry_out(step))
            except OpsError as error:
                raise self._stopped(f"{step}: {error.message}", error.detail or "") from error
            self.made(self.done[-1])
            name = step.name if isinstance(step, Restart) else step.old
            self._tried[name] = self._tried.get(name, frozenset()) | step.reasons
        return self.done

    def _next(self) -> Restart | Switchover | None:
        """The next step, once the one before has settled."""
        deadline = time.monotonic() + self.wait
        while isinstance(step := self._look(), Wait):
            if time.monotonic() > deadline:
                raise self._stopped(f"waited {self.wait:.0f} s: {step.what}")
            self.note(step.what)
            time.sleep(0.5)
        if isinstance(step, Stop):
            raise self._stopped(step.message, step.hint)
        return step

    def _look(self) -> Step | None:
        try:
            self._nodes = members.look(self.config, self.patroni)
        except Unreachable as error:  # while a server is restarted a question may fail: then we ask again
            return Wait(f"{error.message}: {error.detail or ''}")
        return next_step(self._nodes, self._tried, allow_interruption=self.allow_interruption)

    def _carry_out(self, step: Restart | Switchover) -> str:
        by_name = {member.name: member for member in self.patroni.members()}
        start = time.monotonic()
        if isinstance(step, Switchover):
            switched = switch(self.config, self.patroni, by_name[step.old])
            return f"{step}; {switched.new} leads, after {switched.seconds:.1f} s without a primary"
        self.patroni.at(by_name[step.name]).restart("primary" if step.interrupts else "replica", START_TIMEOUT)
        return f"{step}, {time.monotonic() - start:.1f} s"

    def _stopped(self, message: str, hint: str = "") -> OpsError:
        due = [f"{node.name} is still due: {reason.what}" for node in self._nodes for reason in sorted(node.reasons)]
        return OpsError(
            f"the rolling restart stopped: {message}",
            detail="\n".join([*(f"done: {what}" for what in self.done), *due]),
            hint=f"{hint or 'Look there: journalctl -u patroni.'} Then run it again: it goes on where it stopped.",
        )
