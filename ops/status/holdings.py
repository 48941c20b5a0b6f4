"""What a cluster's repository holds, as a scrape or a page wants to know it: listings, and small objects read once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, Literal, TypeVar

from ops.backup import catalog
from ops.backup.expire import LEASE as EXPIRE
from ops.backup.expire import policy_of
from ops.backup.holdings import starts_of
from ops.backup.mirror import lag
from ops.config import Config
from ops.database import evidence
from ops.database.evidence import Proven
from ops.drill import records
from ops.drill.evidence import Evidence
from ops.errors import OpsError
from ops.model.backup import Backup
from ops.model.jobs import Job
from ops.model.layout import Layout
from ops.model.ledger import stands
from ops.model.segment import Segment
from ops.model.tail import Piece, chain
from ops.status.continuity import Continuity, examined, moment
from ops.status.remembering import Remembering
from ops.store import open_store
from ops.store.repository import Repository, current, repository_at
from ops.wal.archive import survey
from ops.wal.ledger import Ledger, seen

NEWEST = 20  # so many restore drills, and so many failover drills, are read
_WORKERS = 4
_ATTEMPTS = 2  # whoever looks again in a minute need not be as patient as a backup

Seen = TypeVar("Seen")


@dataclass(frozen=True)
class Part(Generic[Seen]):
    """One part of the picture, and when it was read. `seen` is None where it could not be; `trouble` says why."""

    seen: Seen | None
    taken: datetime
    trouble: str = ""


@dataclass(frozen=True)
class Backups:
    """The committed backups, oldest first; `damaged` says, a line each, what is wrong with those not to be believed."""

    found: tuple[Backup, ...]
    damaged: tuple[str, ...]


@dataclass(frozen=True)
class Packs:
    """The packs in the store, by the ledger of `ops backup verify`.

    `oldest`: when the one was read that was read longest ago; None: none ever was. `unread` of them never were, the
    first of these put at `unread_since`. `damaged` are ids.
    """

    count: int
    stored_bytes: int
    oldest: datetime | None
    unread: int
    unread_since: datetime | None
    damaged: tuple[str, ...]


@dataclass(frozen=True)
class Drills:
    """The newest restore drills, oldest first, of `count`; `damaged` says what is wrong with those not to be read."""

    found: tuple[Evidence, ...]
    count: int
    damaged: tuple[str, ...]


@dataclass(frozen=True)
class Failover:
    """What one failover drill measured: seconds, and rows. None: it was not measured, or it did not come.

    `lost`: acknowledged, and not on the new primary; `late`: acknowledged by the old primary after the new one's first.
    """

    id: str
    kind: str
    started_at: datetime
    verdict: Literal["passed", "failed", "unknown"]
    reasons: tuple[str, ...]
    write_gap: float | None
    read_gap: float | None
    redundant: float | None
    lost: int | None
    late: int | None

    @property
    def passed(self) -> bool:
        return self.verdict == "passed"


@dataclass(frozen=True)
class Failovers:
    """The newest failover drills, oldest first; `damaged` says what is wrong with those not to be read."""

    found: tuple[Failover, ...]
    damaged: tuple[str, ...]


@dataclass(frozen=True)
class Behind:
    """What a further repository lacks: objects, bytes as stored in the first one, and since how many seconds."""

    backups: int
    objects: int
    size: int
    seconds: float


@dataclass(frozen=True)
class Holdings:
    """What the repository of a cluster holds. `runs`: when each job last did something that shows there.

    `promised_days`: how long every moment is to stay recoverable. `mirrors`: one part for each further repository.
    """

    cluster: str
    store: str
    system_identifier: int | None
    taken: datetime
    promised_days: int
    backups: Part[Backups]
    continuity: Part[Continuity]
    packs: Part[Packs]
    drills: Part[Drills]
    failovers: Part[Failovers]
    audits: Part[list[Proven]]
    runs: Part[dict[Job, datetime]]
    mirrors: Mapping[str, Part[Behind]] = field(default_factory=dict)


def look(config: Config) -> Holdings:
    """What the first repository holds now. Raises nothing that is about the store: each part says what kept it."""
    return Observer(config).look()


class Observer:
    """Looks into a cluster's repository, again and again: what never changes there is fetched once. For one thread."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._stores: dict[str | None, Remembering] = {}

    def look(self) -> Holdings:
        """As `look`, quicker from the second time on."""
        now = datetime.now(UTC)
        repository = _part(lambda: self._open(None))
        try:
            return self._look(repository, now)
        finally:
            for store in self._stores.values():
                store.forget()

    def _look(self, place: Part[Repository], now: datetime) -> Holdings:
        settings = self._config.repository
        policy = policy_of(settings.retention, offsite=False)

        def part(read: Callable[[Repository], Seen]) -> Part[Seen]:
            repository = place.seen
            return Part(None, now, place.trouble) if repository is None else _part(lambda: read(repository))

        # The backups first: what they need was there before they were, whatever is archived in the meantime.
        backups = part(_backups)

        def continuity(repository: Repository) -> Continuity:
            if backups.seen is None:
                raise OpsError(backups.trouble)
            found, wal = backups.seen.found, survey(repository)
            starts = starts_of(found, wal, policy, now)
            ledger = Ledger.load(repository, repository.layout.ledger).entries
            return examined(wal, found, starts, ledger, lambda segment: _tail(repository, segment))

        with ThreadPoolExecutor(_WORKERS) as pool:
            wal, packs = pool.submit(part, continuity), pool.submit(part, _packs)
            drills, failovers = pool.submit(part, _drills), pool.submit(part, _failovers)
            runs, audits = pool.submit(part, _runs), pool.submit(part, evidence.proven)
            mirrors = {name: pool.submit(part, self._behind(name, now)) for name in self._config.repositories}
        return Holdings(
            cluster=self._config.cluster,
            store=place.seen.store.name if place.seen else "",
            system_identifier=place.seen.system_identifier if place.seen else None,
            taken=now,
            promised_days=policy.days,
            backups=backups,
            continuity=wal.result(),
            packs=packs.result(),
            drills=drills.result(),
            failovers=failovers.result(),
            audits=audits.result(),
            runs=runs.result(),
            mirrors={name: behind.result() for name, behind in mirrors.items()},
        )

    def _behind(self, name: str, now: datetime) -> Callable[[Repository], Behind]:
        def read(source: Repository) -> Behind:
            lacking = lag(source, self._open(name, source.system_identifier))
            return Behind(len(lacking.backups), lacking.objects, lacking.size, lacking.seconds(now))

        return read

    def _open(self, name: str | None, system_identifier: int | None = None) -> Repository:
        """The repository of that name. The first one has to exist; a further one may still be empty."""
        config = self._config.at(name)
        settings = config.repository
        if name not in self._stores:
            patience = {"attempts": min(_ATTEMPTS, settings.attempts)} if settings.type == "s3" else {}
            self._stores[name] = Remembering(open_store(settings.model_copy(update=patience)))
        store = self._stores[name]
        layout = (
            current(store, settings.prefix, config.cluster, None).layout
            if system_identifier is None
            else Layout(settings.prefix, config.cluster, system_identifier)
        )
        return repository_at(store, layout, settings.encryption, config.keys)


