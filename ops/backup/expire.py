"""Letting go of what a repository need not keep any more, in two phases: condemned first, removed after a grace.

What is removed is decided anew in each run, from what the store lists then: a tombstone only says since when. Manifests
go first, so that a run that is killed anywhere leaves no backup without its packs. Packs and WAL are left alone as soon
as a backup has begun, or ended, since the store was looked at: it may refer to what was nobody's. One expiry runs at a
time: it holds a lease of its own, beside which backups go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby

from ops.backup import catalog
from ops.backup.holdings import Surveyed, look, running
from ops.backup.lease import Lease
from ops.backup.report import Reporter, Silent
from ops.config import Retention
from ops.errors import OpsError
from ops.model.retention import Decision, Policy, decide
from ops.model.sparse import Sparse, sparse
from ops.model.tombstones import Settled, Tombstone, order, settle
from ops.store.base import AlreadyExists, Forbidden, NotFound
from ops.store.repository import Repository
from ops.wal.faults import reached

LEASE = "expire"
LOCAL_DAYS, OFFSITE_DAYS = 30, 90
_WORKERS = 8
_BATCH = 200


@dataclass
class Outcome:
    """What may go (key → reason) and stays (backup → reason), and what has become of it, by key.

    `removed` is gone; `waiting` is condemned, since when; `rescued` was, and is needed again; `refused` the store does
    not let us remove; `held_up` says why packs and WAL were left for the next run. `sizes` are bytes as stored.
    `sparse` are packs that stay for little of what is in them: the next backup does not build on them.
    """

    decision: Decision
    goes: dict[str, str]
    sizes: dict[str, int]
    waiting: dict[str, datetime] = field(default_factory=dict)
    rescued: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    refused: dict[str, Forbidden] = field(default_factory=dict)
    held_up: str | None = None
    sparse: tuple[Sparse, ...] = ()

    @property
    def pending(self) -> list[str]:
        """What may go and is still there."""
        return sorted(self.goes.keys() - set(self.removed), key=order)

    def size(self, keys: Iterable[str]) -> int:
        return sum(self.sizes.get(key, 0) for key in keys)


def policy_of(settings: Retention, *, offsite: bool) -> Policy:
    """The policy that a repository's section asks for."""
    days = settings.days if settings.days is not None else OFFSITE_DAYS if offsite else LOCAL_DAYS
    return Policy(days, settings.count, settings.monthly_years, timedelta(hours=settings.grace_hours))


def expire(
    repository: Repository,
    policy: Policy,
    now: datetime,
    *,
    dry_run: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
    reporter: Reporter | None = None,
) -> Outcome:
    """Condemn what may go, and remove what was condemned long enough ago; with `dry_run` only say so.

    Raises OpsError where a backup cannot be read: what it needs is not known, and nothing is removed. Also where
    another run is under way, or has taken this one for dead.
    """
    if dry_run:
        return _plan(repository, policy, now, progress).outcome
    with Lease(repository, LEASE, reporter or Silent()) as lease:
        plan = _plan(repository, policy, now, progress)
        plan.graves.dig(plan.tombstone)
        reached("expire-condemned")
        _Removal(repository, plan, lease, lambda: running(repository, now, policy.grace)).run()
        plan.graves.clean()
        return plan.outcome


@dataclass(frozen=True)
class _Plan:
    """What a run is to do. `needs`: what each manifest needs, by key; `tombstone` is the next one."""

    graves: _Graves
    surveyed: Surveyed
    needs: Mapping[str, Sequence[str]]
    settled: Settled
    tombstone: Tombstone
    outcome: Outcome


def _plan(repository: Repository, policy: Policy, now: datetime, progress: Callable[[int, int], None]) -> _Plan:
    graves = _Graves(repository)
    surveyed = look(repository, now, policy.grace, progress)
    decision = decide(surveyed.holdings, policy, now)
    goes, condemned = _keys(decision, surveyed), graves.last.condemned
    needs = surveyed.needs(surveyed.holdings.archive.segment_size)
    settled = settle(goes, condemned, needs, now, policy.grace)
    outcome = Outcome(decision, goes, {key: one.size for key, one in surveyed.stored.items()})
    outcome.rescued = [key for key in settled.rescued if key in surveyed.stored]
    outcome.waiting = dict(settled.waiting)
    if not graves.stuck:
        outcome.waiting |= dict.fromkeys(settled.fresh, now)
        outcome.sparse = _sparse(decision, surveyed)
    if surveyed.holdings.busy:
        outcome.held_up = "a backup is running"
    tombstone = Tombstone(
        outcome.waiting | {key: condemned[key] for key in settled.due},
        frozenset(one.pack.id for one in outcome.sparse),
    )
    return _Plan(graves, surveyed, needs, settled, tombstone, outcome)


