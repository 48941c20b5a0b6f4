"""What a repository may let go of, and why. Pure: what it holds, the policy and the time in; a reason for each out.

The promise: every moment of the last `days` days can be recovered to. That takes the newest good backup from before
those days, on each timeline that was in use during them, and all WAL from its first byte on. Beside that stay a
number of the newest backups, whatever their age, and the first one of each month. Never goes: the last good backup,
WAL and packs that a backup needs which stays, what is younger than the grace period, nor, while a backup runs, any
pack or WAL. The grace period is also how far clocks may differ: it is added wherever two of them are compared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ops.model.continuity import Archive, unexplained
from ops.model.lsn import LSN
from ops.model.segment import Kind, Segment, WalFile
from ops.model.timeline import History


@dataclass(frozen=True)
class Policy:
    """What is to be kept: `days` of recovery, `count` backups at least, one a month for `monthly_years`."""

    days: int = 30
    count: int = 2
    monthly_years: int = 7
    grace: timedelta = timedelta(hours=24)

    def horizon(self, now: datetime) -> datetime:
        """Nothing after it is ever too old: the start of the window, by whatever clock."""
        return now - timedelta(days=self.days) - self.grace


@dataclass(frozen=True)
class Held:
    """A committed backup. `good`: its packs and the WAL that makes it consistent are there, and known to be intact."""

    id: str
    timeline: int
    start_lsn: LSN
    stop_lsn: LSN
    stop_time: datetime
    packs: frozenset[str]
    good: bool = True

    def segments(self, size: int) -> list[Segment]:
        """The WAL without which it is worth nothing."""
        numbers = range(self.start_lsn.position // size, (self.stop_lsn.position - 1) // size + 1)
        return [Segment(self.timeline, number, size) for number in numbers]


@dataclass(frozen=True)
class Holdings:
    """What a repository holds; times are when an object was put, by the store's clock.

    `wal` are PostgreSQL's files by name; `leftovers` are ids of backups without a manifest. `lineage` is False where
    a timeline history cannot be read, `busy` is True while a backup may be running.
    """

    backups: tuple[Held, ...]
    packs: Mapping[str, datetime]
    wal: Mapping[str, datetime]
    archive: Archive
    leftovers: Mapping[str, datetime] = field(default_factory=dict)
    lineage: bool = True
    busy: bool = False


@dataclass(frozen=True)
class Decision:
    """Name → reason: the backups that stay, and what may go. `blocked` says why nothing may."""

    kept: dict[str, str]
    backups: dict[str, str] = field(default_factory=dict)
    leftovers: dict[str, str] = field(default_factory=dict)
    packs: dict[str, str] = field(default_factory=dict)
    wal: dict[str, str] = field(default_factory=dict)
    blocked: str | None = None


def decide(held: Holdings, policy: Policy, now: datetime) -> Decision:
    """What may go now, and what stays, with the reasons."""
    blocked = _blocked(held)
    if blocked:
        return Decision({backup.id: blocked for backup in held.backups}, blocked=blocked)
    kept = _kept(held, policy, now)
    young = now - policy.grace
    packs, wal = {}, {}
    if not held.busy:
        needed = {pack for backup in held.backups if backup.id in kept for pack in backup.packs}
        known = {pack for backup in held.backups for pack in backup.packs}
        packs = {
            pack: "its backups go" if pack in known else "no backup refers to it"
            for pack, put in held.packs.items()
            if pack not in needed and put <= young
        }
        wal = _wal(held, kept, policy, now)
    return Decision(
        kept=kept,
        backups={backup.id: _too_old(backup, policy) for backup in held.backups if backup.id not in kept},
        leftovers={} if held.busy else {
            name: "it was never completed" for name, put in held.leftovers.items() if put <= young
        },
        packs=packs,
        wal=wal,
    )  # fmt: skip


def continued(held: Holdings, policy: Policy, now: datetime) -> frozenset[str]:
    """The backups from which all later WAL is kept. The others are copies with what makes them consistent, no more."""
    everything = frozenset(backup.id for backup in held.backups)
    if _blocked(held):
        return everything
    recent = {backup.id for backup in held.backups if backup.stop_time > policy.horizon(now)}
    return frozenset(recent | {anchor.id for _, anchor in _anchors(held, policy, now)}) or everything


def _blocked(held: Holdings) -> str | None:
    """Why nothing at all may go."""
    if not any(backup.good for backup in held.backups):
        return "no backup is known to be good"
    timelines = {backup.timeline for backup in held.backups}
    if not held.lineage or unexplained(held.archive) or any(held.archive.history(one) is None for one in timelines):
        return "a timeline history is missing or damaged: what a recovery needs cannot be told"
    return None


# -- backups ---------------------------------------------------------------------------------------------------


def _kept(held: Holdings, policy: Policy, now: datetime) -> dict[str, str]:
    """The backups that stay and why, the most lasting reason of each."""
    reasons: dict[str, str] = {}
    good = sorted((backup for backup in held.backups if backup.good), key=_position)
    for backup in held.backups:
        if backup.stop_time > policy.horizon(now):
            reasons[backup.id] = f"of the last {policy.days} days"
    for _, anchor in _anchors(held, policy, now):
        reasons.setdefault(anchor.id, f"the way to the first of the last {policy.days} days")
    for backup in _monthly(good, policy, now):
        reasons.setdefault(backup.id, f"the first of {backup.stop_time.astimezone(UTC):%Y-%m}")
    for backup in good[-policy.count :]:
        reasons.setdefault(backup.id, f"one of the last {policy.count}")
    # The last one by either measure: after a failover a clock that is behind must not make it look old.
    for last in (good[-1], max(good, key=lambda backup: backup.stop_time)):
        reasons[last.id] = "the last good backup"
    return reasons


def _position(backup: Held) -> tuple[int, LSN]:
    """Backups in the order of the WAL: clocks may be set back, WAL is not."""
    return backup.timeline, backup.stop_lsn


def _monthly(good: Iterable[Held], policy: Policy, now: datetime) -> Iterator[Held]:
    first: dict[tuple[int, int], Held] = {}
    for backup in sorted(good, key=lambda backup: backup.stop_time):
        moment = backup.stop_time.astimezone(UTC)
        first.setdefault((moment.year, moment.month), backup)
    oldest = now - timedelta(days=366) * policy.monthly_years - policy.grace
    return (backup for backup in first.values() if policy.monthly_years and backup.stop_time > oldest)


def _anchors(held: Holdings, policy: Policy, now: datetime) -> Iterator[tuple[History, Held]]:
    """For each history that was in use within the window: the backup that its recoveries begin from at the earliest.

    That is the newest one from before the window; where there is none, the oldest one.
    """
    horizon = policy.horizon(now)
    for history in _in_use(held, horizon):
        on_it = [one for one in held.backups if one.good and history.contains(one.timeline, one.stop_lsn)]
        before = [one for one in on_it if one.stop_time <= horizon]
        if before:
            yield history, max(before, key=lambda one: one.stop_lsn)
        elif on_it:
            yield history, min(on_it, key=lambda one: one.start_lsn)


def _in_use(held: Holdings, horizon: datetime) -> list[History]:
    """The newest timeline, the one that was written last, and each that was written within the window."""
    written: defaultdict[int, datetime] = defaultdict(lambda: datetime.min.replace(tzinfo=UTC))
    for name, put in held.wal.items():
        timeline = int(name[:8], 16)
        written[timeline] = max(written[timeline], put)
    known = {*held.archive.histories, *held.archive.segments, *(backup.timeline for backup in held.backups)}
    last = max(written, key=lambda timeline: written[timeline], default=max(known))
    chosen = {max(known), last, *(timeline for timeline, put in written.items() if put > horizon)}
    return [history for timeline in sorted(chosen) if (history := held.archive.history(timeline))]


def _too_old(backup: Held, policy: Policy) -> str:
    age = f"older than {policy.days} days, and no copy of a month or of the last {policy.count}"
    return age if backup.good else f"{age}; it is incomplete or damaged"


# -- WAL -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Stretch:
    """Numbers of segments, from `first` to `last` (None: on)."""

    first: int
    last: int | None

    def holds(self, number: int) -> bool:
        return self.first <= number and (self.last is None or number <= self.last)


def _wal(held: Holdings, kept: Mapping[str, str], policy: Policy, now: datetime) -> dict[str, str]:
    """The files that no backup needs which stays, nor a recovery to a moment of the window."""
    needed = _needed(held, kept, policy, now)
    horizon, size = policy.horizon(now), held.archive.segment_size
    found = {}
    for name, put in held.wal.items():
        if put > horizon or WalFile.parse(name).kind is Kind.HISTORY:
            continue  # histories stay: they are small, and tell what the rest means
        segment = Segment.parse(name[:24], size)
        if not any(stretch.holds(segment.number) for stretch in needed[segment.timeline]):
            found[name] = f"older than {policy.days} days, and no backup that stays needs it"
    return found


def _needed(held: Holdings, kept: Mapping[str, str], policy: Policy, now: datetime) -> defaultdict[int, list[_Stretch]]:
    """By timeline, the segments that are needed: by each backup for itself, and from the anchors on to the end."""
    size = held.archive.segment_size
    needed: defaultdict[int, list[_Stretch]] = defaultdict(list)
    for backup in held.backups:
        if backup.id in kept:
            own = backup.segments(size)
            needed[backup.timeline].append(_Stretch(own[0].number, own[-1].number))
    for history, anchor in _anchors(held, policy, now):
        first = anchor.start_lsn.position // size
        for ancestor in history.ancestors:
            needed[ancestor.timeline].append(_Stretch(first, ancestor.left_at.position // size))
        needed[history.timeline].append(_Stretch(first, None))
    return needed
