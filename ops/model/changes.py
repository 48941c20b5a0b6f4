"""What a deploy would change: the plan of it, told from what the operations of every host said while being prepared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ops.model.impact import Impact


@dataclass(frozen=True)
class Change:
    """One change on one host, and what it does to what runs there.

    `carries` names the cluster whose declaration this is a file of: such a file changes nothing by itself, and what
    it brings about is a change of its own. `settles` names the cluster that a change brings to its declaration.
    """

    host: str
    service: str
    what: str
    impacts: tuple[Impact, ...] = (Impact.NONE,)
    carries: str | None = None
    settles: str | None = None


@dataclass(frozen=True)
class Planned:
    """The same change on all the hosts where it would be made."""

    service: str
    what: str
    impacts: tuple[Impact, ...]
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What a deploy would do, in its order. `failures`: the hosts that could not be asked, and why."""

    changes: tuple[Planned, ...]
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def impacts(self) -> tuple[Impact, ...]:
        """Everything that the deploy would do to what runs, the mildest first; empty where it does nothing to it."""
        found = {impact for change in self.changes for impact in change.impacts}
        return tuple(impact for impact in Impact if impact in found and impact is not Impact.NONE)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that would change."""
        return tuple(dict.fromkeys(host for change in self.changes for host in change.hosts))


def plan(found: Sequence[Change], failures: dict[str, str]) -> Plan:
    """The plan of `found`, which is in the order of the deploy: equal changes of several hosts are one."""
    hosts: dict[tuple[str, str, tuple[Impact, ...]], list[str]] = {}
    for change in listed(found):
        hosts.setdefault((change.service, change.what, change.impacts), []).append(change.host)
    changes = tuple(Planned(*key, hosts=tuple(dict.fromkeys(names))) for key, names in hosts.items())
    return Plan(changes, failures)


def listed(found: Sequence[Change]) -> list[Change]:
    """Without the files that only carry a declaration to a cluster which is told of it anyway."""
    settled = {change.settles for change in found if change.settles}
    return [change for change in found if change.carries is None or change.carries not in settled]


def in_words(impacts: Iterable[Impact]) -> str:
    """`restart, switchover`"""
    return ", ".join(impacts)
