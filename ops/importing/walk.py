"""Where the sections of a file are, whatever their order, and what is in it beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ops.importing.reader import Item, Reader
from ops.model.json_files import name_of
from ops.model.json_layout import Section


@dataclass(frozen=True)
class Place:
    """A value of a file's outermost object: its name, the byte where it begins, what closes it ("": a plain value)."""

    name: str
    begins: int
    closing: str


def find(reader: Reader, section: Section, known: Mapping[int, int]) -> Place | None:
    """Where a section is; None: the file has none. `known`: where sections begin that were read, and where they end."""
    if section.name is None:
        reader.seek(0)
        begins = reader.here()
        return Place("", begins, reader.open())
    for place in members(reader, known):
        if place.name == section.name:
            return place
        skip(reader, place)
    return None


def members(reader: Reader, known: Mapping[int, int]) -> Iterator[Place]:
    """What a file has beside the sections that are `known`, which are stepped over.

    The reader stands behind the opening bracket of a container, before a plain value; whoever is asked for the next one
    must have read to its end. A file that is an array is one member without a name.
    """
    reader.seek(0)
    begins = reader.here()
    closing = reader.open()
    if closing != "}":
        yield Place("", begins, closing)
        return
    first = True
    while reader.more(closing, first=first):
        first = False
        name = reader.name()
        begins = reader.here()
        if begins in known:
            reader.seek(known[begins])
        else:
            yield Place(name, begins, reader.open())
    reader.finish()


def skip(reader: Reader, place: Place) -> None:
    """Read to the end of a member, and forget it."""
    if not place.closing:
        reader.value()
        return
    for _ in reader.items(place.closing):
        pass


def called(section: Section, item: Item) -> str | None:
    """What a record is called, for people: by its file, or else by itself."""
    return item.name or name_of(section, item.value)


def named(section: Section, item: Item) -> object:
    """The record of an entry: with the name that it has in an object."""
    if item.name is None or not isinstance(item.value, dict):
        return item.value
    return {**item.value, section.by or "id": item.name}
