"""The dirt that files have which a server wrote for years: what a sample spoils, and how."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any, TypeAlias

from ops.model.json_layout import Default, Section
from ops.model.json_values import MOMENT, moment_of

if TYPE_CHECKING:
    from ops.importing.sample import Sample

Record: TypeAlias = dict[str, Any]
ONE_IN = 40


class Dirt:
    """Spoils one record in forty, each in one way, and counts the ways. The first of a section always is duplicated."""

    def __init__(self, sample: Sample, chance: Random, counts: dict[str, int]) -> None:
        self._sample = sample
        self._chance = chance
        self._counts = counts

    def of(self, section: Section, number: int) -> Iterator[str]:
        """The record of this number, as it stands in the file: once, or twice."""
        if number and self._chance.randrange(ONE_IN):
            yield self._sample.text(section, number)
            return
        record: Record = json.loads(self._sample.text(section, number))
        sort, spoil = _WAYS[self._chance.randrange(len(_WAYS)) if number else 0]
        spoilt = spoil(section, record, self._chance)
        if spoilt is None:
            yield json.dumps(record)
            return
        self._counts[sort] = self._counts.get(sort, 0) + 1
        if spoil is _again:
            yield json.dumps(record)
        yield json.dumps(spoilt)


def _again(section: Section, record: Record, _chance: Random) -> Record:
    """The same key once more, its letters in another case where it is an address."""
    return _cased(section, record, _chance) or dict(record)


def _cased(_section: Section, record: Record, _chance: Random) -> Record | None:
    found = {
        name: "0x" + value[2:].upper()
        for name, value in record.items()
        if isinstance(value, str) and value.startswith("0x") and len(value) == 42
    }
    return {**record, **found} if found else None


def _missing(section: Section, record: Record, chance: Random) -> Record | None:
    """Without a key that it must have; never one that is its name."""
    needed = [
        column.key
        for table in section.tables
        for column in table.columns
        if column.key and column.default is Default.REQUIRED and column.key != section.by
    ]
    if not needed:
        return None
    gone = chance.choice(needed)
    return {name: value for name, value in record.items() if name != gone}


def _moments(section: Section, record: Record, chance: Random) -> Record | None:
    """Every moment in another of the three forms."""
    names = {one.key for table in section.tables for one in table.columns if one.kind is MOMENT}
    found = {name: _other_form(record[name], chance) for name in names if name and record.get(name) is not None}
    return {**record, **dict(sorted(found.items()))} if found else None


def _other_form(value: Any, chance: Random) -> Any:
    moment = moment_of(value)
    seconds = int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    return chance.choice((seconds, seconds * 1000, str(seconds), moment.strftime("%d/%m/%Y %H:%M:%S")))


def _strings(_section: Section, record: Record, _chance: Random) -> Record | None:
    """Every number as a string."""
    found = {name: str(value) for name, value in record.items() if type(value) in (int, float)}
    return {**record, **found} if found else None


def _unknown(section: Section, record: Record, _chance: Random) -> Record | None:
    """A reference to what is nowhere."""
    for table in section.tables:
        for column in table.columns:
            if column.key and column.kind.refers and column.key not in ("id", section.by):
                nowhere = f"0x{'0' * 39}f" if column.kind.refers == "users" else "nowhere_1"
                return {**record, column.key: nowhere}
    return None


def _nonsense(section: Section, record: Record, chance: Random) -> Record | None:
    """A value that no column takes."""
    moments = [one.key for table in section.tables for one in table.columns if one.kind is MOMENT and one.key in record]
    return {**record, str(chance.choice(moments)): "31/02/2024 25:61"} if moments else None


Way: TypeAlias = Callable[[Section, Record, Random], Record | None]
_WAYS: tuple[tuple[str, Way], ...] = (
    ("duplicate key", _again),
    ("address in upper case", _cased),
    ("key missing", _missing),
    ("moment in another form", _moments),
    ("number as string", _strings),
    ("unknown reference", _unknown),
    ("no such day", _nonsense),
)
