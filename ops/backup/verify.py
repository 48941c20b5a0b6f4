"""Reading base backups again as they are stored: every block of every pack, and all that describes them.

Packs that were verified lately, by the ledger in the store, are not read again; manifests, lists of files, keys and
repository.json are, each time: they are small, and tell what a damaged pack costs.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import zstandard

from ops.backup import catalog
from ops.backup.report import Meter, Progress
from ops.backup.unpack import open_block
from ops.errors import OpsError, Unreachable
from ops.model.backup import Backup
from ops.model.continuity import Archive
from ops.model.keys import WrappedKey
from ops.model.ledger import Entry, stale
from ops.model.lost import Loss, losses
from ops.model.lsn import LSN
from ops.model.manifest import Contents
from ops.model.pack import PackError, PackRef, parse_tail, sealing
from ops.model.segment import Segment
from ops.store.base import NotFound, Stored
from ops.store.codec import Damaged, Foreign
from ops.store.repository import Repository, RepositoryInfo
from ops.wal.archive import survey
from ops.wal.ledger import Ledger, seen

# A pack of 32 MiB and its blocks, one after another: two of them stay below 150 MiB.
_WORKERS = 2


@dataclass(frozen=True)
class Damage:
    """An object, by its key in the repository's folder, that is not what was put there.

    `backups`: whom it costs what, paths of files by backup; None where all of a backup is lost.
    """

    key: str
    detail: str
    backups: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)


@dataclass
class Report:
    """What a run has found. `verified` are packs and bytes read by it, `unknown` what this host has no key to."""

    backups: int = 0
    packs: int = 0
    stored_bytes: int = 0
    unreferenced: int = 0
    verified: int = 0
    verified_bytes: int = 0
    oldest: int | None = None
    damaged: list[Damage] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    unknown: list[OpsError] = field(default_factory=list)
    noted: OpsError | None = None


@dataclass(frozen=True)
class _Known:
    """A backup whose description is intact, and the packs that it refers to."""

    backup: Backup
    packs: tuple[PackRef, ...]


def verify(repository: Repository, *, before: int, progress: Progress) -> Report:
    """Read all that describes the backups, and the packs that were not verified since `before` (microseconds).

    Raises Unreachable where the store gives no answer: nothing is known then.
    """
    return _Run(repository).verify(before, progress)


class _Run:
    """One verification."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._root = repository.layout.root
        self._report = Report()
        self._readable: list[Backup] = []  # those whose manifest is intact, whatever else of them is not

    def verify(self, before: int, progress: Progress) -> Report:
        report = self._report
        # The backups before the packs: what a listed backup refers to was there before it was.
        names = catalog.ids(self._repository)
        report.backups = len(names)
        self._check_keys()
        info = self._describe(names)
        known = [found for name in names if (found := self._backup(name, info))]
        archive = self._archive(known)
        if info is not None:
            self._check_packs(info, known, before, progress)
        self._conclude(archive)
        return report

    # -- what describes the backups ----------------------------------------------------------------------------

    def _describe(self, names: list[str]) -> RepositoryInfo | None:
        """repository.json; None where it cannot be believed, and so no block be proven."""
        try:
            info = self._repository.describe()
            self._repository.block_key(info)
            Segment(1, 0, info.segment_size)
            if info.block_hash != "hmac-sha256":
                raise ValueError(f"names blocks by {info.block_hash!r}, which we do not know")
        except Unreachable as error:
            if self._is_open(error):
                return None
            raise
        except (OpsError, ValueError) as error:
            self._blame(self._repository.layout.repository, error, dict.fromkeys(names))
            return None
        return info

    def _backup(self, name: str, info: RepositoryInfo | None) -> _Known | None:
        layout = self._repository.layout
        key = layout.manifest(name)
        try:
            manifest = catalog.read(self._repository, name)
            backup, key = manifest.backup, layout.files(name)
            self._readable.append(backup)
            packs = catalog.contents(self._repository, manifest).packs
        except NotFound:
            return None  # it was removed meanwhile
        except Unreachable as error:
            if self._is_open(error):
                return None
            raise
        except (Damaged, Foreign) as error:
            self._blame(key, error, {name: None})
            return None
        if info and (info.block_size, info.postgres_version) != (backup.block_size, backup.postgres_version // 10000):
            other = ValueError(f"block size or PostgreSQL's version are not those of backup {name}")
            self._blame(layout.repository, other, {name: None})
        return _Known(backup, packs)

    def _check_keys(self) -> None:
        """Every wrapped key that this host has the key to is opened; of the others only the form can be judged."""
        keyring = self._repository.keyring
        if keyring is None:
            return
        here = {name: keyring.files.get(name) for name in keyring.files.ids()}
        for data_key, keks in keyring.wraps().items():
            for kek in sorted(keks):
                key = self._repository.layout.key(data_key, kek)
                try:
                    if kek in here:
                        keyring.open(data_key, here[kek])
                    else:
                        WrappedKey.decode(self._repository.store.get(key), data_key, kek)
                except (Damaged, ValueError) as error:
                    self._blame(key, error, {})
                except Unreachable as error:
                    if not self._is_open(error):
                        raise

    def _archive(self, known: Iterable[_Known]) -> Archive:
        """The WAL by name; a backup without the WAL that makes it consistent is no backup."""
        try:
            archive = survey(self._repository).archive
        except Unreachable:
            raise
        except OpsError:  # repository.json, which is named already
            return Archive()
        for found in known:
            backup = found.backup
            first = Segment.parse(backup.first_segment, archive.segment_size)
            last = Segment.holding(backup.timeline, LSN(backup.stop_lsn.position - 1), archive.segment_size)
            numbers = range(first.number, last.number + 1)
            gone = [s for n in numbers if not archive.holds(s := Segment(backup.timeline, n, archive.segment_size))]
            for segment in gone:
                key = f"{self._repository.layout.wal_root}{segment.timeline:08X}/{segment.name}"
                self._blame(key, ValueError("is not there, and its backup needs it"), {backup.id: None})
        return archive

    # -- packs -------------------------------------------------------------------------------------------------

    def _check_packs(self, info: RepositoryInfo, known: list[_Known], before: int, progress: Progress) -> None:
        report, layout = self._report, self._repository.layout
        stored = {found.key.removeprefix(layout.packs): found for found in self._repository.store.list(layout.packs)}
        users: defaultdict[PackRef, list[str]] = defaultdict(list)
        for one in known:
            for pack in one.packs:
                users[pack].append(one.backup.id)
        report.packs = len({pack.id for pack in users})
        report.unreferenced = len(stored.keys() - {pack.id for pack in users})
        for pack in [pack for pack in users if pack.id not in stored]:
            self._lose(pack, "is not there", None, users[pack])
        present = {pack.id: stored[pack.id] for pack in users if pack.id in stored}
        report.stored_bytes = sum(found.size for found in present.values())
        ledger = Ledger.load(self._repository, layout.verified)
        due = stale({name: seen(found) for name, found in present.items()}, ledger.entries, before)
        found = self._read([pack for name in due for pack in users if pack.id == name], info, users, present, progress)
        entries = ledger.entries | found
        report.oldest = min((entries[name].verified for name in present if name in entries), default=None)
        try:
            ledger.record(self._repository, found)
        except OpsError as error:  # a credential that only reads: the next run does it again
            report.noted = error

    def _read(
        self,
        packs: list[PackRef],
        info: RepositoryInfo,
        users: Mapping[PackRef, list[str]],
        stored: Mapping[str, Stored],
        progress: Progress,
    ) -> dict[str, Entry]:
        """Read and judge these packs; what the ledger is to say of them."""
        key = self._repository.block_key(info)
        meter = Meter(sum(pack.size for pack in packs), progress)

        def look(pack: PackRef) -> tuple[str, frozenset[int] | None] | OpsError | None:
            try:
                return _examine(self._repository, pack, key)
            except (NotFound, Unreachable) as error:
                return error
            finally:
                meter.add(pack.size)

        entries: dict[str, Entry] = {}
        with ThreadPoolExecutor(_WORKERS) as pool:
            for pack, outcome in zip(packs, pool.map(look, packs), strict=True):
                if isinstance(outcome, NotFound):
                    self._lose(pack, "is not there", None, users[pack])
                elif isinstance(outcome, OpsError):
                    if not self._is_open(outcome):
                        raise outcome
                else:
                    self._report.verified += 1
                    self._report.verified_bytes += pack.size
                    if outcome:
                        self._lose(pack, *outcome, users[pack])
                    entries[pack.id] = Entry(
                        seen(stored[pack.id]),
                        int(time.time() * 1_000_000),
                        "damaged" if outcome else "good",
                        outcome[0] if outcome else "",
                    )
        return entries

    def _lose(self, pack: PackRef, detail: str, ordinals: frozenset[int] | None, users: Iterable[str]) -> None:
        """A pack is damaged, or some of its blocks: which files of which backups lie in them."""
        costs: dict[str, tuple[str, ...] | None] = {}
        for name in users:
            contents = catalog.contents(self._repository, catalog.read(self._repository, name))
            costs[name] = _files_in(contents, pack.id, ordinals)
        self._blame(self._repository.layout.pack(pack.id), ValueError(detail), costs)

    # -- what it comes to --------------------------------------------------------------------------------------

    def _blame(self, key: str, error: Exception, backups: Mapping[str, tuple[str, ...] | None]) -> None:
        detail = (error.detail or error.message) if isinstance(error, OpsError) else str(error)
        self._report.damaged.append(Damage(key.removeprefix(self._root), detail, backups))

    def _is_open(self, error: OpsError) -> bool:
        """Whether it is only this host that cannot tell, for want of a key: the rest is looked at all the same."""
        from ops.store.keyring import KeyUnavailable  # noqa: PLC0415

        if isinstance(error, KeyUnavailable):
            self._report.unknown.append(error)
            return True
        return False

    def _conclude(self, archive: Archive) -> None:
        """What the damage costs; nothing where a backup has been removed meanwhile."""
        report = self._report
        if not report.damaged:
            return
        present = set(catalog.ids(self._repository))
        gone = [one for one in report.damaged if one.backups and not one.backups.keys() & present]
        report.damaged = [one for one in report.damaged if one not in gone]
        hit = {name for one in report.damaged for name in one.backups} & present
        report.losses = losses(hit, self._readable, archive)


def _examine(repository: Repository, pack: PackRef, key: bytes) -> tuple[str, frozenset[int] | None] | None:
    """What is wrong with a stored pack, and with which of its blocks (None: all); None where it is what was put."""
    body = memoryview(repository.store.get(repository.layout.pack(pack.id)))
    decompressor = zstandard.ZstdDecompressor()
    bad: dict[int, str] = {}
    try:
        if len(body) != pack.size:
            raise PackError(f"has {len(body)} bytes, not {pack.size}")
        tail = bytes(body[-pack.tail :])
        entries, cipher = parse_tail(tail, pack), repository.pack_cipher(sealing(tail))
        for ordinal, entry in enumerate(entries):
            try:
                open_block(body[entry.offset : entry.offset + entry.stored], entry, key, cipher, decompressor)
            except ValueError as error:
                bad[ordinal] = str(error)
        if not bad and hashlib.sha256(body).hexdigest() != pack.id:
            raise PackError("does not have the digest that is its name")
    except (ValueError, Damaged) as error:
        return (error.detail or error.message if isinstance(error, Damaged) else str(error)), None
    if not bad:
        return None
    return f"{len(bad)} of {len(entries)} blocks are damaged; {next(iter(bad.values()))}", frozenset(bad)


def _files_in(contents: Contents, pack_id: str, ordinals: frozenset[int] | None) -> tuple[str, ...]:
    """The paths of the files that have a block in that pack, or one of those with these ordinals."""
    numbers = {number for number, pack in enumerate(contents.packs) if pack.id == pack_id}
    return tuple(
        file.path
        for file in contents.files
        if any(
            run.pack in numbers
            and (ordinals is None or any(run.first <= ordinal < run.first + run.count for ordinal in ordinals))
            for run in file.runs
        )
    )