def _part(read: Callable[[], Seen]) -> Part[Seen]:
    taken = datetime.now(UTC)
    try:
        return Part(read(), taken)
    except OpsError as error:
        return Part(None, taken, _told(error))


def _told(error: OpsError) -> str:
    """An error in a line or two."""
    return f"{error.message}: {error.detail}" if error.detail else error.message


def _backups(repository: Repository) -> Backups:
    found, wrong = catalog.survey(repository)
    return Backups(tuple(found), tuple(map(_told, wrong)))


def _packs(repository: Repository) -> Packs:
    folder = repository.layout.packs
    entries = Ledger.load(repository, repository.layout.verified).entries
    stored = {found.key.removeprefix(folder): found for found in repository.store.list(folder)}
    read = {name: entry for name, found in stored.items() if stands(entry := entries.get(name), seen(found)) and entry}
    unread = [found.modified for name, found in stored.items() if name not in read]
    return Packs(
        count=len(stored),
        stored_bytes=sum(found.size for found in stored.values()),
        oldest=moment(min((entry.verified for entry in read.values()), default=None)),
        unread=len(unread),
        unread_since=min(unread, default=None),
        damaged=tuple(sorted(name for name, entry in read.items() if entry.verdict != "good")),
    )


def _drills(repository: Repository) -> Drills:
    shelf = records.restores(repository)
    names = shelf.ids()
    found, damaged = _each(names[-NEWEST:], shelf.read)
    return Drills(found, len(names), damaged)


def _each(names: list[str], read: Callable[[str], Seen]) -> tuple[tuple[Seen, ...], tuple[str, ...]]:
    """What could be read, in order, and what is wrong with the others."""
    found, wrong = [], []
    for name in names:
        try:
            found.append(read(name))
        except OpsError as error:
            wrong.append(_told(error))
    return tuple(found), tuple(wrong)


def _failovers(repository: Repository) -> Failovers:
    shelf = records.failovers(repository).parsed_by(_failover)
    found, damaged = _each(shelf.ids()[-NEWEST:], shelf.read)
    return Failovers(found, damaged)


def _failover(document: dict[str, Any]) -> Failover:
    """As far as a summary goes of the report of a failover drill."""
    verdict = document["verdict"]
    if verdict not in ("passed", "failed", "unknown"):
        raise ValueError(f"its verdict is {verdict!r}")
    return Failover(
        id=document["id"],
        kind=document["kind"],
        started_at=datetime.fromisoformat(document["started_at"]),
        verdict=verdict,
        reasons=tuple(document["reasons"]),
        write_gap=document["write_gap"],
        read_gap=document["read_gap"],
        redundant=document["moments"]["redundant"],
        lost=document["rows"]["lost"],
        late=document["rows"]["late"],
    )


def _runs(repository: Repository) -> dict[Job, datetime]:
    """When each job last left a trace: a manifest, a part of the ledger of packs, a lease, a verdict."""
    layout = repository.layout
    traces: dict[Job, list[datetime]] = {
        "backup": [one.modified for one in repository.store.list(layout.backups) if one.key.endswith("/manifest")],
        "verify": [one.modified for one in repository.store.list(layout.verified)],
        "expire": [one.modified for one in repository.store.list(layout.leases(EXPIRE))],
        "audit": [one.modified for one in repository.store.list(layout.audits) if "/verdicts/" in one.key],
    }
    return {job: max(times) for job, times in traces.items() if times}


def _tail(repository: Repository, segment: Segment) -> datetime | None:
    """When the store got the last of the pieces that cover the segment from its start."""
    folder, put = f"{repository.layout.tail_root}{segment.name}/", {}
    for stored in repository.store.list(folder):
        with suppress(ValueError):
            put[Piece.parse(segment.name, stored.key.removeprefix(folder))] = stored.modified
    return max((put[piece] for piece in chain(put)), default=None)
