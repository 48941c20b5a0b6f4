"""Preparing a deploy without making it: every host is looked at as `pyinfra` would, and nothing is changed.

Importing pyinfra_cli makes this process's sockets and threads cooperative: pyinfra asks all hosts at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import TypeVar

import gevent
import pyinfra
import pyinfra_cli  # noqa: F401
from pyinfra import logger
from pyinfra.api.config import Config
from pyinfra.api.connect import connect_all, disconnect_all
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.state import State, StateStage
from pyinfra.context import ctx_config, ctx_host, ctx_state
from pyinfra_cli.inventory import make_inventory

from ops.config import nearest
from ops.deploys.inventory import Inventory, load
from ops.deploys.site import INVENTORY
from ops.deploys.wheels import PROJECT
from ops.errors import OpsError, UsageError

T = TypeVar("T")
DEPLOY = "deploy.py"


class Run:
    """Hosts that can be asked. `failures`: those that could not be, and why."""

    def __init__(self, inventory: Inventory, state: State, chosen: list[Host]) -> None:
        self.inventory, self.state, self._chosen = inventory, state, chosen
        self.failures: dict[str, str] = {}

    @property
    def hosts(self) -> list[Host]:
        """Those that have answered so far, in the inventory's order."""
        return [host for host in self._chosen if host.name not in self.failures]

    def everywhere(self, ask: Callable[[], T]) -> dict[str, T]:
        """Host name -> what `ask` returns there, all asked at once. Where it fails, the host is a failure from now on.

        Within `ask` pyinfra's `host` is the host that it is for.
        """
        runs = {host: gevent.spawn(self._ask, host, ask) for host in self.hosts}
        gevent.joinall(runs.values())
        return {host.name: run.value for host, run in runs.items() if host.name not in self.failures}

    def _ask(self, host: Host, ask: Callable[[], T]) -> T | None:
        with ctx_config.use(self.state.config.copy()), ctx_host.use(host):
            try:
                return ask()
            except Exception as error:  # whatever stops one host, the others are still looked at
                known = isinstance(error, PyinfraError | OpsError)
                self.failures.setdefault(host.name, str(error) if known else f"{type(error).__name__}: {error}")
                return None


@contextmanager
def prepared(path: Path, limit: tuple[str, ...] = ()) -> Iterator[Run]:
    """Connect to the hosts of an inventory and prepare deploy.py for each. Disconnected at the end.

    `limit` are hosts or groups, as for pyinfra's `--limit`. UsageError for an inventory that has mistakes.
    """
    with connected(path, limit) as run:
        deploy = compile((PROJECT / DEPLOY).read_text(), DEPLOY, "exec")
        run.everywhere(lambda: exec(deploy, {}))  # noqa: S102  as pyinfra runs it: once for each host
        yield run


@contextmanager
def connected(path: Path, limit: tuple[str, ...] = ()) -> Iterator[Run]:
    """The same without preparing anything: hosts that can be asked."""
    inventory, state = load(path.resolve()), State()
    pyinfra.is_cli = True  # operations of several hosts are the same where they stand in the same line of deploy.py
    state.cwd, state.current_deploy_filename = str(PROJECT), DEPLOY
    with ctx_state.use(state):
        state.init(make_inventory(str(inventory.path / "hosts.py"), {INVENTORY: inventory.path}), Config())
        run = Run(inventory, state, _chosen(state, inventory, limit))
        words = _Words(run.failures)
        logger.addHandler(words)
        try:
            _connect(run)
            state.set_stage(StateStage.Prepare)
            yield run
        finally:
            logger.removeHandler(words)
            disconnect_all(state)


def _chosen(state: State, inventory: Inventory, limit: tuple[str, ...]) -> list[Host]:
    for name in limit:
        known = [*inventory.groups, *inventory.hosts]
        if not any(fnmatch(one, name) for one in known):
            guess = nearest(name, known)
            raise UsageError(
                f"{inventory.path}/hosts.py has no host or group {name!r}"
                + (f"; did you mean {guess!r}?" if guess else "")
            )
    return [
        host
        for host in state.inventory
        if not limit or any(fnmatch(one, name) for name in limit for one in (host.name, *host.groups))
    ]


def _connect(run: Run) -> None:
    state = run.state
    state.limit_hosts = run.hosts
    state.set_stage(StateStage.Connect)
    with suppress(PyinfraError):  # raised when no host is left; each of them is a failure by then
        connect_all(state)
    for host in state.failed_hosts:
        run.failures.setdefault(host.name, "could not connect")


class _Words(logging.Handler):
    """What pyinfra complains of, by host: it raises no exception for a host that fails, it logs it."""

    def __init__(self, failures: dict[str, str]) -> None:
        super().__init__(logging.ERROR)
        self._failures = failures

    def emit(self, record: logging.LogRecord) -> None:
        host, _, text = record.getMessage().removeprefix("[").partition("] ")
        if text:
            self._failures.setdefault(host, text.strip())
