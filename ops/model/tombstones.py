"""Removal in two phases: what is to go is condemned, and goes when it still may after a grace. Pure.

The tombstone in the store is one document of all that is condemned; the newest one counts. An object that is needed
again meanwhile is left out of the next one, so that its grace begins anew should it ever be condemned again. The same
document names the packs that are sparse (`ops.model.sparse`): a new backup refers to neither.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

FORMAT = 1


@dataclass(frozen=True)
class Settled:
    """What is to become of the keys: `due` go now, in this order; `waiting` later; `fresh` are condemned now, and
    `rescued` no longer: they are needed again, or have gone.
    """

    due: tuple[str, ...]
    waiting: dict[str, datetime]
    fresh: tuple[str, ...]
    rescued: tuple[str, ...]


def settle(
    goes: Iterable[str],
    condemned: Mapping[str, datetime],
    needs: Mapping[str, Iterable[str]],
    now: datetime,
    grace: timedelta,
) -> Settled:
    """`goes` are the keys that may go by what is known now, `condemned` those of the tombstone, and since when.

    `needs`: what each manifest that is there needs. None of that goes before the manifest, even where it was condemned
    before there was that backup.
    """
    may = set(goes)
    known = may & condemned.keys()
    due = {key for key in known if condemned[key] + grace <= now}
    due -= {key for manifest, needed in needs.items() if manifest not in due for key in needed}
    return Settled(
        due=tuple(sorted(due, key=order)),
        waiting={key: condemned[key] for key in sorted(known.difference(due))},
        fresh=tuple(sorted(may - known, key=order)),
        rescued=tuple(sorted(condemned.keys() - may)),
    )


def order(key: str) -> tuple[int, str]:
    """Manifests first: killed at any point, no manifest is left that refers to what is gone."""
    if key.startswith("backups/"):
        return (0 if key.endswith("/manifest") else 1), key
    return (2 if key.startswith("packs/") else 3), key


@dataclass(frozen=True)
class Tombstone:
    """What is condemned and since when, by key, and the ids of the packs that are sparse."""

    condemned: Mapping[str, datetime] = field(default_factory=dict)
    sparse: frozenset[str] = frozenset()

    @property
    def shunned(self) -> frozenset[str]:
        """The ids of all packs that a new backup does not refer to."""
        return self.sparse | {key.removeprefix("packs/") for key in self.condemned if key.startswith("packs/")}

    def encode(self) -> bytes:
        """As it is stored: JSON, for people to look at."""
        since = {key: moment.astimezone(UTC).isoformat() for key, moment in sorted(self.condemned.items())}
        document = {"format": FORMAT, "condemned": since, "sparse": sorted(self.sparse)}
        return (json.dumps(document, indent=1) + "\n").encode()

    @classmethod
    def decode(cls, body: bytes) -> Tombstone:
        """ValueError where it is no tombstone of ours. Earlier versions named no sparse packs."""
        try:
            document = json.loads(body)
            if document["format"] != FORMAT:
                raise ValueError(f"has format {document['format']}; this version reads format {FORMAT}")
            condemned = {key: datetime.fromisoformat(since) for key, since in document["condemned"].items()}
            return cls(condemned, frozenset(document.get("sparse", ())))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
