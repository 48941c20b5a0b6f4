"""One repository brought to another, whole: WAL, base backups and evidence, so that the other restores by itself.

Each repository has its own keys, so that nothing is copied as it lies there: every block is opened, proven by its name,
named and sealed anew, in the same order within its pack. Files therefore keep their places, and a copied list of files
differs only in the packs that it begins with. Which pack was copied as which is noted beside them: a run that is
killed goes on there. The manifest is put last, once all that it needs is there: at every moment the other restores.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime

import zstandard

from ops.backup import catalog
from ops.backup.lease import BACKUP, Lease
from ops.backup.report import Meter, Reporter
from ops.backup.unpack import open_block
from ops.errors import OpsError, Unreachable
from ops.model.backup import Backup
from ops.model.blocks import block_id
from ops.model.manifest import Contents, Manifest, digest
from ops.model.pack import Builder, PackRef, parse_tail, sealing
from ops.model.segment import Segment
from ops.store.base import AlreadyExists, NotFound, Stored
from ops.store.codec import Damaged, Foreign
from ops.store.repository import Repository, ensure
from ops.wal.faults import reached
from ops.wal.mirror import Behind
from ops.wal.mirror import behind as wal_behind
from ops.wal.mirror import mirror as mirror_wal

# A pack in memory, and the one that is made of it: two of each stay below 200 MiB.
_WORKERS = 2


@dataclass(frozen=True)
class Lag:
    """What the other repository lacks: backups by id, WAL, and what else is to be copied for it to be whole.

    `others` are packs, descriptions of backups, and evidence, as they lie in the first repository. `oldest`: since when
    the oldest of it could have been copied, which a pack can once its backup is complete; None: nothing is lacking.
    """

    backups: tuple[str, ...]
    wal: Behind
    others: tuple[Stored, ...]
    oldest: datetime | None

    @property
    def objects(self) -> int:
        return len(self.wal.missing) + len(self.others)

    @property
    def size(self) -> int:
        """Bytes as stored in the first repository."""
        return self.wal.size + sum(stored.size for stored in self.others)

    @property
    def nothing(self) -> bool:
        return not self.objects

    def seconds(self, now: datetime) -> float:
        return max(0.0, (now - self.oldest).total_seconds()) if self.oldest else 0.0


@dataclass
class Copied:
    """What a run has done: backups and WAL files by name, bytes of packs put, and what could not be copied."""

    backups: list[str] = field(default_factory=list)
    wal: list[str] = field(default_factory=list)
    pack_bytes: int = 0
    refused: list[OpsError] = field(default_factory=list)


def lag(source: Repository, target: Repository) -> Lag:
    """How far `target` is behind `source`. Raises Unreachable where one of them gives no answer.

    It takes listings of both, and reads what describes the backups that are missing.
    """
    wal = wal_behind(source, target)
    missing = _missing(source, target)
    there = _listing(target, target.layout.backups)
    described = [
        stored
        for name, stored in _listing(source, source.layout.backups).items()
        if name not in there and name.partition("/")[0] in missing
    ]
    evidence = _evidence_to_copy(source, target)
    since = [stored.modified for stored in (*wal.missing, *described, *evidence)]
    others = (*_packs_to_copy(source, target, missing), *described, *evidence)
    return Lag(tuple(missing), wal, others, min(since, default=None))


def _missing(source: Repository, target: Repository) -> list[str]:
    there = set(catalog.ids(target))
    return [name for name in catalog.ids(source) if name not in there]


def _packs_to_copy(source: Repository, target: Repository, backups: Sequence[str]) -> list[Stored]:
    """The packs of these backups that have not been copied yet; nobody knows those of a backup that cannot be read."""
    wanted = set[str]()
    for name in backups:
        with suppress(Damaged, Foreign, NotFound):
            wanted |= {pack.id for pack in catalog.contents(source, catalog.read(source, name)).packs}
    if not wanted:
        return []
    there = _listing(target, target.layout.packs)
    notes = (name.partition(".") for name in _listing(target, target.layout.copied))
    wanted -= {before for before, _, made in notes if made in there}
    return [found for name, found in _listing(source, source.layout.packs).items() if name in wanted]


def _evidence_to_copy(source: Repository, target: Repository) -> list[Stored]:
    """What drills have proven and looks at audit trails have found, and the target does not know."""
    there = _listing(target, target.layout.evidence)
    return [stored for name, stored in _listing(source, source.layout.evidence).items() if name not in there]


def mirror(source: Repository, target: Repository, *, level: int, reporter: Reporter) -> Copied:
    """Bring all that `target` lacks to it: WAL first, then backups, oldest first, then evidence.

    What is damaged in the source does not keep the rest. Raises Unreachable where one of them gives no answer.
    """
    done = Copied()
    with reporter.stage(f"copy WAL to {target.store.name}"):
        wal = mirror_wal(source, target, level=level)
        done.wal, done.refused = wal.names, list(wal.refused)
    missing = _missing(source, target)
    if missing:
        # So that no expiry there takes what has no manifest yet, and no other host copies the same.
        with Lease(target, BACKUP, reporter):
            run = _Run(source, target, level, done)
            for name in missing:
                with reporter.stage(f"copy backup {name} to {target.store.name}"):
                    run.copy(name, reporter)
    _copy_evidence(source, target)
    return done


class _Run:
    """The copying of several backups."""

    def __init__(self, source: Repository, target: Repository, level: int, done: Copied) -> None:
        info = source.describe()
        there = ensure(target, segment_size=info.segment_size, postgres_version=info.postgres_version)
        if info.block_size != there.block_size:
            raise OpsError(
                f"{source.store.name} and {target.store.name} cut files on different grids",
                detail=f"blocks of {info.block_size} bytes there, of {there.block_size} here",
                hint="Name a new prefix for the copy.",
            )
        self._source, self._target = source, target
        self._from, self._to = source.block_key(info), target.block_key(there)
        self._segment_size = info.segment_size
        self._level = level
        self._done = done
        self._packs = _listing(target, target.layout.packs)
        self._known = self._noted()

    def copy(self, name: str, reporter: Reporter) -> None:
        """One backup; what is wrong with it is noted, and raised only where the question stays open."""
        try:
            manifest = catalog.read(self._source, name)
            contents = catalog.contents(self._source, manifest)
            self._see_wal(manifest.backup)
            packs = self._copy_packs(contents.packs, reporter)
            self._commit(manifest, replace(contents, packs=packs))
        except NotFound:
            return  # let go of meanwhile
        except Unreachable:
            raise
        except OpsError as error:
            self._done.refused.append(error)
            return
        self._done.backups.append(name)

    def _see_wal(self, backup: Backup) -> None:
        """OpsError where the WAL that makes the backup consistent is not in the copy."""
        there = _listing(self._target, f"{self._target.layout.wal_root}{backup.timeline:08X}/")
        first, last = (Segment.parse(name, self._segment_size) for name in (backup.first_segment, backup.last_segment))
        names = [Segment(first.timeline, n, first.size).name for n in range(first.number, last.number + 1)]
        if gone := [name for name in names if name not in there]:
            raise OpsError(
                f"backup {backup.id} was not copied: WAL that it needs is not in {self._target.store.name}",
                detail=f"missing there: {', '.join(gone)}",
                hint="`ops wal gaps` tells whether it is in the first repository.",
            )

    def _copy_packs(self, packs: Sequence[PackRef], reporter: Reporter) -> tuple[PackRef, ...]:
        meter = Meter(sum(pack.size for pack in packs), reporter.progress)

        def copy(pack: PackRef) -> PackRef:
            try:
                return self._known.get(pack.id) or self._copy_pack(pack)
            finally:
                meter.add(pack.size)

        with ThreadPoolExecutor(_WORKERS) as pool:
            try:
                return tuple(pool.map(copy, packs))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _copy_pack(self, pack: PackRef) -> PackRef:
        try:
            made, body = self._renew(pack, memoryview(self._source.store.get(self._source.layout.pack(pack.id))))
        except NotFound as error:
            raise catalog.damaged(f"pack {pack.id}", error.message) from error
        except ValueError as error:
            raise catalog.damaged(f"pack {pack.id}", str(error)) from error
        with suppress(AlreadyExists):  # by its name it has the same bytes: our own PUT, sent twice
            self._target.store.put(self._target.layout.pack(made.id), body)
        reached("mirror-packed")
        self._note(pack, made)
        self._done.pack_bytes += made.size
        return made

    def _renew(self, pack: PackRef, body: memoryview) -> tuple[PackRef, bytes]:
        """The same blocks in the same order under the target's keys; ValueError unless each is what its name says."""
        if len(body) != pack.size:
            raise ValueError(f"has {len(body)} bytes, not {pack.size}")
        tail = bytes(body[-pack.tail :])
        entries, cipher = parse_tail(tail, pack), self._source.pack_cipher(sealing(tail))
        builder, decompressor = Builder(self._target.new_pack_cipher()), zstandard.ZstdDecompressor()
        for entry in entries:
            stored = body[entry.offset : entry.offset + entry.stored]
            payload = cipher.open(stored, entry.offset) if cipher else stored
            plain = open_block(memoryview(payload), entry, self._from, None, decompressor)
            builder.add(block_id(self._to, plain), payload, entry.plain, compressed=entry.compressed)
        return builder.seal()

    def _note(self, pack: PackRef, made: PackRef) -> None:
        name = f"{pack.id}.{made.id}"
        plain = json.dumps(asdict(made)).encode()
        blob = self._target.seal("ledger", f"copied/{name}", plain, level=self._level)
        with suppress(AlreadyExists):
            self._target.store.put(f"{self._target.layout.copied}{name}", blob)
        self._known[pack.id] = made

    def _noted(self) -> dict[str, PackRef]:
        """The packs that were copied before and are still there, by their id in the source."""
        found = {}
        for name, stored in _listing(self._target, self._target.layout.copied).items():
            before, _, made = name.partition(".")
            if made in self._packs:
                blob = self._target.store.get(stored.key)
                with suppress(Damaged, Foreign, ValueError, TypeError):  # what cannot be believed is copied again
                    ref = PackRef(**json.loads(self._target.unseal(blob, kind="ledger", name=f"copied/{name}")))
                    if (ref.id, ref.size) == (made, self._packs[made].size):
                        found[before] = ref
        return found

    def _commit(self, manifest: Manifest, contents: Contents) -> None:
        """The list of files, and the manifest at last, once all packs are seen to be there."""
        backup, layout = manifest.backup, self._target.layout
        plain = contents.encode()
        made = replace(backup, stored_bytes=sum(pack.size for pack in contents.packs))
        blob = self._target.seal("manifest", catalog.files_name(backup.id), plain, level=self._level)
        try:
            self._target.store.put(layout.files(backup.id), blob)
        except AlreadyExists:
            self._see_same_files(backup.id, plain)
        reached("mirror-listed")
        there = _listing(self._target, layout.packs)
        if gone := [pack.id for pack in contents.packs if pack.id not in there or there[pack.id].size != pack.size]:
            raise catalog.damaged(f"the copy of backup {backup.id}", f"pack {gone[0]} has gone while it was made")
        sealed = replace(manifest, backup=made, files_sha256=digest(plain)).encode()
        blob = self._target.seal("manifest", backup.id, sealed, level=self._level)
        with suppress(AlreadyExists):  # our own PUT, sent twice: nobody else has the lease
            self._target.store.put(layout.manifest(backup.id), blob)
        reached("mirror-committed")

    def _see_same_files(self, name: str, plain: bytes) -> None:
        """What a killed run left is what we would put: it went by the same notes."""
        blob = self._target.store.get(self._target.layout.files(name))
        if self._target.unseal(blob, kind="manifest", name=catalog.files_name(name)) != plain:
            raise OpsError(
                f"another list of files of backup {name} is in {self._target.store.name}",
                detail="A copy that was never completed left it, and its notes are lost.",
                hint="`ops backup expire --repository` on that repository lets it go after its grace; then copy again.",
            )


def _listing(repository: Repository, folder: str) -> Mapping[str, Stored]:
    return {stored.key.removeprefix(folder): stored for stored in repository.store.list(folder)}


def _copy_evidence(source: Repository, target: Repository) -> None:
    """Byte by byte: it is in no envelope."""
    for stored in _evidence_to_copy(source, target):
        name = stored.key.removeprefix(source.layout.evidence)
        with suppress(AlreadyExists):
            target.store.put(f"{target.layout.evidence}{name}", source.store.get(stored.key))
