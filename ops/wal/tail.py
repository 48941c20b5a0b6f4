"""The live tail: what is flushed of the current segment, in the store within a second, and back from there.

    tail/<segment>/<start>-<end>        pieces, put once each; removed when the whole segment is in the archive

Only a primary ships. Only a recovery that says so (`--tail`, for the target `latest`) reads, at the end of the archive
and nowhere else: for a standby, a segment that ends in zeros would stand in the way of the one that it streams.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from ops.config import Config
from ops.errors import OpsError, Unreachable
from ops.model.lsn import LSN
from ops.model.segment import Segment, WalFile
from ops.model.tail import Piece, chain, next_pieces
from ops.postgres.connect import Connection, connect, row
from ops.store.base import AlreadyExists, NotFound
from ops.store.codec import Damaged
from ops.store.repository import Repository
from ops.wal.access import Access
from ops.wal.archive import read_history
from ops.wal.check import Refused

# An error would be in the log of every replica, once a second.
_FLUSHED = """
    SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_flush_lsn()::text END,
           CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_flush_lsn()) END
"""


@dataclass(frozen=True)
class Shipped:
    """How far the tail is in the store, and when that was found."""

    lsn: LSN
    at: datetime

    def as_dict(self) -> dict[str, Any]:
        return {"lsn": str(self.lsn), "at": self.at.isoformat()}


class Shipper:
    """Ships the tail of the database of this host's server, one step a call. For one thread."""

    def __init__(self, config: Config, access: Access) -> None:
        self._config = config
        self._access = access
        self._connection: Connection | None = None
        self._size = 0
        self._last: Piece | None = None
        self.shipped: Shipped | None = None

    def ship(self, data_dir: Path) -> None:
        """Put what was flushed since the last call. Nothing on a replica, nor where the server does not let us in.

        Raises OpsError where the store does not take it.
        """
        # A server that has either does not let us in yet, or is a replica, and says so in its log each time.
        recovering = any((data_dir / name).exists() for name in ("standby.signal", "recovery.signal"))
        position = None if recovering else self._position()
        if position is None:
            self._last = self.shipped = None
            return
        timeline, flushed = position
        repository = self._access.repository(data_dir)
        pieces = next_pieces(self._last, timeline, flushed, self._size)
        for piece in pieces:
            contents = _flushed(data_dir / "pg_wal" / piece.segment, piece)
            _put(repository, piece, contents, self._config.wal.compression_level)
            self._last = piece
        self.shipped = Shipped(flushed, datetime.now(UTC))

    def close(self) -> None:
        """Let go of the connection; the next call makes another."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _position(self) -> tuple[int, LSN] | None:
        """The timeline that the server writes, and how far it is on disk; None where it is no primary."""
        import psycopg  # noqa: PLC0415 - a fetch, which reads what was shipped, does without

        try:
            if self._connection is None:
                self._connection = connect(self._config.postgres, purpose="ops archiver", timeout=5)
                self._connection.execute("SET statement_timeout = '5s'")
                size = "SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size'"
                self._size = int(row(self._connection, size)[0])
            lsn, name = row(self._connection, _FLUSHED)
            return (int(name[:8], 16), LSN.parse(lsn)) if lsn is not None else None
        except (psycopg.Error, Unreachable):
            self.close()
            return None


def tail_of(repository: Repository, file: WalFile, *, whole: bool) -> bytes | None:
    """The segment `file` as far as the tail has it, zeros after that; None where there is nothing of it.

    `whole`: nothing less than all of it will do. It ends where a later timeline left this one: what an old primary
    wrote after that is no part of the history.
    """
    try:
        pieces = chain(_pieces(repository, file.name))
        reached = max((piece.end for piece in pieces), default=0)
        size = repository.describe().segment_size
        if reached == 0 or (whole and reached < size):
            return None
        contents = bytearray(size)
        known = 0
        for piece in pieces:
            plain = _read(repository, piece)
            overlap = known - piece.start
            if plain[:overlap] != contents[piece.start : min(known, piece.end)]:
                raise Damaged(
                    f"the pieces of {file.name} in the live tail do not agree",
                    detail=f"{piece.name} says otherwise than those before it",
                    hint="Two servers have written this timeline. Restore to a moment before it: see `ops wal list`.",
                )
            contents[piece.start : piece.end] = plain
            known = max(known, piece.end)
        end = _left_at(repository, file.timeline)
        start = Segment.parse(file.name, size).start
        if end is not None and end - start < size:
            cut = max(end - start, 0)
            contents[cut:] = bytes(size - cut)
        return bytes(contents)
    except NotFound:  # superseded while we looked
        return None


def remove_superseded(repository: Repository) -> None:
    """Remove the pieces of segments that are in the archive whole. Unreachable where that is not allowed."""
    store, layout = repository.store, repository.layout
    pieces = list(store.list(layout.tail_root))
    for segment, group in groupby(pieces, key=lambda stored: stored.key.split("/")[-2]):
        with suppress(NotFound, ValueError):
            store.head(layout.wal(WalFile.parse(segment)))
            for stored in group:
                store.delete(stored.key)


def _flushed(path: Path, piece: Piece) -> bytes:
    """The bytes of a piece, from the file that PostgreSQL writes; OpsError where that is another one by now."""
    try:
        with path.open("rb") as file:
            contents = os.pread(file.fileno(), piece.end - piece.start, piece.start)
            same = os.fstat(file.fileno()).st_ino == path.stat().st_ino
    except OSError as error:
        raise OpsError(f"could not read {path}", detail=error.strerror) from error
    if not same or len(contents) != piece.end - piece.start:
        raise OpsError(f"{path} changed while it was read")
    return contents


def _put(repository: Repository, piece: Piece, contents: bytes, level: int) -> None:
    blob = repository.seal("wal", piece.label, contents, level=level)
    try:
        repository.store.put(repository.layout.tail(piece), blob)
    except AlreadyExists:
        if _read(repository, piece) != contents:
            raise Refused(
                f"another {piece.label} is in {repository.store.name} already",
                hint="Nothing was overwritten. Two servers write the same timeline: stop one of them.",
            ) from None


def _read(repository: Repository, piece: Piece) -> bytes:
    blob = repository.store.get(repository.layout.tail(piece))
    contents = repository.unseal(blob, kind="wal", name=piece.label)
    if len(contents) != piece.end - piece.start:
        raise Damaged(f"{piece.label} in the store is damaged", detail=f"it has {len(contents)} bytes")
    return contents


def _pieces(repository: Repository, segment: str) -> Iterator[Piece]:
    for stored in repository.store.list(f"{repository.layout.tail_root}{segment}/"):
        with suppress(ValueError):
            yield Piece.parse(segment, stored.key.rpartition("/")[2])


def _left_at(repository: Repository, timeline: int) -> LSN | None:
    """Where the first later timeline left this one. They are numbered without gaps, as PostgreSQL looks for them."""
    ends: list[LSN] = []
    child = timeline
    while True:
        child += 1
        try:
            history = read_history(repository, WalFile.parse(f"{child:08X}.history"))
        except NotFound:
            return min(ends, default=None)
        with suppress(KeyError):
            if (end := history.left_at(timeline)) is not None:
                ends.append(end)
