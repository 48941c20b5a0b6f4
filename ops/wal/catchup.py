"""What an old primary never archived, archived from wherever it still is.

A server that is promoted does not archive what it received from the old one: that was the old one's to do. If that
one died with segments unarchived, the archive has a hole before the fork, while every member of the cluster still has
them in its pg_wal. So each member, promoted or come back, looks for what the archive lacks of the timelines that its
own history has left, and pushes it. The same bytes from several members are one object; others are refused.
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass, field
from pathlib import Path

from ops.errors import OpsError, Unreachable
from ops.model.continuity import Archive, owed
from ops.model.segment import Segment
from ops.model.timeline import History
from ops.postgres.control import checkpoint
from ops.store.repository import Repository
from ops.wal.archive import segment_of
from ops.wal.check import Refused
from ops.wal.push import Pushed, Pusher, Source

# XLogPageHeaderData (src/include/access/xlog_internal.h), in the machine's byte order.
_PAGE_HEADER = struct.Struct("=HHIQ")
_PAGE = 8192
_POLL = 1.0


@dataclass
class CaughtUp:
    """What a run has done. `pushed` are the files that the store had not; `refused` says why others were not pushed.

    `timeline` is that of the server, by its latest checkpoint.
    """

    timeline: int
    pushed: list[str] = field(default_factory=list)
    refused: list[OpsError] = field(default_factory=list)


def catch_up(repository: Repository, pusher: Pusher, source: Source) -> CaughtUp:
    """Push what the archive lacks of ended timelines and this member still has. Raises Unreachable without the store.

    Nothing is pushed that the server has not replayed itself, along the history of the timeline that it is on.
    """
    pg_wal = source.data_dir / "pg_wal"
    point = checkpoint(source.bin_dir, source.data_dir)
    done = CaughtUp(point.timeline)
    if point.timeline == 1:
        return done
    history = _history(pg_wal, point.timeline)
    files = [path for path in pg_wal.iterdir() if path.is_file()]
    size = repository.describe().segment_size
    stored = {found.key.rpartition("/")[2] for found in repository.store.list(repository.layout.wal_root)}
    archive = _archive(stored, size)
    here = {segment: path for path in files if (segment := segment_of(path.name, size)) and path.stat().st_size == size}
    for path in _histories(files, history):
        if path.name not in stored:
            _push(pusher, path, done)
    for segment in owed(history, point.redo, here, archive):
        _push(pusher, here[segment], done, segment)
    return done


def wait_for_promotion(source: Source, seconds: float) -> None:
    """Returns once the latest checkpoint is of the newest timeline that pg_wal has a history of, or after `seconds`.

    A promoted server makes that checkpoint some time after it has begun to take writes.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        histories = (source.data_dir / "pg_wal").glob("*.history")
        newest = max((int(path.stem, 16) for path in histories), default=1)
        if checkpoint(source.bin_dir, source.data_dir).timeline >= newest:
            return
        time.sleep(_POLL)


def _push(pusher: Pusher, path: Path, done: CaughtUp, segment: Segment | None = None) -> None:
    """Push one file. One that cannot be pushed does not keep the others."""
    try:
        if segment is not None:
            _check_pages(path, segment)
        if pusher.push(path) is Pushed.STORED:
            done.pushed.append(path.name)
    except Unreachable:
        raise
    except OpsError as error:
        done.refused.append(error)


def _check_pages(path: Path, segment: Segment) -> None:
    """Refused where a page is not what belongs there: a recycled file holds pages of the WAL that it held before.

    Pages behind a switch to the next segment are zeros to its end (CopyXLogRecordToWAL in xlog.c).
    """
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise OpsError(f"could not read {path}", detail=error.strerror) from error
    for offset in range(0, len(contents), _PAGE):
        _, _, timeline, address = _PAGE_HEADER.unpack_from(contents, offset)
        position = segment.start.position + offset
        if (timeline, address) == (0, 0) and offset and not any(contents[offset:]):
            return
        if address != position or not 1 <= timeline <= segment.timeline:
            raise Refused(
                f"{path} is not complete: page {offset // _PAGE} is of other WAL",
                detail=f"it is that of {address >> 32:X}/{address & 0xFFFFFFFF:X} on timeline {timeline}",
                hint="It was not archived. Another member may have it whole: run `ops wal catchup` there.",
            )


def _history(pg_wal: Path, timeline: int) -> History:
    path = pg_wal / f"{timeline:08X}.history"
    try:
        return History.parse(timeline, path.read_text())
    except (OSError, ValueError) as error:
        raise OpsError(
            f"could not read how timeline {timeline} came to be",
            detail=f"{path}: {error}",
            hint="Without it nobody can say what is part of this server's history. Run it on another member.",
        ) from error


def _histories(files: list[Path], history: History) -> list[Path]:
    """The histories of the timelines that this one came from, and its own: no recovery finds its way without them."""
    names = {f"{timeline:08X}.history" for timeline in (history.timeline, *(one.timeline for one in history.ancestors))}
    return sorted(path for path in files if path.name in names)


def _archive(names: set[str], size: int) -> Archive:
    segments = [segment for name in names if (segment := segment_of(name, size))]
    return Archive(segment_size=size).joined(segments)
