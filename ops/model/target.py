"""Recovery targets: the moment, or the place in the WAL, up to which a restore replays.

A time without a zone is UTC: what a person types at night must not depend on the locale of the host.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

from ops.model.lsn import LSN

EXAMPLES = "latest, 2026-11-21T10:53:00Z, '2026-11-21 11:53:00.250+01:00', lsn:0/3000060, xid:1234, name:before-upgrade"

# The settings that say where recovery ends; whoever writes one set takes the others out.
TARGET_SETTINGS = (
    "recovery_target",
    "recovery_target_inclusive",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_xid",
)


@dataclass(frozen=True)
class Latest:
    """Everything that the archive holds."""

    def __str__(self) -> str:
        return "latest"

    def settings(self) -> dict[str, str]:
        return {}


@dataclass(frozen=True)
class AtTime:
    """All that had committed by `time`, itself included; `time` knows its zone."""

    time: datetime

    def __post_init__(self) -> None:
        if self.time.tzinfo is None:
            raise ValueError(f"a target time needs a zone: {self.time}")

    def __str__(self) -> str:
        return self.time.astimezone(UTC).isoformat().replace("+00:00", "Z")

    def settings(self) -> dict[str, str]:
        return {"recovery_target_time": self.time.astimezone(UTC).isoformat(sep=" "), **_INCLUSIVE}


@dataclass(frozen=True)
class AtLsn:
    """Up to and including the record that starts at `lsn`, or the first one after it."""

    lsn: LSN

    def __str__(self) -> str:
        return f"lsn:{self.lsn}"

    def settings(self) -> dict[str, str]:
        return {"recovery_target_lsn": str(self.lsn), **_INCLUSIVE}


@dataclass(frozen=True)
class AtXid:
    """Up to and including the end of transaction `xid`."""

    xid: int

    def __str__(self) -> str:
        return f"xid:{self.xid}"

    def settings(self) -> dict[str, str]:
        return {"recovery_target_xid": str(self.xid), **_INCLUSIVE}


@dataclass(frozen=True)
class AtName:
    """Up to the restore point that `pg_create_restore_point` gave this name."""

    name: str

    def __str__(self) -> str:
        return f"name:{self.name}"

    def settings(self) -> dict[str, str]:
        return {"recovery_target_name": self.name}


@dataclass(frozen=True)
class Immediate:
    """The end of the base backup: the first moment at which it is consistent."""

    def __str__(self) -> str:
        return "immediate"

    def settings(self) -> dict[str, str]:
        return {"recovery_target": "immediate"}


Target = Latest | AtTime | AtLsn | AtXid | AtName | Immediate
_INCLUSIVE = {"recovery_target_inclusive": "on"}


def parse(text: str) -> Target:
    """A target as a person writes it (EXAMPLES); ValueError that says what is wrong with anything else."""
    word = text.strip()
    kind, colon, value = word.partition(":")
    if word == "latest":
        return Latest()
    if word == "immediate":
        return Immediate()
    if colon and kind in ("lsn", "xid", "name"):
        return _place(kind, value.strip())
    return AtTime(parse_time(word))


def parse_time(text: str) -> datetime:
    """ISO 8601, or as PostgreSQL prints it in a log, in UTC; ValueError where it is no moment, or only a day."""
    word = text.strip().removesuffix(" UTC")
    try:
        moment = datetime.fromisoformat(word)
    except ValueError:
        raise ValueError(f"not a recovery target: {text!r} (for example {EXAMPLES})") from None
    if _is_day(word):
        raise ValueError(f"{text!r} is a day, not a moment: add the time, such as {word}T10:53:00Z")
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} lies outside the years that can be counted") from None


def _place(kind: str, value: str) -> Target:
    if kind == "lsn":
        return AtLsn(LSN.parse(value))
    if kind == "name":
        # PostgreSQL keeps 63 bytes of a restore point's name, and compares what it kept.
        if not 0 < len(value.encode()) < 64:
            raise ValueError(f"the name of a restore point has 1 to 63 bytes: {value!r}")
        return AtName(value)
    if not value.isdecimal() or not 3 <= int(value) < 2**64:
        raise ValueError(f"not a transaction id: {value!r} (expected a number from 3 on, such as xid:1234)")
    return AtXid(int(value))


def _is_day(word: str) -> bool:
    try:
        date.fromisoformat(word)
    except ValueError:
        return False
    return True
