"""How much room the disk has that a member's WAL is on."""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass
from pathlib import Path

from ops.errors import Unreachable
from ops.readiness.ask import Endpoint

_FREE = re.compile(r"^ops_wal_directory_free_bytes (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Disk:
    """Bytes of a file system: free to PostgreSQL, and all of it; None where only the first is told."""

    free: int
    size: int | None = None


def here(data_dir: Path) -> Disk:
    """On this host; Unreachable where that may not be seen."""
    try:
        found = os.statvfs(data_dir / "pg_wal")
    except OSError as error:
        raise Unreachable(f"could not look at {data_dir}", detail=error.strerror) from error
    return Disk(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)


def of_exporter(context: ssl.SSLContext, address: str, port: int) -> Disk:
    """On another host, by what its `ops exporter` says; Unreachable where it does not."""
    with Endpoint(context, address, port) as api:
        status, body = api.get("/metrics")
    found = _FREE.search(body.decode(errors="replace"))
    if status != 200 or found is None:
        raise Unreachable(f"the exporter of {address} does not tell ({status})")
    return Disk(int(float(found[1])))
