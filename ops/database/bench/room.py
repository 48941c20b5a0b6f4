"""Whether there is disk for a benchmark, before it makes anything."""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from pathlib import Path

from ops.errors import OpsError
from ops.model.bench import Scale
from ops.postgres.connect import Connection


def refuse_without_room(connection: Connection, scale: Scale, *, with_files: bool) -> None:
    """OpsError where a disk of this host has too little room. The disk of a server elsewhere is not seen."""
    wanted: dict[int, list[tuple[Path, int]]] = defaultdict(list)  # by device: both may be on the same
    for place, needed in _places(connection, scale, with_files):
        try:
            wanted[place.stat().st_dev].append((place, needed))
        except OSError:
            continue  # a server in a container: its path is none here
    for parts in wanted.values():
        place, needed, free = parts[0][0], sum(size for _, size in parts), shutil.disk_usage(parts[0][0]).free
        if free < needed:
            raise OpsError(
                f"the disk of {place} has too little room: {needed // 2**20} MiB needed, {free // 2**20} MiB free",
                detail="Nothing was made.",
                hint="Make room, or measure less with --users and --transactions.",
            )


def _places(connection: Connection, scale: Scale, with_files: bool) -> list[tuple[Path, int]]:
    row = connection.execute("SELECT current_setting('data_directory'), inet_server_addr() IS NULL").fetchone()
    assert row is not None
    here = [(Path(row[0]), scale.room)] if row[1] else []  # a socket: the server is on this host
    return [*here, (Path(tempfile.gettempdir()), scale.file_room)] if with_files else here