def _sparse(decision: Decision, surveyed: Surveyed) -> tuple[Sparse, ...]:
    """The packs that the next backup is not to build on; none where nothing may go, and nothing would be gained."""
    if decision.blocked:
        return ()
    stay = {name: used for name, used in surveyed.uses.items() if name in decision.kept}
    return sparse(surveyed.refs, stay, surveyed.uses[max(surveyed.uses)])


def _keys(decision: Decision, surveyed: Surveyed) -> dict[str, str]:
    """Key → reason, in the order in which they are to go."""
    goes = {
        key: reasons[name]
        for reasons in (decision.backups, decision.leftovers)
        for key in surveyed.stored
        if key.startswith("backups/") and (name := key.split("/")[1]) in reasons
    }
    goes |= {f"packs/{name}": reason for name, reason in decision.packs.items()}
    goes |= {surveyed.wal_keys[name]: reason for name, reason in decision.wal.items()}
    for key in surveyed.stored:
        if key.startswith("copied/") and f"packs/{key.rpartition('.')[2]}" not in surveyed.stored:
            goes[key] = "the copy that it tells of has gone"
    return dict(sorted(goes.items(), key=lambda item: order(item[0])))


class _Removal:
    """One run's removals."""

    def __init__(self, repository: Repository, plan: _Plan, lease: Lease, is_running: Callable[[], bool]) -> None:
        self._repository = repository
        self._known = {backup.id for backup in plan.surveyed.holdings.backups}
        self._due = plan.settled.due
        self._needs = plan.needs
        self._outcome = plan.outcome
        self._lease = lease
        self._is_running = is_running

    def run(self) -> None:
        for _, keys in groupby(self._due, key=lambda key: order(key)[0]):
            wanted = list(keys)
            for start in range(0, len(wanted), _BATCH):
                self._lease.check()
                batch = [key for key in wanted[start : start + _BATCH] if key not in self._kept_back()]
                if not batch[0:1] or (not batch[0].startswith("backups/") and not self._is_quiet()):
                    continue
                self._remove(batch)
                reached("expire-removed")

    def _kept_back(self) -> set[str]:
        """What the manifests need that the store does not let us remove."""
        refused = self._outcome.refused
        return {key for manifest, needed in self._needs.items() if manifest in refused for key in needed}

    def _is_quiet(self) -> bool:
        """Whether no backup has begun or ended since we looked: leases first, as one that has ended left a manifest."""
        if self._outcome.held_up is None and self._is_running():
            self._outcome.held_up = "a backup has begun meanwhile"
        if self._outcome.held_up is None and not set(catalog.ids(self._repository)) <= self._known:
            self._outcome.held_up = "a backup has ended meanwhile"
        return self._outcome.held_up is None

    def _remove(self, keys: list[str]) -> None:
        def remove(key: str) -> Forbidden | None:
            try:
                self._repository.store.delete(f"{self._repository.layout.root}{key}")
            except Forbidden as error:
                return error
            return None

        with ThreadPoolExecutor(_WORKERS) as pool:
            for key, refusal in zip(keys, pool.map(remove, keys), strict=True):
                if refusal:
                    self._outcome.refused[key] = refusal
                else:
                    self._outcome.removed.append(key)


class _Graves:
    """The tombstones in the store: numbered, the newest counts, the others are removed where we may.

    `stuck`: older ones are still there: the last run could remove nothing. Then nothing more is condemned, as the list
    would grow for ever where nobody may delete.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._folder = repository.layout.tombstones
        self._names = [one.key for one in repository.store.list(self._folder)]
        self.stuck = len(self._names) > 1
        self.last = self._read()

    def _read(self) -> Tombstone:
        if self._names:
            # Where it cannot be read, what was condemned is condemned anew: it lives longer, and that is all.
            with suppress(ValueError, NotFound):
                return Tombstone.decode(self._repository.store.get(self._names[-1]))
        return Tombstone()

    def dig(self, tombstone: Tombstone) -> None:
        """Put what holds now, where that is something else than before."""
        if tombstone == self.last or self.stuck:
            return
        number = int(self._names[-1].removeprefix(self._folder)) + 1 if self._names else 1
        key, body = f"{self._folder}{number:08d}", tombstone.encode()
        try:
            self._repository.store.put(key, body)
        except AlreadyExists:
            if self._repository.store.get(key) != body:  # otherwise it was our own PUT, sent twice
                raise OpsError(
                    "another `ops backup expire` runs on this repository", hint="It does what this one was to do."
                ) from None
        self._names.append(key)

    def clean(self) -> None:
        with suppress(Forbidden):
            for name in self._names[:-1]:
                self._repository.store.delete(name)
