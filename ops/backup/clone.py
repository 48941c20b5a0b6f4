"""A new replica from object storage: what Patroni calls before it would copy the whole database from the primary.

The newest base backup goes where Patroni wants the data; PostgreSQL then replays the WAL since from the store, and
the rest from the primary. Nothing here says how to recover: Patroni writes standby.signal, primary_conninfo and
restore_command itself, and a base backup holds none of an earlier recovery's (ops/model/datadir.py).
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from ops.backup.reach import newest_before, reach
from ops.backup.report import Progress
from ops.backup.restore import restore_files
from ops.config import Config
from ops.errors import OpsError, Unreachable
from ops.model.backup import Backup
from ops.model.target import Latest
from ops.postgres.cluster import client, leader_of
from ops.store.durable import sync_directory
from ops.store.repository import Repository


@dataclass(frozen=True)
class Origin:
    """The database to become a replica of. `timeline` is None where nobody was asked."""

    system_identifier: int
    timeline: int | None = None


@dataclass(frozen=True)
class Cloned:
    """What is remembered of a clone, beside the data directory: that it came from the store, and when."""

    backup: str
    timeline: int
    start_lsn: str
    system_identifier: int
    store: str
    bytes: int
    seconds: float
    finished: str


def make_ready(data_dir: Path) -> None:
    """Forget the clone before; OpsError where there are data. Comes first, so that no later failure is taken for it."""
    if data_dir.exists() and (not data_dir.is_dir() or any(data_dir.iterdir())):
        raise OpsError(
            f"{data_dir} is not empty; nothing was written",
            hint="Patroni empties it before it clones: patronictl reinit <cluster> <member>",
        )
    record_file(data_dir).unlink(missing_ok=True)


def ask_leader(config: Config) -> Origin:
    """The database that the cluster's leader has; Unreachable where nobody leads."""
    patroni = client(config)
    leader = leader_of(patroni.members())
    return Origin(patroni.at(leader).system_identifier(), leader.timeline)


def choose(repository: Repository, origin: Origin) -> Backup:
    """The newest backup from which the archive reaches the present of `origin`; OpsError where there is none.

    Behind a gap a standby would ask the primary for WAL that it removed long ago, and wait for ever.
    """
    backup = newest_before(repository, Latest())
    timeline = reach(repository, backup, Latest()).timeline
    if origin.timeline is not None and timeline > origin.timeline:
        raise OpsError(
            f"the archive has reached timeline {timeline}, and the leader is on {origin.timeline}",
            detail="A replica from that archive could not follow this leader.",
            hint="Another server archives to the same place: find out which. `ops wal list` shows since when.",
        )
    return backup


def clone(repository: Repository, backup: Backup, data_dir: Path, *, workers: int, progress: Progress) -> Cloned:
    """Make `data_dir`, which is empty or not there, the files of `backup`: all of them or none.

    Tablespaces go where they are on every other member.
    """
    start = time.monotonic()
    with _beside(data_dir) as unfinished:
        restored = restore_files(
            repository,
            backup,
            unfinished,
            workers=workers,
            progress=progress,
            tablespaces={oid: Path(path) for oid, path in backup.tablespaces.items()},
        )
        _put_in_place(unfinished, data_dir)
    cloned = Cloned(
        backup=backup.id,
        timeline=backup.timeline,
        start_lsn=str(backup.start_lsn),
        system_identifier=repository.system_identifier,
        store=repository.store.name,
        bytes=restored.size,
        seconds=round(time.monotonic() - start, 3),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    # Not inside of the data directory: there it would get into backups, and into replicas made in another way.
    record_file(data_dir).write_text(json.dumps(asdict(cloned), indent=2) + "\n")
    return cloned


def _put_in_place(unfinished: Path, data_dir: Path) -> None:
    try:
        unfinished.rename(data_dir)
        sync_directory(data_dir.parent)
    except OSError as error:
        raise OpsError(
            f"could not move {unfinished} to {data_dir}",
            detail=str(error),
            hint="The data directory must be an ordinary directory, no mount point of its own.",
        ) from error


def record_file(data_dir: Path) -> Path:
    """Where it is recorded that the data came from the store."""
    return data_dir.with_name(f"{data_dir.name}.clone.json")


@contextmanager
def _beside(data_dir: Path) -> Iterator[Path]:
    """A directory beside `data_dir` to work in, without what a killed attempt has left; removed when we fail.

    Patroni, started again after a power cut, takes a half-filled data directory for a broken database and waits for
    a person. An empty one it clones again.
    """
    unfinished = data_dir.with_name(f"{data_dir.name}.cloning")
    with _alone(data_dir.with_name(f"{data_dir.name}.clone.lock")):
        _discard(unfinished)
        try:
            yield unfinished
        except BaseException:
            _discard(unfinished)
            raise


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """The kernel lets go of the lock when we end, however that comes about."""
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise OpsError(f"may not write beside the data directory: {lock}", detail=str(error)) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Unreachable("another clone to the same place is under way", hint=f"See: fuser {lock}") from None
    finally:
        os.close(handle)


def _discard(unfinished: Path) -> None:
    """Remove an attempt, with what it has put into tablespaces."""
    for link in unfinished.glob("pg_tblspc/*"):
        if link.is_symlink() and link.is_dir():
            for left in link.iterdir():
                shutil.rmtree(left)
    if unfinished.exists():
        shutil.rmtree(unfinished)
