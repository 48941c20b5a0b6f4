"""Bringing a cluster to what is declared: asked on every member, done by the one that leads."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from ops.config import Config
from ops.errors import OpsError, Unreachable, UsageError
from ops.model.impact import Impact
from ops.model.merge import difference, flatten
from ops.model.settings import impacts, lowers, written
from ops.postgres import declared, members
from ops.postgres.connect import connect, row
from ops.postgres.declared import Change, Declared, Difference
from ops.postgres.patroni import Member, Patroni

PATRONI_FILES = Path("/etc/patroni")
_PARAMETERS = ("postgresql", "parameters")


@dataclass(frozen=True)
class Checked:
    """What `--check` found: what an apply would make, and what is no longer declared but kept."""

    pending: list[Difference]
    kept: list[str]


def client(config: Config) -> Patroni:
    """Patroni's API on this host; UsageError where it has none."""
    if config.patroni is None:
        raise UsageError(
            "this host is no member of a PostgreSQL cluster",
            hint="Run this on a database host; the configuration has no [patroni] here.",
        )
    return Patroni(config.patroni)


def leader_of(found: list[Member]) -> Member:
    """The member that leads; Unreachable while nobody does.

    How far the others are is not asked: a replica may take hours to clone, and nothing here waits for it.
    """
    leader = next((member for member in found if member.is_leader and member.is_healthy), None)
    if leader is None:
        states = ", ".join(f"{member.name} {member.role} {member.state}" for member in found)
        raise Unreachable(
            "the cluster has no leader",
            detail=states or "it has no members yet",
            hint="See: patronictl list; journalctl -u patroni",
        )
    return leader


def leads(patroni: Patroni) -> bool:
    """Whether this host leads; Unreachable while nobody does."""
    return leader_of(patroni.members()).name == patroni.own_name()


def wait_for_leader(patroni: Patroni, seconds: float, progress: Callable[[str], None]) -> bool:
    """Whether this host leads, once somebody does; the last reason why not, after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return leads(patroni)
        except Unreachable as error:
            if time.monotonic() > deadline:
                raise Unreachable(
                    f"waited {seconds:.0f} s: {error.message}", detail=error.detail, hint=error.hint
                ) from error
            progress(error.message)
            time.sleep(0.5)


def pending(config: Config, patroni: Patroni, wanted: Declared, allow_drop: Collection[str] = ()) -> Iterator[Change]:
    """What is still to be made on the leader, in order. Ask for the next only when the last was made."""
    actual = patroni.configuration()
    patch = difference(wanted.patroni, actual, whole=_PARAMETERS)
    if patch:
        found = tuple(_settings(config, patch, actual, len(patroni.members())))
        # One request for all of them: Patroni adjusts timings that do not fit each other, one by one they may not.
        yield Change(found, partial(patroni.change_configuration, patch))
    libraries = partial(_libraries, config, patroni)
    yield from declared.changes(wanted, config.postgres, allow_drop=allow_drop, libraries=libraries)


def _settings(config: Config, patch: dict[str, Any], actual: dict[str, Any], count: int) -> Iterator[Difference]:
    """One difference for each key of a patch of the dynamic configuration."""
    with connect(config.postgres) as connection:
        contexts: dict[str, str] = dict(connection.execute("SELECT lower(name), context FROM pg_settings").fetchall())
    old = dict(flatten(actual))
    prefix = ".".join(_PARAMETERS) + "."
    for key, value in flatten(patch):
        name = key.removeprefix(prefix)
        before = written(old[key]) if key in old else "(unset)"
        after = "(unset)" if value is None else written(value)
        what = f"{name} {before} → {after}"
        if name == key:
            yield Difference(what, (_impact_on_patroni(key),))
        elif lowers(name, before, after):
            yield Difference(f"{what}, the primary first", (Impact.RESTART,))
        else:
            yield Difference(what, impacts(contexts.get(name.lower()), members=count))


def _impact_on_patroni(key: str) -> Impact:
    """Timings are Patroni's own; what it writes into PostgreSQL's configuration is reloaded."""
    return Impact.RELOAD if key.startswith(("postgresql", "synchronous")) else Impact.NONE


def _libraries(config: Config, patroni: Patroni, extension: str) -> Mapping[str, str | None]:
    """The version of `extension` that each other member would install."""
    own, found = patroni.own_name(), {}
    for member in patroni.members():
        if member.name != own:
            with members.connect(config, member) as connection:
                version = connection.execute(declared.AVAILABLE, [extension]).fetchone()
                found[member.name] = version[0] if version else None
    return found


def apply(
    config: Config,
    *,
    wait: float,
    allow_drop: Collection[str] = (),
    progress: Callable[[str], None],
    made: Callable[[str], None],
) -> int:
    """Make every pending change where this host leads; the number of changes. A replica has none."""
    patroni = client(config)
    if not wait_for_leader(patroni, wait, progress):
        _refuse_drops_on_a_replica(patroni, allow_drop)
        return 0
    count = 0
    for change in pending(config, patroni, declared.load(), allow_drop):
        words = [found.what for found in change.differences]
        try:
            change.make()
        except OpsError as error:
            raise type(error)(f"{'; '.join(words)}: {error.message}", detail=error.detail, hint=error.hint) from error
        for what in words:
            made(what)
        count += len(words)
    return count


def check(config: Config, file: Path | None = None, allow_drop: Collection[str] = ()) -> Checked:
    """What `apply` would make of the declaration in `file` (default: the one on this host); nothing on a replica."""
    patroni = client(config)
    wanted = declared.load(file) if file else declared.load()
    if not leads(patroni):
        _refuse_drops_on_a_replica(patroni, allow_drop)
        return Checked([], [])
    found = [each for change in pending(config, patroni, wanted, allow_drop) for each in change.differences]
    kept = [what for what in declared.undeclared(wanted, config.postgres) if what.split()[1] not in allow_drop]
    return Checked(found, kept)


def _refuse_drops_on_a_replica(patroni: Patroni, allow_drop: Collection[str]) -> None:
    if allow_drop:
        raise UsageError(
            "this member is a replica: nothing can be dropped here",
            hint=f"Run the same command on {leader_of(patroni.members()).name}, which leads.",
        )


def settle(config: Config, wait: float) -> None:
    """Return when PostgreSQL here has read its configuration after Patroni's last changed, or after `wait` seconds.

    Patroni reads its file at its next round, which may be loop_wait away. Without this a deploy would look for what
    is due for a restart before Patroni has told PostgreSQL.
    """
    changed = max((file.stat().st_mtime for file in PATRONI_FILES.glob("*.yml")), default=0.0)
    deadline = time.monotonic() + wait
    while time.monotonic() < deadline:
        with suppress(OpsError, psycopg.Error), connect(config.postgres) as connection:
            if row(connection, "SELECT extract(epoch FROM pg_conf_load_time())")[0] > changed:
                return
        time.sleep(0.2)
