"""What the platform asks of object storage. Two stores keep the contract: S3 and a local folder."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ops.errors import OpsError, Unreachable


@dataclass(frozen=True)
class Stored:
    """An object as a listing shows it. `size` is in bytes as stored, `modified` in UTC by the store's clock."""

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class Traits:
    """What a store does beyond the contract; None where it does not say, or it means nothing there.

    `checksums`: it refuses bytes that do not have the SHA-256 that came with them. `versioning`: `enabled`, `suspended`
    or `off`. `object_lock`: `off`, `on`, or with a default such as `on, COMPLIANCE for 30 days`.
    """

    checksums: bool | None = None
    versioning: str | None = None
    object_lock: str | None = None


class NotFound(OpsError):
    """The store answered, and what it answered is that there is no such object."""


class AlreadyExists(OpsError):
    """The key is taken. Nothing is ever overwritten, so nothing was written."""


class Forbidden(Unreachable):
    """The store answered that we may not: a policy, a lock, or the wrong credential."""


class Store(Protocol):
    """Immutable objects under string keys.

    Every method raises `ops.errors.Unreachable` when the store did not answer, refused us, or answered with
    anything that is neither yes nor no (timeouts, 403, 5xx, a body cut short): the question stays open.
    """

    @property
    def name(self) -> str:
        """Where it is, for messages: `s3://bucket at https://host:port` or a path. Holds no secret."""

    def put(self, key: str, body: bytes) -> None:
        """Store `body` under a key that is free; AlreadyExists where it is not. Durable when it returns."""

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """The bytes from `offset`, all or exactly `length` of them; a negative offset counts from the end.

        NotFound where there is no such object; ValueError where the range reaches beyond its end.
        """

    def head(self, key: str) -> Stored:
        """Size and time of an object; NotFound where there is none."""

    def list(self, prefix: str) -> Iterator[Stored]:
        """All objects whose keys start with `prefix`, in key order."""

    def folders(self, prefix: str) -> builtins.list[str]:
        """The names directly below `prefix` (which ends in a slash) that have objects below them, sorted.

        Some stores go on naming one for a while after its last object was deleted.
        """

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error. Forbidden where the store lets us not.

        In a bucket that keeps versions it is only hidden: its bytes go by the bucket's own rules.
        """

    def traits(self, key: str) -> Traits:
        """What this store does beyond the contract. `key` is free to try it with, and is free again afterwards."""
