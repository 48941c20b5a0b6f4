"""What was not taken, as a file: a JSON object a line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ops.postgres.connect import Connection
from ops.store.durable import sync_directory

NAME = "rejects.jsonl"


def write(connection: Connection, kept: Path) -> Path:
    """Write every reject of the database to a file beside the copies, in place of an older one."""
    made = kept / f"{NAME}.new"
    with connection.transaction(), connection.cursor("rejects") as cursor, made.open("w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        cursor.itersize = 500
        cursor.execute("SELECT file, section, position, name, reason, record FROM ops.import_reject ORDER BY 1, 2, 3")
        for row in cursor:
            file.write(json.dumps(_plain(row), ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    made.rename(kept / NAME)
    sync_directory(kept)
    return kept / NAME


def _plain(row: tuple[Any, ...]) -> dict[str, Any]:
    file, section, position, name, reason, record = row
    said: dict[str, Any] = {
        "file": file,
        "section": section or None,
        "position": position,
        "key": name,
        "reason": reason,
    }
    try:
        return {**said, "record": record.decode()}
    except UnicodeDecodeError:
        return {**said, "record_hex": record.hex()}
