"""How long the disk of pg_wal lasts: what an alert is to be told hours before archiving that fails fills it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# Over which the rate of WAL is taken, in seconds; the faster one counts. The short one sees a rush soon after it
# begins, the long one does not forget it as soon as it pauses.
_WINDOWS = (600.0, 3600.0)


@dataclass(frozen=True)
class Room:
    """pg_wal and the file system that it is on; sizes in bytes. `rate`: of WAL, in bytes a second; None: unknown."""

    used: int
    free: int
    segment_size: int
    rate: float | None

    @property
    def lasts(self) -> float | None:
        """Seconds until the disk is full if nothing is archived from now on; None where no end is in sight.

        Rather too short than too long: segments that are kept for reuse come on top.
        """
        segments = self.free // self.segment_size
        if segments == 0:
            return 0.0  # the next segment does not fit, however slowly it comes
        return segments * self.segment_size / self.rate if self.rate else None


def wal_rate(ended: Iterable[float], segment_size: int, now: float) -> float | None:
    """Bytes of WAL a second, from the moments (seconds) at which the newest segments ended; None for less than two.

    They need not reach far back: PostgreSQL keeps what is archived for a checkpoint or two.
    """
    known = sorted(moment for moment in ended if moment <= now)
    if len(known) < 2:
        return None

    def over(window: float) -> float:
        since = max(now - window, known[0])
        return sum(moment > since for moment in known) * segment_size / max(now - since, 1.0)

    return max(over(window) for window in _WINDOWS)
