"""What a store really does, tried with throwaway objects, and the record of it in the repository."""

from __future__ import annotations

import json
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from ops.errors import Unreachable
from ops.model.layout import Layout
from ops.store.base import AlreadyExists, Store, Traits

FORMAT = 1


@dataclass(frozen=True)
class Probe:
    """What a store was found to do at the moment `at`.

    `clock_offset`: seconds by which the store's clock is ahead of ours, as exact as its times are (often a second).
    `cleaned` False: what was tried may not be deleted, as in a bucket under lock.
    """

    at: datetime
    conditional_writes: bool
    reads_back: bool
    cleaned: bool
    clock_offset: float
    traits: Traits

    @property
    def usable(self) -> bool:
        return self.conditional_writes and self.reads_back

    def as_dict(self) -> dict[str, Any]:
        """The record as it is stored, and as `--json` prints it."""
        return {"format": FORMAT} | asdict(self) | {"at": self.at.isoformat()}

    @classmethod
    def decode(cls, body: bytes) -> Probe:
        """ValueError where it is no record of ours, or one of a later format."""
        fields = json.loads(body)
        try:
            if fields.pop("format") != FORMAT:
                raise ValueError("it is of a later format")
            fields["at"], fields["traits"] = datetime.fromisoformat(fields["at"]), Traits(**fields["traits"])
            return cls(**fields)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error


def probe(store: Store, layout: Layout) -> Probe:
    """Try whether the store refuses to overwrite, which everything here rests on, and what else it does.

    A store that ignores the condition would let two servers overwrite each other's WAL in silence.
    """
    key = f"{layout.root}probe/{secrets.token_hex(8)}"
    first, second = secrets.token_bytes(64), secrets.token_bytes(64)
    before = datetime.now(UTC)
    store.put(key, first)
    middle = before + (datetime.now(UTC) - before) / 2
    offset = (store.head(key).modified - middle).total_seconds()
    try:
        store.put(key, second)
        refused = False
    except AlreadyExists:
        refused = True
    reads_back = store.get(key) == (first if refused else second)
    traits = store.traits(f"{key}-checksum")
    try:
        store.delete(key)
        cleaned = not any(store.list(key))
    except Unreachable:
        cleaned = False
    return Probe(before, refused, reads_back, cleaned, round(offset, 3), traits)


def record(store: Store, layout: Layout, found: Probe) -> None:
    """Keep what was found, for whoever asks later what this repository was built on."""
    key = f"{layout.probes}{found.at:%Y%m%dT%H%M%S.%fZ}.json"
    with suppress(AlreadyExists):  # our own PUT, sent twice
        store.put(key, (json.dumps(found.as_dict(), indent=2) + "\n").encode())


def recorded(store: Store, layout: Layout) -> Probe | None:
    """What was found when it was tried last; None where it never was, or the record cannot be read."""
    keys = [stored.key for stored in store.list(layout.probes)]
    if not keys:
        return None
    try:
        return Probe.decode(store.get(keys[-1]))
    except ValueError:
        return None
