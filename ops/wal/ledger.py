"""The verification of archived WAL, and the ledger of it in the store: small immutable objects.

Each run puts what it has verified as `ledger/<moment>.part`; when many have gathered, a `.full` one that holds all that
is known, from which the next run starts to read. What lies before the full one before that is removed.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from ops.errors import Unreachable
from ops.model.continuity import Archive
from ops.model.ledger import Entry, Seen, Verdict, decode, due, encode, merged
from ops.model.segment import WalFile
from ops.store.base import NotFound, Stored
from ops.store.codec import Damaged, Foreign
from ops.store.repository import Repository
from ops.wal.check import Refused, check_file

# Objects to read at the beginning of a run, at most, before a full one is put.
_MOST_PARTS = 32
# A segment takes three times its size for a moment; four of 16 MiB stay below 200 MiB.
_WORKERS = 4
_LEVEL = 3


def seen(stored: Stored) -> Seen:
    """An object of a listing, as the ledger compares it."""
    return Seen(stored.size, int(stored.modified.timestamp() * 1_000_000))


@dataclass(frozen=True)
class Ledger:
    """What was verified when, by the object's key below wal/ (or below packs/), as the objects in `folder` tell it.

    `parts`: how many objects were read for it; `damaged`: those of them that cannot be believed; `superseded`: older
    ones. A ledger only saves work: what it cannot vouch for is verified again.
    """

    folder: str
    entries: dict[str, Entry]
    parts: int = 0
    damaged: tuple[str, ...] = ()
    superseded: tuple[str, ...] = ()

    @classmethod
    def load(cls, repository: Repository, folder: str) -> Ledger:
        """The ledger as the store has it."""
        names = [found.key for found in repository.store.list(folder)]
        full = [name for name in names if name.endswith(".full")]
        recent = [name for name in names if not full or name >= full[-1]]
        older = tuple(name for name in names if name not in recent)
        parts = {name: _read(repository, name) for name in recent}
        bad = tuple(name for name, part in parts.items() if part is None)
        return cls(folder, merged(part for part in parts.values() if part is not None), len(recent), bad, older)

    def record(self, repository: Repository, found: Mapping[str, Entry]) -> None:
        """Put what a run has found. Nothing is put where it has verified nothing."""
        if not found:
            return
        moment = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(3)}"
        full = self.parts >= _MOST_PARTS
        key = f"{self.folder}{moment}.{'full' if full else 'part'}"
        plain = encode(merged([self.entries, found]) if full else found)
        repository.store.put(key, repository.seal("ledger", _name(repository, key), plain, level=_LEVEL))
        if full:
            with suppress(Unreachable):  # a credential that may not delete leaves them
                for old in self.superseded:
                    repository.store.delete(old)


def verify(
    repository: Repository,
    archive: Archive,
    stored: Mapping[str, Stored],
    ledger: Ledger,
    *,
    budget: int | None,
    progress: Callable[[int, int], None],
) -> dict[str, Entry]:
    """Read and verify what is due of `stored` (by key below wal/), at most `budget` bytes of it; what was found.

    Raises Unreachable, KeyUnavailable too, where the question stays open.
    """
    major = repository.describe().postgres_version
    wanted = due({key: seen(found) for key, found in stored.items()}, ledger.entries, budget)
    found: dict[str, Entry] = {}

    def look(key: str) -> Entry | None:
        return _verify(repository, archive, key, stored[key], major)

    with ThreadPoolExecutor(_WORKERS) as pool:
        for number, (key, entry) in enumerate(zip(wanted, pool.map(look, wanted), strict=True), start=1):
            progress(number, len(wanted))
            if entry is not None:
                found[key] = entry
    return found


def _verify(repository: Repository, archive: Archive, key: str, stored: Stored, major: int) -> Entry | None:
    """One object, from its bytes alone; None where it has gone since it was listed."""
    verdict: Verdict = "good"
    detail = ""
    try:
        file = WalFile.parse(key.rpartition("/")[2])
        plain = repository.unseal(repository.store.get(stored.key), kind="wal", name=file.name)
        check_file(
            file,
            plain,
            system_identifier=repository.system_identifier,
            major_version=major,
            history=archive.history(file.timeline),
        )
    except NotFound:
        return None
    except Damaged as error:
        verdict, detail = "damaged", error.detail or error.message
    except (Foreign, Refused) as error:
        verdict, detail = "foreign", error.detail or error.message
    return Entry(seen(stored), int(time.time() * 1_000_000), verdict, detail)


def _read(repository: Repository, key: str) -> dict[str, Entry] | None:
    """One object of the ledger; None where it cannot be believed."""
    try:
        return decode(repository.unseal(repository.store.get(key), kind="ledger", name=_name(repository, key)))
    except NotFound:
        return {}
    except (ValueError, Damaged, Foreign):
        return None


def _name(repository: Repository, key: str) -> str:
    """What an object calls itself: no ledger of one kind can stand for one of another."""
    return key.removeprefix(repository.layout.ledger).removeprefix(repository.layout.root)
