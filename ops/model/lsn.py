"""Log sequence numbers: byte positions in the WAL."""

from __future__ import annotations

import re
from functools import total_ordering

_TEXT = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")


@total_ordering
class LSN:
    """A byte position in the WAL, ordered, printed as PostgreSQL prints pg_lsn (`0/3000060`)."""

    __slots__ = ("position",)

    def __init__(self, position: int) -> None:
        if not 0 <= position < 2**64:
            raise ValueError(f"an LSN is a 64-bit position, not {position}")
        self.position = position

    @classmethod
    def parse(cls, text: str) -> LSN:
        """From `X/Y`; ValueError for anything else."""
        match = _TEXT.fullmatch(text.strip())
        if not match:
            raise ValueError(f"not an LSN: {text!r} (expected two hexadecimal numbers, such as 0/3000060)")
        high, low = match.groups()
        return cls(int(high, 16) << 32 | int(low, 16))

    def __str__(self) -> str:
        return f"{self.position >> 32:X}/{self.position & 0xFFFFFFFF:X}"

    def __repr__(self) -> str:
        return f"LSN({str(self)!r})"

    def __hash__(self) -> int:
        return hash(self.position)

    def __eq__(self, other: object) -> bool:
        return self.position == other.position if isinstance(other, LSN) else NotImplemented

    def __lt__(self, other: LSN) -> bool:
        return self.position < other.position

    def __sub__(self, other: LSN) -> int:
        """Distance in bytes."""
        return self.position - other.position
