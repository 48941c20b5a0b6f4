"""What may go: by example, and over 10,000 random histories in which no promised moment may ever be lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from ops.model.continuity import Archive, needed
from ops.model.lsn import LSN
from ops.model.retention import Decision, Held, Holdings, Policy, decide
from ops.model.segment import Segment
from ops.model.timeline import Ancestor, History
from ops.model.tombstones import Tombstone, order, settle

HISTORIES = 10_000
MIB = 1 << 20
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


# -- by example ------------------------------------------------------------------------------------------------


def held(day: float, segment: int, *packs: str, timeline: int = 1, good: bool = True) -> Held:
    """A backup that ended on that day, and needs segments `segment` and the one after it."""
    stop = LSN((segment + 1) * MIB + 7)
    return Held(f"b{day:g}", timeline, LSN(segment * MIB + 5), stop, EPOCH + day * DAY, frozenset(packs), good)


def holdings(*backups: Held, segments: int = 40, busy: bool = False, histories: tuple[History, ...] = ()) -> Holdings:
    """Segment n of timeline 1 was archived on day n."""
    wal = {Segment(1, number, MIB).name: EPOCH + number * DAY for number in range(segments)}
    packs = {pack: EPOCH + (backup.stop_time - EPOCH) for backup in reversed(backups) for pack in backup.packs}
    archive = Archive({1: frozenset(range(segments))}, {history.timeline: history for history in histories}, MIB)
    return Holdings(backups, packs, wal, archive, busy=busy)


def on(day: float) -> datetime:
    return EPOCH + day * DAY


PLAIN = Policy(days=10, count=1, monthly_years=0, grace=DAY)


def test_the_newest_backup_before_the_window_and_all_wal_from_it_on_stay() -> None:
    backups = [held(day, day, f"p{day}") for day in range(0, 38, 4)]
    found = decide(holdings(*backups), PLAIN, on(39))
    # The window begins on day 29, or 28 by a clock that is a day off: the backup of day 28 is the way to it.
    assert sorted(found.backups) == ["b0", "b12", "b16", "b20", "b24", "b4", "b8"]
    assert sorted(found.packs) == sorted(f"p{day}" for day in range(0, 28, 4))
    assert [int(name[-2:], 16) for name in sorted(found.wal)] == list(range(28))
    assert found.kept["b28"] == "the way to the first of the last 10 days"
    assert found.kept["b36"] == "the last good backup"
    assert found.kept["b32"] == "of the last 10 days"


def test_a_pack_stays_for_as_long_as_a_backup_that_stays_refers_to_it() -> None:
    found = decide(holdings(held(0, 0, "old", "shared"), held(20, 20, "shared", "new")), PLAIN, on(39))
    assert (list(found.backups), list(found.packs)) == (["b0"], ["old"])


def test_months_and_a_number_of_backups_stay_with_the_wal_that_they_need_themselves() -> None:
    backups = [held(day, day) for day in range(0, 100, 10)]
    policy = Policy(days=10, count=3, monthly_years=1, grace=DAY)
    found = decide(holdings(*backups, segments=100), policy, on(99))
    assert {name: why for name, why in found.kept.items() if "first of 20" in why} == {
        "b0": "the first of 2026-01",
        "b40": "the first of 2026-02",
        "b60": "the first of 2026-03",
    }
    assert found.kept["b70"] == "one of the last 3"
    stay = set(range(100)) - {int(name[-2:], 16) for name in found.wal}
    assert stay == {0, 1, 40, 41, 60, 61, 70, 71, *range(80, 100)}


def test_the_last_good_backup_stays_for_ever_and_a_bad_one_does_not_stand_in_for_it() -> None:
    found = decide(holdings(held(0, 0, "good"), held(5, 5, "bad", good=False)), PLAIN, on(4000))
    assert (list(found.backups), list(found.packs)) == (["b5"], ["bad"])
    assert found.kept == {"b0": "the last good backup"}
    assert found.wal == {}, "all of it can be replayed from that backup"


def test_nothing_goes_where_no_backup_is_good_or_the_lineage_is_not_known() -> None:
    for found in (
        decide(holdings(held(0, 0, "p", good=False)), PLAIN, on(4000)),
        decide(holdings(held(0, 0, "p"), held(20, 20, timeline=2)), PLAIN, on(4000)),
        decide(holdings(), PLAIN, on(4000)),
    ):
        assert found.blocked
        assert [found.backups, found.packs, found.wal, found.leftovers] == [{}, {}, {}, {}]


def test_while_a_backup_runs_no_pack_and_no_wal_goes() -> None:
    found = decide(holdings(held(0, 0, "p"), held(20, 20), busy=True), PLAIN, on(39))
    assert (list(found.backups), found.packs, found.wal) == (["b0"], {}, {})


def test_what_a_killed_backup_left_goes_after_the_grace() -> None:
    backup = held(20, 20, "p")
    plain = holdings(backup)
    left = Holdings((backup,), {"p": on(20), "left": on(30)}, plain.wal, plain.archive, {"b30": on(30)})
    assert decide(left, PLAIN, on(30.9)).packs == {}
    found = decide(left, PLAIN, on(31.1))
    assert found.packs == {"left": "no backup refers to it"}
    assert list(found.leftovers) == ["b30"]


def test_a_branch_that_a_failover_cut_off_stays_until_it_is_out_of_the_window() -> None:
    second = History(2, (Ancestor(1, LSN(10 * MIB)),))
    backups = (held(2, 2), held(9, 9, timeline=1), held(14, 12, timeline=2))
    wal = {Segment(1, n, MIB).name: on(n) for n in range(14)} | {Segment(2, n, MIB).name: on(n) for n in range(10, 40)}
    archive = Archive({1: frozenset(range(14)), 2: frozenset(range(10, 40))}, {2: second}, MIB)
    found = decide(Holdings(backups, {}, wal, archive), PLAIN, on(23))
    assert not {Segment(1, n, MIB).name for n in range(2, 14)} & found.wal.keys()
    later = decide(Holdings(backups, {}, wal, archive), PLAIN, on(39))
    assert {Segment(1, n, MIB).name for n in range(14)} <= later.wal.keys()


# -- tombstones ------------------------------------------------------------------------------------------------


def test_what_is_condemned_goes_after_the_grace_manifests_first_unless_it_is_needed_again() -> None:
    keys = ["packs/a", "wal/1/x", "backups/b/files", "backups/b/manifest"]
    since = dict.fromkeys([*keys, "packs/saved", "packs/shared"], on(1)) | {"packs/late": on(1.9)}
    needs = {"backups/b/manifest": ["packs/a", "packs/shared"], "backups/c/manifest": ["packs/shared"]}
    found = settle([*keys, "packs/shared", "packs/late", "packs/new"], since, needs, on(2), DAY)
    assert found.due == ("backups/b/manifest", "backups/b/files", "packs/a", "wal/1/x")
    assert found.waiting == {"packs/late": on(1.9), "packs/shared": on(1)}
    assert (found.fresh, found.rescued) == (("packs/new",), ("packs/saved",))


def test_a_tombstone_names_what_a_new_backup_does_not_refer_to() -> None:
    tombstone = Tombstone({"packs/a": on(1), "wal/1/x": on(2)}, frozenset({"b"}))
    assert Tombstone.decode(tombstone.encode()) == tombstone
    assert tombstone.shunned == {"a", "b"}
    earlier = Tombstone.decode(b'{"format": 1, "condemned": {"packs/a": "2026-01-02T00:00:00+00:00"}}')
    assert earlier == Tombstone({"packs/a": on(1)})
    with pytest.raises(ValueError):
        Tombstone.decode(b'{"format": 2, "condemned": {}}')


# -- over random histories -------------------------------------------------------------------------------------


@dataclass
class Database:
    """One system identifier's repository, and what is true of it, by a clock that no part of the system has."""

    random: Random
    policy: Policy
    skew: timedelta
    histories: dict[int, History] = field(default_factory=lambda: {1: History(1)})
    ended: dict[int, int] = field(default_factory=dict)  # timeline -> its last segment
    timeline: int = 1
    backups: dict[str, tuple[Held, datetime]] = field(default_factory=dict)
    packs: dict[str, datetime] = field(default_factory=dict)
    wal: dict[Segment, datetime] = field(default_factory=dict)  # the true time of the last byte
    put: dict[str, datetime] = field(default_factory=dict)  # by the store's clock
    leases: set[int] = field(default_factory=set)
    running: dict[int, tuple[int, LSN, frozenset[str]]] = field(default_factory=dict)
    condemned: dict[str, datetime] = field(default_factory=dict)
    promised: dict[Segment, datetime] = field(default_factory=dict)
    number: int = 0

    # -- what happens -------------------------------------------------------------------------------------------

    def archive(self, now: datetime, timeline: int | None = None) -> None:
        timeline = timeline or self.timeline
        segment = Segment(timeline, self.ended.get(timeline, 0) + 1, MIB)
        self.ended[timeline] = segment.number
        self.wal[segment] = now
        self.put[segment.name] = now + self.skew
        if self.reachable(segment):
            self.promised[segment] = now

    def fail_over(self, now: datetime) -> None:
        old, new = self.timeline, max(self.histories) + 1
        last, ancestors = self.ended.get(old, 0), self.histories[old].ancestors
        edge = LSN(last * MIB + self.random.choice([0, 100, MIB // 2]))
        if not last or self.running or (ancestors and edge <= ancestors[-1].left_at):
            return
        self.histories[new] = History(new, (*ancestors, Ancestor(old, edge)))
        self.ended[new] = edge.position // MIB - 1
        self.put[f"{new:08X}.history"] = now + self.skew
        self.timeline = new

    def start_backup(self) -> None:
        """A lease, new packs, and adopted ones: of any backup that is there, or that a killed run left behind."""
        self.number += 1
        position = LSN((self.ended.get(self.timeline, 0) + 1) * MIB + 5)
        adopted = frozenset(self.random.sample(sorted(self.packs), min(len(self.packs), self.random.randrange(4))))
        self.leases.add(self.number)
        self.running[self.number] = (self.timeline, position, adopted)

    def end_backup(self, now: datetime, clock: timedelta) -> None:
        number = self.random.choice(sorted(self.running))
        timeline, position, adopted = self.running.pop(number)
        own = {f"p{number}-{part}" for part in range(self.random.randrange(1, 3))}
        self.packs |= dict.fromkeys(own, now + self.skew)
        if self.random.random() < 0.2:  # killed: its packs stay behind; its lease is found out to be dead
            self.leases.discard(number)
            return
        self.archive(now, timeline)
        if timeline == self.timeline and adopted <= self.packs.keys():  # looked at again before the commit
            stop = LSN((self.ended[timeline] + 1) * MIB)
            packs = frozenset(own | adopted)
            backup = Held(
                f"{number}", timeline, position, stop, now + clock, packs, self.whole(timeline, position, stop)
            )
            self.backups[backup.id] = (backup, now)
        self.leases.discard(number)

    def survey(self) -> Holdings:
        segments: dict[int, set[int]] = {}
        for segment in self.wal:
            segments.setdefault(segment.timeline, set()).add(segment.number)
        frozen = {timeline: frozenset(numbers) for timeline, numbers in segments.items()}
        histories = {timeline: history for timeline, history in self.histories.items() if timeline > 1}
        return Holdings(
            tuple(backup for backup, _ in self.backups.values()),
            dict(self.packs), dict(self.put), Archive(frozen, histories, MIB), busy=bool(self.leases),
        )  # fmt: skip

    def condemn(self, decision: Decision, surveyed: Holdings, now: datetime) -> tuple[str, ...]:
        """What `expire` does with a decision, but for the removing: the keys that are due."""
        goes = [f"backups/{name}/manifest" for name in decision.backups]
        goes += [f"packs/{name}" for name in decision.packs] + [f"wal/{name}" for name in decision.wal]
        needs = {
            f"backups/{one.id}/manifest": [
                *(f"packs/{pack}" for pack in one.packs),
                *(f"wal/{segment.name}" for segment in one.segments(MIB)),
            ]
            for one in surveyed.backups
        }
        settled = settle(goes, self.condemned, needs, now, self.policy.grace)
        self.condemned = settled.waiting | dict.fromkeys([*settled.due, *settled.fresh], now)
        self.condemned |= dict.fromkeys(settled.due, now - self.policy.grace)
        return settled.due

    def remove(self, due: tuple[str, ...], surveyed: Holdings) -> None:
        """As `expire` does: in order, perhaps killed on the way, no pack or WAL once a backup has begun or ended."""
        known = {backup.id for backup in surveyed.backups}
        for key in due[: self.random.choice([len(due), len(due), self.random.randrange(len(due) + 1)])]:
            kind, name = key.split("/")[:2]
            if kind == "backups":
                self.backups.pop(name, None)
            elif self.leases or not self.backups.keys() <= known:
                return
            elif kind == "packs":
                self.packs.pop(name, None)
            else:
                self.put.pop(name, None)
                self.wal.pop(Segment.parse(name, MIB), None)

    def __len__(self) -> int:
        return len(self.put) + len(self.packs) + len(self.backups)

    # -- what must hold -----------------------------------------------------------------------------------------

    def whole(self, timeline: int, start: LSN, stop: LSN) -> bool:
        numbers = range(start.position // MIB, (stop.position - 1) // MIB + 1)
        return all(Segment(timeline, number, MIB) in self.wal for number in numbers)

    def usable(self, backup: Held) -> bool:
        return backup.packs <= self.packs.keys() and self.whole(backup.timeline, backup.start_lsn, backup.stop_lsn)

    def reachable(self, segment: Segment) -> bool:
        """Whether a recovery along the segment's timeline gets to its end, from a backup that had ended by then."""
        history, moment = self.histories[segment.timeline], self.wal[segment]
        return any(
            history.contains(backup.timeline, backup.stop_lsn)
            and backup.stop_lsn <= segment.end
            and ended <= moment
            and self.usable(backup)
            and all(one in self.wal for one in needed(history, backup.start_lsn, LSN(segment.end.position - 1), MIB))
            for backup, ended in reversed(self.backups.values())
        )

    def check(self, now: datetime, last_good: str | None) -> None:
        for backup, _ in self.backups.values():
            assert backup.packs <= self.packs.keys(), f"manifest {backup.id} refers to a pack that is gone"
            assert not backup.good or self.usable(backup), f"backup {backup.id} has lost WAL that it needs"
        start = now - self.policy.days * DAY
        self.promised = {segment: moment for segment, moment in self.promised.items() if moment >= start}
        for segment in self.promised:
            assert segment in self.wal, f"{segment} of the window is gone"
            assert self.reachable(segment), f"the moment at the end of {segment} was promised"
        assert last_good is None or last_good in self.backups, "the last good backup is gone"

    def last_good(self) -> str | None:
        """The one that ended last, by the true clock, on the timeline that counts."""
        history = self.histories[self.timeline]
        good = [
            (ended, one.id)
            for one, ended in self.backups.values()
            if one.good and history.contains(one.timeline, one.stop_lsn)
        ]
        return max(good)[1] if good else None


@dataclass
class World:
    """Up to two databases (an upgrade) under one policy, and hosts whose clocks differ by less than the grace."""

    random: Random
    policy: Policy
    databases: list[Database]
    now: datetime = EPOCH
    expiries: int = 0
    removed: int = 0

    def skew(self) -> timedelta:
        return self.random.choice([-0.49, 0, 0.49]) * self.policy.grace

    def step(self) -> None:
        self.now += self.random.uniform(0, 24) * HOUR
        current = self.databases[-1]
        match self.random.choices(["wal", "begin", "end", "failover", "zombie", "upgrade", "expire"], WEIGHTS)[0]:
            case "wal":
                current.archive(self.now)
            case "begin":
                current.start_backup()
            case "end" if current.running:
                current.end_backup(self.now, self.skew())
            case "failover":
                current.fail_over(self.now)
            case "zombie" if current.timeline > 1:  # the old primary does not know yet
                current.archive(self.now, current.timeline - 1)
            case "upgrade" if len(self.databases) < 2:
                self.databases.append(Database(self.random, self.policy, self.skew()))
            case "expire":
                for database in self.databases:
                    self.expire(database)

    def expire(self, database: Database) -> None:
        before, last_good, surveyed = len(database), database.last_good(), database.survey()
        now = self.now + self.skew()
        due = database.condemn(decide(surveyed, self.policy, now), surveyed, now)
        if self.random.random() < 0.3:  # meanwhile, on another host
            database.start_backup()
            if self.random.random() < 0.5:
                database.end_backup(self.now, self.skew())
            before = len(database)
        database.remove(due, surveyed)
        database.check(self.now, last_good)
        self.expiries += 1
        self.removed += before - len(database)


WEIGHTS = (32, 12, 26, 4, 3, 1, 22)


def live_through(seed: int) -> World:
    random = Random(seed)
    days, count, years = random.choice([0, 1, 3]), random.choice([1, 2]), random.choice([0, 1])
    world = World(random, Policy(days, count, years, random.choice([6, 24]) * HOUR), [])
    world.databases.append(Database(random, world.policy, world.skew()))
    for _ in range(random.randrange(18, 42)):
        world.step()
    return world


def test_in_10_000_histories_no_promised_moment_is_lost_nor_the_last_good_backup() -> None:
    """With failovers, old primaries that go on, upgrades, clocks that differ, killed and concurrent runs."""
    expiries = removed = 0
    for seed in range(HISTORIES):
        try:
            world = live_through(seed)
        except AssertionError as error:
            error.add_note(f"history {seed}")
            raise
        expiries, removed = expiries + world.expiries, removed + world.removed
    # Otherwise it would prove nothing.
    assert expiries > 3 * HISTORIES
    assert removed > HISTORIES


def test_the_order_of_removal_takes_the_manifest_before_all_that_it_refers_to() -> None:
    keys = ["wal/x", "packs/p", "backups/b/files", "backups/b/manifest"]
    assert sorted(keys, key=order) == list(reversed(keys))
