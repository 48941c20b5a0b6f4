"""Marked points of base backups at which a test kills this process (`ops.wal.faults` has how)."""

from __future__ import annotations

from ops.wal.faults import reached

__all__ = ["CREATE", "reached"]

# In the order in which a backup comes by them; `create-packed` after each pack.
CREATE = (
    "create-leased",
    "create-started",
    "create-packed",
    "create-copied",
    "create-stopped",
    "create-covered",
    "create-checked",
    "create-listed",
    "create-committed",
    "create-released",
)
