"""What PostgreSQL is told when it archives or asks for a file: the same by the command and by the service."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from ops.errors import OpsError, UsageError
from ops.model.segment import WalFile
from ops.postgres.control import first_data_dir
from ops.store.repository import Repository
from ops.wal.access import Access
from ops.wal.contract import FetchExit, fetch_exit
from ops.wal.fetch import fetch_for_recovery, fetch_for_standby, has_history, never_written
from ops.wal.push import Pusher
from ops.wal.sources import Sources
from ops.wal.tail import tail_of

Tell = Callable[[BaseException | str], None]


class Delivery(Protocol):
    """Puts a file in its place."""

    def bring(self, repository: Repository, file: WalFile) -> bool:
        """From the archive; False where the store answered that it does not have it."""

    def put(self, file: WalFile, contents: bytes) -> None:
        """Contents that the caller has."""


@dataclass(frozen=True)
class Offered:
    """A file that PostgreSQL wants archived. `here` is the directory that it runs our command in."""

    path: Path
    here: Path
    data_dir: Path | None = None

    def pusher(self, access: Access) -> Pusher:
        """What archives it."""
        own = access.config.postgres.data_dir
        candidates = [self.data_dir] if self.data_dir else [self.here, self.path.parent.parent, own]
        return access.pusher(first_data_dir(candidates) or self.data_dir or self.here)


@dataclass(frozen=True)
class Wanted:
    """A file that PostgreSQL asks for, and where it is to be put (an absolute path).

    `tail`: the recovery is one to the very end, for which the live tail counts too.
    """

    name: str
    destination: Path
    here: Path
    data_dir: Path | None = None
    system_identifier: int | None = None
    tail: bool = False


def fetch(
    wanted: Wanted,
    access: Callable[[], Access],
    delivery: Delivery,
    tell: Tell,
    *,
    gone: Callable[[], bool] = lambda: False,
) -> FetchExit:
    """What PostgreSQL is to be told, once the file is in its place or cannot be.

    `gone` says that nobody waits for the answer any more. Raises what a recovery has to stop for.
    """
    try:
        file = WalFile.parse(wanted.name)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if never_written(file):
        return FetchExit.ABSENT
    known = access()
    own = known.config.postgres.data_dir
    candidates = [wanted.data_dir] if wanted.data_dir else [wanted.here, wanted.destination.parent.parent, own]
    place = first_data_dir(candidates)
    standby = place is not None and (place / "standby.signal").exists()

    def bring(repository: Repository) -> bool:
        return delivery.bring(repository, file)

    try:
        sources = Sources(known, place, wanted.system_identifier, standby, tell)
        if place is not None and standby:
            found = fetch_for_standby(
                lambda: sources.bring(file, bring),
                patience=_patience(known, wanted, file),
                hurry=lambda: gone() or (place / "promote").exists(),
                told=tell,
            )
        else:
            tail = partial(_from_tail, file, delivery, tell) if wanted.tail else None
            found = fetch_for_recovery(sources, file, bring, tail)
    except Exception as error:
        has_own = has_history(file, wanted.destination.parent)
        if fetch_exit(error, standby=standby, own_history=has_own) is FetchExit.STOP:
            raise
        with suppress(Exception):
            tell(error)
            instead = "uses its own copy" if has_own else "asks its primary, because this is a standby, and then again"
            tell(f"{wanted.name} was not fetched: PostgreSQL {instead}")
        return FetchExit.ABSENT
    return FetchExit.FETCHED if found else FetchExit.ABSENT


def _from_tail(file: WalFile, delivery: Delivery, tell: Tell, repository: Repository, whole: bool) -> bool:
    contents = tail_of(repository, file, whole=whole)
    if contents is None:
        return False
    delivery.put(file, contents)
    known = len(contents.rstrip(b"\0"))
    tell(f"{file.name} is not in the archive; its first {known} bytes are from the live tail")
    return True


def _patience(access: Access, wanted: Wanted, file: WalFile) -> float:
    """How long a standby waits for the store. Not at all where it has a file of that name itself, which it tries
    next: so it is when it is promoted, and that must not wait.
    """
    has_own = wanted.destination.with_name(file.name).exists()
    return 0 if has_own else access.config.wal.standby_patience


def in_words(error: BaseException) -> str:
    """An error for PostgreSQL's log, in its own manner."""
    if not isinstance(error, OpsError):
        return f"ERROR:  {type(error).__name__}: {error}"
    labelled = (("ERROR:  ", error.message), ("DETAIL:  ", error.detail), ("HINT:  ", error.hint))
    return "\n".join(label + text.replace("\n", "\n" + " " * len(label)) for label, text in labelled if text)
