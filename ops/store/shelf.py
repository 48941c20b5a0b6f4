"""Evidence in the store: JSON documents of one kind, each put once, under names that sort by time.

They are plain JSON and not in the envelope of other objects, so that an auditor needs nothing but an S3 client.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ops.config import nearest
from ops.errors import OpsError, Unreachable, UsageError
from ops.model.drill_id import is_id
from ops.store.base import NotFound
from ops.store.codec import Damaged
from ops.store.repository import Repository

LATEST = "latest"
_READERS = 8
_SUFFIX = ".json"

Kept = TypeVar("Kept")
Other = TypeVar("Other")


@dataclass(frozen=True)
class Shelf(Generic[Kept]):
    """Where one kind of evidence is kept.

    `what` and an id are what people call a document, `makes` and `shows` the commands that make one and list them;
    `parse` makes something of its JSON, with a ValueError, KeyError or TypeError where that is not what was put.
    """

    repository: Repository
    folder: str
    what: str
    parse: Callable[[Any], Kept]
    makes: str
    shows: str

    def put(self, name: str, document: Any) -> str:
        """Keep it; its key. Unreachable where that fails: what cannot be shown is not proven."""
        key = self._key(name)
        try:
            text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
            self.repository.store.put(key, text.encode())
        except OpsError as error:
            raise Unreachable(
                f"the evidence of {self.what} {name} could not be stored, so that nothing is proven",
                detail=f"{error.message}\n{error.detail or ''}".strip(),
                hint=error.hint or f"See that the store can be reached, and run it again: {self.makes}",
            ) from error
        return key

    def ids(self) -> list[str]:
        """All that is kept, oldest first."""
        keys = (stored.key for stored in self.repository.store.list(self.folder))
        names = (key.removeprefix(self.folder).removesuffix(_SUFFIX) for key in keys)
        return sorted(name for name in names if is_id(name))

    def newest(self, count: int) -> list[Kept]:
        """The last `count`, oldest first; Damaged where one cannot be read."""
        with ThreadPoolExecutor(_READERS) as pool:
            return list(pool.map(self.read, self.ids()[-count:]))

    def get(self, name: str) -> Kept:
        """The one of that id, or the newest for "latest"; UsageError with the nearest id where there is none."""
        known = self.ids()
        if name == LATEST and known:
            name = known[-1]
        if name not in known:
            guess = nearest(name, known) or (known[-1] if known else None)
            where = f"of {self.repository.layout.cluster!r} in {self.repository.store.name}"
            raise UsageError(
                f"there is no {self.what} {name!r} {where}",
                hint=f"Did you mean {guess}? `{self.shows}` shows them." if guess else f"Run one: {self.makes}",
            )
        return self.read(name)

    def read(self, name: str) -> Kept:
        """The one of that id, which the store lists; Damaged where it cannot be read."""
        key = self._key(name)
        try:
            return self.parse(json.loads(self.repository.store.get(key)))
        except NotFound:
            raise Unreachable(f"{self.repository.store.name} lists {key} and says that it has not got it") from None
        except (ValueError, KeyError, TypeError) as error:
            raise Damaged(
                f"the evidence of {self.what} {name} is damaged in the store",
                detail=str(error),
                hint="Do not delete it. Look for an intact copy in another repository.",
            ) from error

    def parsed_by(self, parse: Callable[[Any], Other]) -> Shelf[Other]:
        """The same shelf, for who makes something else of a document."""
        return Shelf(self.repository, self.folder, self.what, parse, self.makes, self.shows)

    def _key(self, name: str) -> str:
        return f"{self.folder}{name}{_SUFFIX}"
