"""What the operations of a host say of themselves while a deploy is prepared: for `ops plan`, `ops drift`, `--dry`.

pyinfra knows whether an operation would change something, not what that does to what runs; and a service whose file
this very deploy would write must be seen to be restarted before the file is there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from pyinfra import state
from pyinfra.api.host import Host
from pyinfra.context import ctx_host

from ops.model.impact import Impact


@dataclass(frozen=True)
class Mark:
    """One thing that an operation would do; `what` instead of the operation's name, where it knows better.

    `settles` names the cluster that it brings to its declaration. `live`: a live check of `ops drift` sees it too.
    """

    impacts: tuple[Impact, ...]
    what: str | None = None
    settles: str | None = None
    live: bool = False


@dataclass(frozen=True)
class OurFile:
    """How a file that we write should be, apart from its contents."""

    user: str
    mode: str


@dataclass
class Marks:
    """Of one host, in one run."""

    by_operation: dict[str, list[Mark]] = field(default_factory=dict)  # the operation's hash -> what it would do
    following: dict[str, list[Mark]] = field(default_factory=dict)  # the operation's name -> what comes of it later
    carriers: dict[str, str] = field(default_factory=dict)  # the operation's name -> whose declaration it writes
    files: dict[str, OurFile] = field(default_factory=dict)  # every file that we write
    written: set[str] = field(default_factory=set)  # those that this run would write
    started: set[str] = field(default_factory=set)  # units that this run would start
    outdated: dict[str, set[str]] = field(default_factory=dict)  # units that run with older ones of these files
    checks: set[str] = field(default_factory=set)  # operations that only look at what another is to write
    unanswered: list[str] = field(default_factory=list)  # what could not be found out, and why
    units: dict[str, tuple[str, ...]] = field(default_factory=dict)  # every unit that we run, with its files

    @property
    def everything(self) -> list[Mark]:
        """All that the host's operations have said, in their order."""
        return [mark for of_operation in self.by_operation.values() for mark in of_operation]


_of_hosts: WeakKeyDictionary[Host, Marks] = WeakKeyDictionary()  # a run has hosts of its own


def marks(host: Host | None = None) -> Marks:
    """Those of `host`; without one, of the host that is being prepared."""
    return _of_hosts.setdefault(host or ctx_host.get(), Marks())


def preparing() -> bool:
    """Whether hosts are being looked at, not yet changed."""
    return not state.is_executing


def mark(*impacts: Impact, what: str | None = None, settles: str | None = None, live: bool = False) -> None:
    """Called by an operation before its first command: what it is about to do to what runs."""
    host = ctx_host.get()
    if preparing() and host.current_op_hash:
        marks().by_operation.setdefault(host.current_op_hash, []).append(Mark(impacts, what, settles, live))


def follows(name: str, mark: Mark) -> None:
    """What comes of the operation called `name`, beside what it does itself."""
    if preparing():
        marks().following.setdefault(name, []).append(mark)


def unanswered(what: str) -> None:
    """Called by an operation that cannot tell whether it would change anything, although it should."""
    if preparing():
        marks().unanswered.append(what)


def only_checks() -> None:
    """Called by an operation that changes nothing by itself, such as a test of a file before it is written."""
    if preparing():
        marks().checks.add(ctx_host.get().current_op_hash or "")


def our_file(path: str, user: str, mode: str) -> None:
    """Called by an operation that sees to the file `path`."""
    if preparing():
        marks().files[path] = OurFile(user, mode)


def would_write(path: str) -> None:
    """Called by an operation that is about to write `path`."""
    if preparing():
        marks().written.add(path)
