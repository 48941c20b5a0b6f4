"""How sections of a file are declared: which key of a record goes to which column of which table. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from ops.model.json_values import Kind


class Default(Enum):
    """What a column gets where the record has no value for it, if that is no text."""

    REQUIRED = "nothing: the record is rejected"
    WRITTEN = "when the file was last written"
    OWNER = "the key of the row that the record makes first"
    SPARE = "an object of the keys that no column has"
    IDENTITY = "a key that follows from other columns"


@dataclass(frozen=True)
class Column:
    """A column, the key of the record that it comes from, and what it is where that is missing (None: NULL)."""

    name: str
    key: str | None
    kind: Kind
    default: str | Default | None = None


@dataclass(frozen=True)
class Table:
    """A row that a record makes. The first column is the key of the table.

    `identity`: columns that the key follows from, unless the record brings one. `money`: the column that is summed up.
    `unique`: columns that no other row may share, beside the key. `extra`: the key below which the spare column holds
    what no column has; None: it holds that itself.
    """

    name: str
    columns: tuple[Column, ...]
    identity: tuple[str, ...] = ()
    money: str | None = None
    unique: tuple[str, ...] = ()
    extra: str | None = "imported"

    @property
    def key(self) -> Column:
        return self.columns[0]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of its columns."""
        return tuple(column.name for column in self.columns)


@dataclass(frozen=True)
class Section:
    """Records of one sort. `name`: None where the file is nothing else. `by`: the key that names of an object are."""

    file: str
    name: str | None
    tables: tuple[Table, ...]
    by: str | None = None

    @property
    def title(self) -> str:
        return f"{self.file} {self.name}" if self.name else self.file

    @cached_property
    def unique(self) -> tuple[tuple[int, Column], ...]:
        """Columns of its first table that no other row may share: their places, and themselves."""
        main = self.tables[0]
        places = [main.names.index(name) for name in (main.key.name, *main.unique)]
        return tuple((place, main.columns[place]) for place in places)

    @cached_property
    def references(self) -> tuple[tuple[int, int, Column], ...]:
        """Columns that refer to rows of other records: the numbers of their tables, their places, and themselves."""
        return tuple(
            (number, place, column)
            for number, table in enumerate(self.tables)
            for place, column in enumerate(table.columns)
            if column.kind.refers and place and column.key
        )

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(one.key for table in self.tables for one in table.columns if one.key)
