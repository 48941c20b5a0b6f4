"""The first line of deploy.py: every host is looked at, and what is wrong anywhere is said before anything changes.

What counts as wrong is decided in ops/model/preflight.py; here are the questions, and what each service needs.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from weakref import WeakKeyDictionary

import gevent
from pyinfra import host, logger
from pyinfra.api.exceptions import DeployError
from pyinfra.api.host import Host as Connected
from pyinfra.api.state import State
from pyinfra.context import ctx_host, ctx_state

from ops.deploys.connection import without_delay
from ops.deploys.inventory import Inventory
from ops.deploys.needs import needs
from ops.deploys.run import connected
from ops.deploys.site import INVENTORY, Host, authority
from ops.deploys.survey import look
from ops.deploys.wheels import BUILT_FOR
from ops.model.preflight import CHECKS, Facts, Fleet, Report, in_lines, judge

IGNORE = "ignore_preflight"  # pyinfra --data ignore_preflight=etcd,clocks: what the deploy itself is to put right
REFUSAL = "the fleet is not fit for a deploy, and nothing has been changed; `ops preflight` says why without a deploy"

_reports: WeakKeyDictionary[State, Report] = WeakKeyDictionary()
_one_at_a_time = threading.Lock()


def preflight(this: Host) -> Host:
    """This host in its site, without what this deploy has to leave out. DeployError where the fleet is not fit for one.

    pyinfra prepares its hosts side by side: the first that comes here looks at all of them, and the others wait.
    """
    run = ctx_state.get()
    with _one_at_a_time:
        if run not in _reports:
            _reports[run] = _look_at_all(this, run)
            _say(_reports[run])
    report = _reports[run]
    if report.problems and not host.data.get(INVENTORY):  # `ops plan` and `ops drift` change nothing: they may look
        raise DeployError(REFUSAL)
    return replace(this, inventory=this.inventory.without(report.left_out))


def _say(report: Report) -> None:
    """Once for all hosts, in pyinfra's own log."""
    for log, title, findings in (
        (logger.warning, "Preflight: warnings", report.warnings),
        (logger.error, "Preflight: problems", report.problems),
    ):
        if findings:
            log("\n".join([f"--> {title}", *in_lines(findings), ""]))


def check(path: Path, limit: tuple[str, ...] = ()) -> Report:
    """The same without a deploy: the verdict on the inventory at `path`, with the hosts that do not answer."""
    with connected(path, limit) as run:
        facts = run.everywhere(lambda: survey(run.inventory, ctx_host.get()))
        return report(run.inventory, facts, run.failures)


def _look_at_all(this: Host, run: State) -> Report:
    asked = {one: gevent.spawn(survey, this.inventory, one) for one in run.active_hosts}
    gevent.joinall(asked.values(), raise_error=True)
    facts = {one.name: greenlet.value for one, greenlet in asked.items()}
    return report(this.inventory, facts, {}, _ignored())


def _ignored() -> Collection[str]:
    names = [name for name in str(host.data.get(IGNORE) or "").split(",") if name]
    if unknown := [name for name in names if name not in CHECKS]:
        raise DeployError(f"{IGNORE}: there is no check {unknown[0]!r}; there are {', '.join(CHECKS)}")
    if "platform" in names:  # its Python could not load what is compiled here
        raise DeployError(f"{IGNORE}: platform cannot be ignored; use a controller that is like its hosts")
    if "authority" in names:  # a deploy can only make it worse: it would put the wrong CA on every host
        raise DeployError(f"{IGNORE}: authority cannot be ignored; restore the site's CA from your copy")
    return names


def survey(inventory: Inventory, connected: Connected) -> Facts:
    """What one host shows."""
    without_delay(connected)
    with ctx_host.use(connected):
        return look(connected, needs(inventory, connected.name), etcd=inventory.is_in(connected.name, "etcd"))


def report(
    inventory: Inventory, facts: dict[str, Facts], unreachable: dict[str, str], ignore: Collection[str] = ()
) -> Report:
    """The verdict on a site, from what its hosts have shown."""
    ca = authority(inventory.site.pki, inventory.site.name)
    fleet = Fleet(
        now=datetime.now(UTC),
        platform=BUILT_FOR,
        ca=ca.ca,
        ca_expires=ca.expires,
        needs={name: needs(inventory, name) for name in inventory.hosts},
        facts={name: facts[name] for name in inventory.hosts if name in facts},
        unreachable=unreachable,
        etcd=inventory.groups.get("etcd", ()),
        clusters={cluster: inventory.groups[cluster] for cluster in inventory.clusters},
        zones={zone: tuple(hosts) for zone, hosts in inventory.site.zones.items()},
    )
    return judge(fleet, ignore)
