"""What a question is: who asks it, how, of what; and how it is answered from the JSON files of the old server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, LiteralString, TypeAlias

from ops.database.bench.fill import often
from ops.model.bench import Scale

Params: TypeAlias = dict[str, Any]
Rows: TypeAlias = Sequence[tuple[Any, ...]]
Documents: TypeAlias = Mapping[str, Any]  # a file's path below its folder -> what is in it

WALLETS = "wallet-db.json"
OPPORTUNITIES = "admin-opportunities.json"
KYC = "uploads/kyc/metadata.json"
CHAIN = "explorer-data/enhanced-historical-data.json"
MOVEMENTS = "explorer-data/persistent-transactions.json"

BATCH = 1000  # rows of a bulk question


@dataclass(frozen=True)
class World:
    """What there is to be asked about: how much of everything, and the moment at which its two years end."""

    scale: Scale
    until: datetime


@dataclass(frozen=True)
class Question:
    """`sql` is asked as `role`, with what `draw` has drawn; `look` finds the same in `files`.

    Of what is drawn, `user` becomes app.current_user_id and `admin` app.current_admin_id. `writes` is the file that has
    to be written as a whole after `look` has changed it; None where the question only reads.
    """

    name: str
    query_class: str
    role: str
    sql: LiteralString
    draw: Callable[[Random, World], Params]
    files: tuple[str, ...]
    look: Callable[[Documents, Params], Rows]
    writes: str | None = None


def chance(question: Question, seed: int) -> Random:
    """What a question is drawn with, the same for the same seed."""
    return Random(f"{question.name} {seed}")  # noqa: S311 - whoever measures again is to ask the same


def nothing(_rng: Random, _world: World) -> Params:
    """For a question that is the same each time."""
    return {}


def past(rng: Random, world: World, days: int) -> datetime:
    """A moment of so many days before the end, rather a late one; a whole second."""
    return world.until - timedelta(seconds=int(days * 86400 * rng.random() ** 2))


def iso(moment: datetime) -> str:
    """A moment as the files have it: texts that sort as the moments do."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def many(rng: Random, count: int, of: int) -> list[int]:
    """`count` numbers from 1 to `of`, low ones more often; one may come more than once."""
    return [often(rng, of) for _ in range(count)]
