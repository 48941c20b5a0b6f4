"""The same question inside of every database of a server, one after the other on one connection at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from ops.errors import Unreachable
from ops.exporter.database import Server, Session, query

Found = TypeVar("Found")


def inside_each(server: Server, look: Callable[[Session], Iterable[Found]]) -> Iterator[tuple[str, Found]]:
    """What `look` finds, each with its database. One that does not answer is named in the end, after the others."""
    with server.other() as session:
        databases = [row["database"] for row in session.rows(query("connectable"))]
    silent = []
    for database in databases:
        try:
            with server.other(database) as session:
                found = list(look(session))
        except Unreachable as error:
            silent.append(f"{database}: {error.message}")
        else:
            yield from ((database, each) for each in found)
    if silent:
        raise Unreachable("; ".join(silent))
