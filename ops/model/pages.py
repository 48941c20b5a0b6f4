"""PostgreSQL's pages, as far as a backup looks into them. Their checksums are `ops.backup.checksums`' part."""

from __future__ import annotations

import re

from ops.model.blocks import PAGE_SIZE

_RELATION = re.compile(
    r"(?:base/\d+|global|pg_tblspc/\d+/PG_[^/]+/\d+)/\d+(?:_(?:fsm|vm|init))?(?:\.(?P<segment>\d+))?"
)


def segment_of(path: str) -> int | None:
    """Which segment of a relation's fork a file is, by its path in the data directory; None where it has no pages."""
    found = _RELATION.fullmatch(path)
    return int(found["segment"] or 0) if found else None


def lsns(pages: memoryview) -> list[int]:
    """The position in the WAL that each page was changed at last."""
    words = pages.cast("Q")[:: PAGE_SIZE // 8]
    return [(word & 0xFFFFFFFF) << 32 | word >> 32 for word in words]
