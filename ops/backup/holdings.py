"""What a repository holds, as retention sees it: listings, and the description of each backup."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ops.backup import catalog
from ops.backup.lease import BACKUP, Holder
from ops.errors import OpsError
from ops.model.backup import Backup, is_backup_id
from ops.model.continuity import Archive, Start
from ops.model.ledger import stands
from ops.model.pack import PackRef
from ops.model.retention import Held, Holdings, Policy, continued
from ops.model.segment import Segment
from ops.model.sparse import Uses, uses
from ops.store.base import NotFound, Stored
from ops.store.codec import Damaged, Foreign
from ops.store.repository import Repository
from ops.wal.archive import Survey, segment_of, survey
from ops.wal.ledger import Ledger, seen

_READERS = 4  # lists of files can be large
_LEASE = re.compile(r"(\d{8})(\.end)?")


@dataclass(frozen=True)
class Surveyed:
    """The holdings, and the objects behind them by their key in the repository's folder.

    `refs` are the packs that backups refer to, by id; `uses` is which of their blocks, by backup.
    """

    holdings: Holdings
    stored: dict[str, Stored]
    wal_keys: dict[str, str]
    refs: dict[str, PackRef]
    uses: dict[str, Uses]

    def needs(self, size: int) -> dict[str, list[str]]:
        """What each manifest needs, by key."""
        return {
            f"backups/{one.id}/manifest": [
                *(f"packs/{pack}" for pack in one.packs),
                *(self.wal_keys[name] for part in one.segments(size) if (name := part.name) in self.wal_keys),
            ]
            for one in self.holdings.backups
        }


def look(repository: Repository, now: datetime, grace: timedelta, progress: Callable[[int, int], None]) -> Surveyed:
    """What there is. Raises Damaged where a backup cannot be read: nobody knows what it needs.

    The order matters. Leases before manifests: a backup that holds none any more has its manifest there. Manifests
    before packs: what a manifest refers to was there before it was.
    """
    busy = running(repository, now, grace)
    layout = repository.layout
    stored = {found.key.removeprefix(layout.root): found for found in repository.store.list(layout.backups)}
    committed = sorted(key.split("/")[1] for key in stored if key.endswith("/manifest"))
    described = _describe(repository, committed, progress)
    for root in (layout.packs, layout.copied):
        stored |= {found.key.removeprefix(layout.root): found for found in repository.store.list(root)}
    packs = {key.removeprefix("packs/"): found for key, found in stored.items() if key.startswith("packs/")}
    wal = survey(repository)
    stored |= {f"wal/{key}": found for key, found in wal.stored.items()}
    names = {key.rpartition("/")[2]: f"wal/{key}" for key in wal.stored}
    bad_packs, usable = _bad_packs(repository, packs), _usable(repository, wal.archive, wal.stored)
    holdings = Holdings(
        backups=tuple(_held(one.backup, frozenset(one.uses), packs.keys() - bad_packs, usable) for one in described),
        packs={name: found.modified for name, found in packs.items()},
        wal={name: stored[key].modified for name, key in names.items()},
        archive=wal.archive,
        leftovers=_leftovers(stored, set(committed)),
        lineage=not wal.unbelievable,
        busy=busy,
    )
    refs = {pack.id: pack for one in described for pack in one.packs if pack.id in packs}
    return Surveyed(holdings, stored, names, refs, {one.backup.id: one.uses for one in described})


def running(repository: Repository, now: datetime, grace: timedelta) -> bool:
    """Whether a backup may be under way: its lease has not ended, and its last sign of life is not too old.

    How old is too old allows for clocks that differ; only a process of this very host is known to be gone.
    """
    folder = repository.layout.leases(BACKUP)
    found = {stored.key.removeprefix(folder): stored for stored in repository.store.list(folder)}
    numbers = {match[1] for name in found if (match := _LEASE.match(name))}
    if not numbers or f"{max(numbers)}.end" in found:
        return False
    newest = max(numbers)
    try:
        holder = Holder.decode(repository.store.get(f"{folder}{newest}"))
    except NotFound:
        holder = None
    last = max(stored.modified for name, stored in found.items() if name.startswith(newest))
    return not (holder and holder.gone) and last > now - max(grace, timedelta(hours=1))


def starts_of(backups: Iterable[Backup], wal: Survey, policy: Policy, now: datetime) -> list[Start]:
    """Where recoveries begin that all later WAL is kept for: what was let go of by policy is no gap."""
    known = sorted(backups, key=lambda backup: backup.id)
    held = tuple(Held(one.id, one.timeline, one.start_lsn, one.stop_lsn, one.stop_time, frozenset()) for one in known)
    put = {key.rpartition("/")[2]: found.modified for key, found in wal.stored.items()}
    chosen = continued(Holdings(held, {}, put, wal.archive, lineage=not wal.unbelievable), policy, now)
    return [Start(one.timeline, one.start_lsn, one.stop_lsn) for one in known if one.id in chosen]


@dataclass(frozen=True)
class _Described:
    backup: Backup
    packs: tuple[PackRef, ...]
    uses: Uses


def _describe(repository: Repository, names: list[str], progress: Callable[[int, int], None]) -> list[_Described]:
    """Each backup and what it refers to; those that have gone meanwhile are left out."""
    same: dict[Any, Any] = {}  # backups have most of it in common, and it is kept once

    def describe(name: str) -> _Described | None:
        try:
            manifest = catalog.read(repository, name)
            contents = catalog.contents(repository, manifest)
        except NotFound:
            return None
        except (Damaged, Foreign) as error:
            raise OpsError(
                f"backup {name} cannot be read, and so not what it needs: nothing was removed",
                detail=f"{error.message}: {error.detail}",
                hint="Look at it with: ops backup verify. Bring its objects back from another copy of the repository, "
                "or remove its manifest by hand to let it go.",
            ) from error
        packs = tuple(same.setdefault(pack, pack) for pack in contents.packs)
        used = uses(contents)
        return _Described(
            manifest.backup, packs, {pack.id: same.setdefault(used[pack.id], used[pack.id]) for pack in packs}
        )

    found = []
    with ThreadPoolExecutor(_READERS) as pool:
        for number, one in enumerate(pool.map(describe, filter(is_backup_id, names)), start=1):
            progress(number, len(names))
            if one:
                found.append(one)
    return found


def _held(backup: Backup, packs: frozenset[str], good: set[str], archive: Archive) -> Held:
    held = Held(backup.id, backup.timeline, backup.start_lsn, backup.stop_lsn, backup.stop_time, packs)
    whole = packs <= good and all(archive.holds(segment) for segment in held.segments(archive.segment_size))
    return replace(held, good=whole)


def _bad_packs(repository: Repository, packs: Mapping[str, Stored]) -> set[str]:
    """Those that `ops backup verify` has found to be damaged."""
    entries = Ledger.load(repository, repository.layout.verified).entries
    return {
        name
        for name, found in packs.items()
        if (entry := entries.get(name)) and entry.verdict != "good" and stands(entry, seen(found))
    }


def _usable(repository: Repository, archive: Archive, stored: Mapping[str, Stored]) -> Archive:
    """The archive without what `ops wal gaps` has found to be damaged."""
    entries = Ledger.load(repository, repository.layout.ledger).entries
    bad: list[Segment] = [
        segment
        for key, found in stored.items()
        if (entry := entries.get(key)) and entry.verdict != "good" and stands(entry, seen(found))
        if (segment := segment_of(key, archive.segment_size))
    ]
    return archive.without(bad)


def _leftovers(stored: Mapping[str, Stored], committed: set[str]) -> dict[str, datetime]:
    """Backups of which something is there, but no manifest, and when the last of it was put."""
    found: dict[str, datetime] = {}
    for key, one in stored.items():
        if key.startswith("backups/") and (name := key.split("/")[1]) not in committed:
            found[name] = max(one.modified, found.get(name, datetime.min.replace(tzinfo=UTC)))
    return found
