"""Which stored objects need which data key, and so what the loss of a key would cost.

Read from the objects themselves: the first bytes of each WAL file and manifest, the last ones of each pack. No index
could tell more, and one that was wrong would be believed until the day that a key is lost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ops.backup import catalog
from ops.errors import OpsError
from ops.model.keys import lost_without
from ops.model.pack import FOOTER, PackError, sealing
from ops.store.base import NotFound, Stored
from ops.store.codec import PEEK, Damaged, damaged, peek
from ops.store.keyring import Keyring, KeyUnavailable
from ops.store.repository import Repository

# Headers are some hundred bytes: one small read nearly always suffices.
_FIRST_READ = 1024
_READERS = 16


@dataclass
class Uses:
    """What is sealed with one data key: names of WAL files, ids of backups that need it, and the packs."""

    wal: list[str] = field(default_factory=list)
    backups: set[str] = field(default_factory=set)
    packs: list[str] = field(default_factory=list)
    size: int = 0

    @property
    def nothing(self) -> bool:
        return not (self.wal or self.backups or self.packs)


@dataclass(frozen=True)
class Exposure:
    """The keys of a repository and what hangs on them.

    `wraps`: data key → key-encryption keys; `closed`: data keys that this host cannot open, and why; `problems`:
    objects whose key cannot be told, or wrapped keys that cannot be believed.
    """

    wraps: dict[str, frozenset[str]]
    uses: dict[str, Uses]
    closed: dict[str, str]
    problems: tuple[str, ...]

    def cost(self, keks: Iterable[str]) -> Uses:
        """What nobody could open any more without these key-encryption keys."""
        return self.of(lost_without(self.wraps, keks))

    @property
    def unreadable(self) -> Uses:
        """What this host cannot open now."""
        return self.of(self.closed)

    def of(self, data_keys: Iterable[str]) -> Uses:
        """All that is sealed with any of these data keys."""
        found = [self.uses[key] for key in sorted(data_keys) if key in self.uses]
        return Uses(
            wal=sorted(name for uses in found for name in uses.wal),
            backups=set().union(*(uses.backups for uses in found)),
            packs=[name for uses in found for name in uses.packs],
            size=sum(uses.size for uses in found),
        )


def examine(repository: Repository, keyring: Keyring, progress: Callable[[int, int], None]) -> Exposure:
    """Look at every object of the repository. Raises Unreachable where the store gives no answer."""
    wraps = keyring.wraps()
    stored = [
        found
        for root in (repository.layout.wal_root, repository.layout.backups, repository.layout.packs)
        for found in repository.store.list(root)
    ]
    uses: defaultdict[str, Uses] = defaultdict(Uses)
    problems: list[str] = []
    keys: dict[str, str] = {}
    with ThreadPoolExecutor(_READERS) as pool:
        for number, (found, key) in enumerate(zip(stored, pool.map(_reader(repository), stored), strict=True), start=1):
            progress(number, len(stored))
            if isinstance(key, OpsError):
                problems.append(f"{key.message}: {key.detail}")
            elif key:
                keys[found.key] = key
                _count(repository, uses[key], found)
    for data_key in keys.values():
        wraps.setdefault(data_key, frozenset())  # nothing wraps it any more: it is lost already
    _count_backups(repository, uses, keys)
    closed, broken = _closed(keyring, wraps)
    return Exposure(wraps, dict(uses), closed, (*problems, *broken))


def _reader(repository: Repository) -> Callable[[Stored], str | OpsError | None]:
    def read(found: Stored) -> str | OpsError | None:
        """The data key of an object; None where it has gone meanwhile."""
        try:
            if found.key.startswith(repository.layout.packs):
                return _pack_key(repository, found)
            return _envelope_key(repository, found)
        except NotFound:
            return None
        except (Damaged, PackError) as error:
            return damaged(found.key, str(getattr(error, "detail", error)))

    return read


def _envelope_key(repository: Repository, found: Stored) -> str:
    for limit in (_FIRST_READ, PEEK):
        try:
            header = peek(repository.store.get(found.key, length=min(limit, found.size)))
            break
        except Damaged:
            if limit >= min(PEEK, found.size):
                raise
    if not header.encryption or not isinstance(key := header.encryption.get("key"), str):
        raise damaged(found.key, "it is plaintext, in a repository that is declared to be encrypted")
    return key


def _pack_key(repository: Repository, found: Stored) -> str:
    seal = sealing(repository.store.get(found.key, offset=max(0, found.size - FOOTER.size)))
    if seal is None:
        raise damaged(found.key, "it is plaintext, in a repository that is declared to be encrypted")
    return seal.key_id


def _count(repository: Repository, uses: Uses, found: Stored) -> None:
    name = found.key.rpartition("/")[2]
    uses.size += found.size
    if found.key.startswith(repository.layout.wal_root):
        uses.wal.append(name)
    elif found.key.startswith(repository.layout.packs):
        uses.packs.append(name)
    else:
        uses.backups.add(found.key.removeprefix(repository.layout.backups).partition("/")[0])


def _count_backups(repository: Repository, uses: dict[str, Uses], keys: dict[str, str]) -> None:
    """A backup needs the keys of its packs too. Of one that cannot be opened, its own key is all that is known."""
    block_key = repository.describe().block_key
    for backup_id in catalog.ids(repository):
        if isinstance(block_key, dict) and block_key["key"] in uses:
            uses[block_key["key"]].backups.add(backup_id)  # no block can be proven without it
        try:
            packs = catalog.contents(repository, catalog.read(repository, backup_id)).packs
        except (Damaged, KeyUnavailable):
            continue
        for pack in packs:
            if key := keys.get(repository.layout.pack(pack.id)):
                uses[key].backups.add(backup_id)


def _closed(keyring: Keyring, wraps: dict[str, frozenset[str]]) -> tuple[dict[str, str], list[str]]:
    """The data keys that this host cannot open, and the wrapped keys that are not what they should be.

    Every wrapped key that this host has the key to is opened: a second one that is broken would be found out only
    when the first is gone.
    """
    closed: dict[str, str] = {}
    problems: list[str] = []
    here = {name: keyring.files.get(name) for name in keyring.files.ids()}
    for data_key, keks in wraps.items():
        reasons = []
        for kek in sorted(keks & here.keys()):
            try:
                keyring.open(data_key, here[kek])
            except (Damaged, KeyUnavailable, NotFound) as error:
                reasons.append(f"{error.message}: {error.detail}")
        problems += reasons
        if len(reasons) == len(keks & here.keys()):
            wanted = " or ".join(sorted(keks))
            closed[data_key] = f"needs the key {wanted}" if wanted else "no wrapped copy of it is left in the store"
    return closed, problems
