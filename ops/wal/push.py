"""Archive one file, once: checked, sealed, put under its exact name, and never over another one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ops.errors import OpsError, Unreachable
from ops.model.envelope import Header
from ops.model.layout import Layout
from ops.model.segment import Kind, WalFile
from ops.model.timeline import History
from ops.postgres.control import ControlData, major_version, segment_size
from ops.store.base import AlreadyExists, NotFound, Store
from ops.store.codec import PEEK, peek, seal
from ops.store.repository import ensure
from ops.wal.check import Refused, check_file


class Pushed(Enum):
    """How a push ended well."""

    STORED = "stored"
    ALREADY_THERE = "already there"


@dataclass(frozen=True)
class Source:
    """The server whose WAL is archived: where it keeps it, and PostgreSQL's programs."""

    data_dir: Path
    bin_dir: Path


def push_file(path: Path, source: Source, store: Store, *, prefix: str, cluster: str, level: int) -> Pushed:
    """Archive the file at `path`; returns when the store has it, by this push or by an earlier one.

    Raises Refused for a file that must not be archived, Unreachable where the store gave no answer. `level` is
    zstd's.
    """
    try:
        file = WalFile.parse(path.name)
        contents = path.read_bytes()
    except ValueError as error:
        raise Refused(f"{path} is no WAL file", detail=str(error)) from None
    except OSError as error:
        raise OpsError(f"could not read {path}", detail=error.strerror) from error
    system_identifier = ControlData.read(source.data_dir).system_identifier
    major = major_version(source.data_dir)
    check_file(
        file,
        contents,
        system_identifier=system_identifier,
        major_version=major,
        history=_local_history(path.parent, file.timeline),
    )
    layout = Layout(prefix, cluster, system_identifier)
    is_segment = file.kind in (Kind.SEGMENT, Kind.PARTIAL)
    size = len(contents) if is_segment else segment_size(source.bin_dir, source.data_dir)
    ensure(store, layout, segment_size=size, postgres_version=major)
    blob = seal("wal", file.name, system_identifier, contents, level=level)
    try:
        store.put(layout.wal(file), blob)
    except AlreadyExists:
        _compare(store, layout.wal(file), peek(blob))
        return Pushed.ALREADY_THERE
    return Pushed.STORED


def _compare(store: Store, key: str, ours: Header) -> None:
    """Refused unless the stored object is the file that we were about to store."""
    try:
        size = store.head(key).size
        theirs = peek(store.get(key, length=min(size, PEEK)))
    except NotFound as error:
        raise Unreachable(
            f"{store.name} gave two answers about {key}",
            detail="It is there, and it is not: somebody else is writing or deleting it just now.",
            hint="PostgreSQL asks again.",
        ) from error
    if (theirs.sha256, theirs.system_identifier) != (ours.sha256, ours.system_identifier):
        raise Refused(
            f"another {ours.name} is in {store.name} already",
            detail=(
                f"SHA-256 there {theirs.sha256} (system identifier {theirs.system_identifier}),\n"
                f"SHA-256 here  {ours.sha256} (system identifier {ours.system_identifier})"
            ),
            hint=(
                "Nothing was overwritten. Two servers have written this file: look for one that was promoted or "
                "restored without a new timeline, and stop it from archiving before you do anything else."
            ),
        )


def _local_history(pg_wal: Path, timeline: int) -> History | None:
    """The history of `timeline` as the server has it beside its WAL; None where it has not."""
    if timeline == 1:
        return History(1)
    name = f"{timeline:08X}.history"
    try:
        return History.parse(timeline, (pg_wal / name).read_text())
    except OSError:
        return None
    except ValueError as error:
        raise Refused(f"{name} beside the WAL is damaged", detail=str(error)) from error
