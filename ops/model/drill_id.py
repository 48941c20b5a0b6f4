"""How drills are called, of whatever kind: their evidence sorts by time."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime

_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4}")


def new_id(start: datetime) -> str:
    """The name of a drill that starts now: 20261121T105900Z-1f0c. Names sort by time."""
    return f"{start.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None
