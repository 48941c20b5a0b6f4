"""Values of the old server's JSON files as PostgreSQL takes them, and back. Pure.

Every value becomes the text that PostgreSQL itself shows for it. So one text goes into COPY, into the checksum of a row
and is compared with the row in the database, and a value that would be rounded or cut is refused rather than changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, DecimalException
from ipaddress import ip_address
from time import gmtime, strftime
from typing import Any
from uuid import UUID, uuid5

# The keys of all imports follow from this: never change it.
NAMESPACE = UUID("6f0f8d1e-5a0c-5d57-9d5e-0f3c2f7c1a10")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Seconds up to the year 5138 have eleven digits; milliseconds of any day after 1973 have twelve.
_MILLISECONDS = 100_000_000_000
_YEARS = range(1970, 2200)
_LAST = 7_258_118_400  # 2200-01-01, in seconds
_DIGITS = 1000

_quoted = json.JSONEncoder(ensure_ascii=False).encode
_hex = re.compile(r"0[xX][0-9a-fA-F]*").fullmatch
_address = re.compile(r"0[xX][0-9a-fA-F]{40}").fullmatch
_hash = re.compile(r"0[xX][0-9a-fA-F]{64}").fullmatch
_digest = re.compile(r"[0-9a-fA-F]{64}").fullmatch
_uuid = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch
_epoch = re.compile(r"-?\d{1,14}(\.\d{1,6})?").fullmatch
_day_first = re.compile(r"(\d{2})/(\d{2})/(\d{4}) (\d{2}):(\d{2})(?::(\d{2}))?").fullmatch
_number = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d{1,3})?").fullmatch


class Unfit(ValueError):
    """A value that its column cannot hold as it is; the message says why."""


@dataclass(frozen=True)
class Kind:
    """How values of a column are read, compared and given back.

    `read`: a JSON value to PostgreSQL's text, or Unfit. `shown`: SQL for that same text, with {} for the column.
    `back`: that text to a JSON value. `refers`: the table whose key it is, if of any.
    """

    read: Callable[[Any], str]
    shown: str = "{}"
    back: Callable[[str], Any] = str
    refers: str | None = None


def key(table: str, name: str) -> str:
    """The UUID for what the files call `name`; one that is a UUID already stays what it is."""
    return name.lower() if _uuid(name) else str(uuid5(NAMESPACE, f"{table}:{name}"))


def text(limit: int | None = None) -> Kind:
    """Text of at most so many characters."""

    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise Unfit("is no text")
        if limit is not None and len(value) > limit:
            raise Unfit(f"is longer than {limit} characters")
        return value

    return Kind(read)


def choice(*options: str) -> Kind:
    """One of a few words."""
    allowed = frozenset(options)

    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise Unfit(f"is none of {', '.join(options)}")
        return value

    return Kind(read)


def _matching(matches: Callable[[str], object], what: str) -> Kind:
    def read(value: Any) -> str:
        if isinstance(value, str) and matches(value):
            return value.lower()
        raise Unfit(f"is no {what}")

    return Kind(read)


ADDRESS = _matching(_address, "address: 0x and 40 hexadecimal digits")
HASH = _matching(_hash, "hash: 0x and 64 hexadecimal digits")
DIGEST = _matching(_digest, "SHA-256: 64 hexadecimal digits")


def hexadecimal(limit: int | None = None) -> Kind:
    """0x and any number of hexadecimal digits, so many characters at most."""
    digits = re.compile(f"0[xX][0-9a-fA-F]{{0,{limit - 2}}}" if limit else "0[xX][0-9a-fA-F]*")
    return _matching(digits.fullmatch, f"hexadecimal number{f' of at most {limit - 2} digits' if limit else ''}")


def integer(least: int = 0, most: int = 2**63 - 1) -> Kind:
    """A whole number, as number or text, also hexadecimal."""

    def read(value: Any) -> str:
        if type(value) is int and least <= value <= most:  # nearly all that there are
            return str(value)
        found = int(value) if _plain_digits(value) else _whole(value)
        if not least <= found <= most:
            raise Unfit(f"is out of range: {least} to {most}")
        return str(found)

    return Kind(read, "{}::text", int)


def _plain_digits(value: Any) -> bool:
    return type(value) is str and len(value) < 40 and value.isascii() and value.isdigit()


def _whole(value: Any) -> int:
    if isinstance(value, str) and len(value) > 2 and _hex(value) and len(value) <= _DIGITS:
        return int(value, 16)
    found = _decimal(value)
    if found != found.to_integral_value():
        raise Unfit("is no whole number")
    return int(found)


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
        raise Unfit("is no number")
    if isinstance(value, str):
        value = value.strip()
        if not _number(value):
            raise Unfit("is no number")
    found = Decimal(value)
    if abs(found.adjusted()) > _DIGITS:
        raise Unfit("is out of range")
    return found


def number(precision: int, scale: int, *, least: int | None = None, above: int | None = None) -> Kind:
    """NUMERIC (precision, scale), as number or text; what would be rounded is refused."""
    unit = Decimal(1).scaleb(-scale)
    beyond = Decimal(10) ** (precision - scale)

    def read(value: Any) -> str:
        found = _decimal(value)
        if abs(found) >= beyond:
            raise Unfit(f"has more than {precision - scale} digits before the point")
        if (least is not None and found < least) or (above is not None and found <= above):
            raise Unfit(f"must be {'at least' if above is None else 'above'} {least if above is None else above}")
        shown = format(found, "f")
        whole, _, decimals = shown.partition(".")
        decimals = decimals.rstrip("0")
        if len(decimals) > scale:
            raise Unfit(f"has more than {scale} decimals")
        if found == 0:
            return format(abs(unit * 0), "f")
        return f"{whole}.{decimals.ljust(scale, '0')}" if scale else whole

    return Kind(read, "{}::text", _plain)


def _plain(shown: str) -> str:
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def moment_of(value: Any) -> datetime:
    """A moment in any of the three forms that the files have; without an offset it is UTC."""
    try:
        if isinstance(value, str):
            return _moment_of_text(value.strip())
        if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
            return _since_epoch(Decimal(value))
    except (ValueError, OverflowError, DecimalException):
        raise Unfit("is no date") from None
    raise Unfit("is no date")


def _moment_of_text(value: str) -> datetime:
    if _epoch(value):
        return _since_epoch(Decimal(value))
    if found := _day_first(value):
        day, month, year, hour, minute, second = (int(part or 0) for part in found.groups())
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    if len(value) < 16:  # a day alone, or 20241105: which moment would that be?
        raise ValueError
    read = datetime.fromisoformat(value)
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


def _since_epoch(count: Decimal) -> datetime:
    if count >= _MILLISECONDS:
        count /= 1000
    return EPOCH + timedelta(microseconds=int(count * 1_000_000))


def shown_moment(value: datetime) -> str:
    """A moment in UTC as `MOMENT.shown` has it."""
    return f"{value.isoformat(' ', 'microseconds')[:26]}+00"


def _moment(value: Any) -> str:
    if type(value) is int and 0 <= value < _LAST:  # what nearly all moments of large files are
        return strftime("%Y-%m-%d %H:%M:%S.000000+00", gmtime(value))
    found = moment_of(value)
    if found.year not in _YEARS:
        raise Unfit("is out of range: the years 1970 to 2199")
    return shown_moment(found)


def _iso(shown: str) -> str:
    found = datetime.fromisoformat(shown + ":00")
    exact = "microseconds" if found.microsecond % 1000 else "milliseconds"
    return found.replace(tzinfo=None).isoformat(timespec=exact) + "Z"


MOMENT = Kind(_moment, "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'", _iso)


def _flag(value: Any) -> str:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower()
    if not isinstance(value, bool):
        raise Unfit("is neither true nor false")
    return "true" if value else "false"


FLAG = Kind(_flag, "{}::text", lambda shown: shown == "true")


def _inet(value: Any) -> str:
    try:
        if isinstance(value, str):
            return str(ip_address(value.strip().removeprefix("::ffff:")))
    except ValueError:
        pass
    raise Unfit("is no IP address")


INET = Kind(_inet, "host({})", str)


def document(*types: type) -> Kind:
    """JSONB; of these types only, if any are named."""

    def read(value: Any) -> str:
        if types and not isinstance(value, types):
            raise Unfit(f"is no {' or '.join('object' if one is dict else 'array' for one in types)}")
        return jsonb(value)

    return Kind(read, "{}::text", lambda shown: json.loads(shown, parse_float=Decimal))


def jsonb(value: Any) -> str:
    """A JSON value as PostgreSQL shows it once it is JSONB: keys by length, then by bytes; numbers without exponent."""
    if isinstance(value, str):
        return _quoted(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        encoded = sorted((len(name.encode()), name.encode(), name) for name in value)
        return f"{{{', '.join(f'{jsonb(name)}: {jsonb(value[name])}' for _, _, name in encoded)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(jsonb, value))}]"
    found = _decimal(value)
    return format(found if found else abs(found), "f")


def reference(table: str) -> Kind:
    """The key of a row of another table, by what the files call it."""

    def read(value: Any) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or not value or len(value) > 255:
            raise Unfit("is no id")
        return key(table, value)

    return Kind(read, "{}::text", str, table)


def _wallet(value: Any) -> str:
    return key("users", ADDRESS.read(value))


WALLET = Kind(_wallet, "{}::text", str, "users")


def unsafe(value: Any) -> bool:
    """Whether PostgreSQL could not hold a text in here: a zero character, or half of a surrogate pair."""
    if isinstance(value, str):
        return "\0" in value or any("\ud800" <= one <= "\udfff" for one in value)
    if isinstance(value, dict):
        return any(unsafe(one) for pair in value.items() for one in pair)
    return isinstance(value, list) and any(map(unsafe, value))
