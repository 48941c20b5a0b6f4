"""From fault to page: break something in the lab, see who is told of it and when, mend it, see that it is told too.

FAULTS are what can be broken: a context manager each, which breaks on the way in and mends on the way out. The lab is
otherwise left alone: what pages beside the one alert that a fault is for is somebody woken for nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from ops.deploys.inventory import Inventory
from ops.deploys.settings.monitoring import Webhook
from ops.errors import OpsError, UsageError
from ops.lab import breakage
from ops.lab.breakage import Scene
from ops.lab.commands import eventually
from ops.lab.pager import Notice, Pager

PAGES, TICKETS = "pages", "tickets"


@dataclass(frozen=True)
class Fault:
    """`alert`: what somebody is to be paged with. `within` and `over`: seconds until that, and from the mending until
    it is over, at the very most."""

    name: str
    alert: str
    broken: Callable[[Scene], AbstractContextManager[None]]
    within: float = 300
    over: float = 300


# The times follow from the rules: how long each waits (`for`), and over what time it looks back.
FAULTS = (
    Fault("primary's host killed", "InstanceDown", breakage.primary_killed),
    Fault("replica cut off from its primary", "ReplicaDisconnected", breakage.replica_cut_off),
    Fault("archive out of reach of the primary", "ArchiverFailing", breakage.archive_broken, within=600, over=600),
    Fault("segment deleted from the store", "WalGap", breakage.segment_deleted, within=600),
    Fault("backup too old", "BackupTooOld", breakage.backup_too_old, within=900),
    Fault("drill failed", "DrillFailed", breakage.drill_failed, within=600),
    Fault("certificate about to expire", "CertificateExpiry", breakage.certificate_expiring, within=600, over=600),
    Fault("Redis master killed", "RedisDown", breakage.redis_master_killed),
)


@dataclass(frozen=True)
class Outcome:
    """Seconds from the fault to its page, and from the mending to the word that it is over; None: it never came.
    `others`: what else paged, and who was told of it for nothing."""

    fault: Fault
    paged: float | None
    cleared: float | None
    others: tuple[str, ...]
    tickets: tuple[str, ...]

    @property
    def as_it_should_be(self) -> bool:
        return self.paged is not None and self.cleared is not None and not self.others


def pager_of(inventory: Inventory) -> Pager:
    """A pager at the address that the inventory's receiver of pages has."""
    monitoring = inventory.monitoring()
    receivers = [monitoring.receivers[name] for name in monitoring.pages]
    for receiver in receivers:
        if isinstance(receiver, Webhook) and receiver.url:
            address = urlsplit(receiver.url)
            return Pager((address.hostname or "", address.port or 80))
    raise UsageError(f"{inventory.path}: no webhook is told of pages, so there is nothing to listen as")


def try_out(faults: Sequence[Fault], scene: Scene, pager: Pager) -> list[Outcome]:
    """Break, wait for the pages, mend, wait for their ends. OpsError where the lab is not well before.

    Several faults are broken in their order, and mended in the opposite one; to each only a page counts as foreign that
    is of none of them.
    """
    wait_for_quiet(scene)
    started = time.monotonic()
    with ExitStack() as stack:
        began = dict[Fault, float]()
        for fault in faults:
            stack.enter_context(fault.broken(scene))
            began[fault] = time.monotonic()
        pages = {fault: _page(fault, pager, started, began[fault] + fault.within) for fault in faults}
        mending = time.monotonic()
    ends = {fault: _end(page, pager, time.monotonic() + fault.over) for fault, page in pages.items() if page}
    with suppress(OpsError):  # who is still unwell then is in the way of the next fault, and not of this one's verdict
        wait_for_quiet(scene)
    told = [n for n in pager.notices(PAGES, since=started) if n.firing]
    others = tuple(dict.fromkeys(str(n) for n in told if n.alert not in {fault.alert for fault in faults}))
    tickets = tuple(dict.fromkeys(str(n) for n in pager.notices(TICKETS, since=started) if n.firing))

    def seconds(notice: Notice | None, since: float) -> float | None:
        return notice.at - since if notice else None

    return [
        Outcome(fault, seconds(pages[fault], began[fault]), seconds(ends.get(fault), mending), others, tickets)
        for fault in faults
    ]


def _page(fault: Fault, pager: Pager, since: float, until: float) -> Notice | None:
    eventually(
        lambda: pager.first(PAGES, fault.alert, since=since) is not None, deadline=until - time.monotonic(), every=0.2
    )
    return pager.first(PAGES, fault.alert, since=since)


def _end(page: Notice, pager: Pager, until: float) -> Notice | None:
    """The word that it is over."""

    def found() -> Notice | None:
        same = (n for n in pager.notices(PAGES, since=page.at) if not n.firing)
        return next((n for n in same if (n.alert, n.labels) == (page.alert, page.labels)), None)

    eventually(lambda: found() is not None, deadline=until - time.monotonic(), every=0.2)
    return found()


def wait_for_quiet(scene: Scene, *, deadline: float = 600) -> None:
    """Until nothing pages and nothing is about to. OpsError with what does where that does not come about."""
    if not eventually(lambda: not scene.pages(), deadline=deadline, every=2):
        raise OpsError(
            "the lab is not quiet: something pages before anything was broken",
            detail="\n".join(scene.pages()),
            hint="Mend that first: ops status",
        )
