"""A whole cluster as it was, brought back beside the one that runs: restored, replayed to the moment, and looked at.

Nothing of the running cluster is touched. What was made lies in `<data_dir>.restored-<id>`, stopped at the target and
not yet opened for writing, with what it is in `<data_dir>.restored-<id>.json`: all that a swap needs to know.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import AbstractContextManager, closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import psycopg

from ops.backup.commits import newest_of
from ops.backup.reach import newest_before, reach
from ops.backup.recovery import write_recovery
from ops.backup.restore import restore_files
from ops.config import Config, Postgres
from ops.errors import OpsError, Unreachable, UsageError
from ops.model.backup import Backup
from ops.model.contents import Change, Databases, changes
from ops.model.target import AtLsn, Latest, Target
from ops.postgres.conf import render
from ops.postgres.connect import Connection, connect, row
from ops.postgres.contents import contents
from ops.postgres.server import PrivateServer
from ops.store.repository import Repository
from ops.wal.archive import load_archive

PATIENCE = 300.0  # seconds that recovery may stand still
_STATE = "SELECT pg_last_wal_replay_lsn()::text, pg_last_xact_replay_timestamp()"
_LIVE = """
    SELECT (pg_control_checkpoint()).timeline_id,
           CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text, now()
"""


class Reporter(Protocol):
    """Who listens."""

    def stage(self, title: str) -> AbstractContextManager[None]: ...

    def progress(self, done: int, total: int) -> None: ...

    def note(self, text: str) -> None: ...


@dataclass(frozen=True)
class Side:
    """How far one of the two is: `moment` is of the last commit in the restored one, and now in the live one."""

    timeline: int
    lsn: str
    moment: str | None


@dataclass(frozen=True)
class Beside:
    """The restored cluster, and how it differs from the live one, where that could be asked."""

    id: str
    directory: str
    cluster: str
    system_identifier: int
    backup: str
    target: str
    timeline: int
    tablespaces: dict[str, str]
    restored: Side
    live: Side | None
    databases: dict[str, list[str]]  # of each side
    changes: list[Change]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Wish:
    """What is to be brought back. `fetch` is the restore_command."""

    target: Target
    timeline: int | None
    fetch: str


def data_dir_of(config: Config) -> Path:
    """This host's data directory; UsageError where the configuration has none."""
    if config.postgres.data_dir is None:
        raise UsageError("there is no data directory on this host", hint="Run this on a member of the cluster.")
    return config.postgres.data_dir


def record_of(data_dir: Path, name: str) -> Path:
    return data_dir.with_name(f"{data_dir.name}.restored-{name}.json")


def refuse_leftovers(data_dir: Path) -> None:
    """OpsError where an earlier restore lies beside: one would be taken for the other, and two need room."""
    left = sorted(path for path in data_dir.parent.glob(f"{data_dir.name}.restored-*") if path.is_dir())
    left = [path for path in left if not path.name.endswith(".tablespaces")]
    if left:
        name = left[-1].name.removeprefix(f"{data_dir.name}.restored-")
        known = record_of(data_dir, name).exists()
        raise OpsError(
            f"an earlier restore lies beside the data directory: {left[-1]}",
            detail=None if known else "It did not come to its end.",
            hint=(f"Put it in place: ops cluster restore --swap {name}\nOr remove it: " if known else "Remove it: ")
            + f"rm -rf {left[-1]}*",
        )


def bring_back(config: Config, repository: Repository, wish: Wish, reporter: Reporter) -> Beside:
    """Restore beside the data directory, replay to the target, and compare with what runs."""
    data_dir = data_dir_of(config)
    refuse_leftovers(data_dir)
    with reporter.stage("find the backup and the WAL for it"):
        backup, timeline, target = _choose(config, repository, wish)
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    directory = data_dir.with_name(f"{data_dir.name}.restored-{name}")
    with reporter.stage(f"restore backup {backup.id} to {directory}"):
        restore_files(
            repository,
            backup,
            directory,
            workers=config.backup.workers,
            progress=reporter.progress,
            tell=lambda place: _tell(place, target, timeline, wish.fetch),
        )
    with tempfile.TemporaryDirectory(prefix="ops-restored-") as home:
        libraries = {"shared_preload_libraries": backup.settings.get("shared_preload_libraries", "")}
        with PrivateServer(config.postgres, Path(home), directory, libraries) as server:
            with reporter.stage(f"replay to {target}"):
                server.start()
                side = server.wait_for(
                    lambda asked: _paused(asked, timeline), "the target", patience=PATIENCE, note=reporter.note
                )
            with reporter.stage("compare it with what runs"):
                held = contents(server.connect)
                live, living = _live(config.postgres)
            server.stop()
    beside = Beside(
        id=name,
        directory=str(directory),
        cluster=config.cluster,
        system_identifier=repository.system_identifier,
        backup=backup.id,
        target=str(wish.target),
        timeline=timeline,
        tablespaces=backup.tablespaces,
        restored=side,
        live=live,
        databases={"restored": sorted(held), "live": sorted(living)},
        changes=changes(living, held) if live else [],
    )
    record_of(data_dir, name).write_text(json.dumps(beside.as_dict(), indent=2) + "\n")
    return beside


def _choose(config: Config, repository: Repository, wish: Wish) -> tuple[Backup, int, Target]:
    """The backup, the timeline, and what PostgreSQL is told. The latest moment is a place, at which it can wait."""
    backup = newest_before(repository, wish.target, timeline=wish.timeline)
    bin_dir = config.postgres.bin_dir
    found = reach(repository, backup, wish.target, timeline=wish.timeline, bin_dir=bin_dir)
    if not isinstance(wish.target, Latest):
        return backup, found.timeline, wish.target
    newest = newest_of(repository, bin_dir, load_archive(repository), [found])
    if newest is None:
        raise OpsError(
            f"nothing has committed since backup {backup.id}, as far as the archive goes",
            hint="Restore to the backup itself: --target immediate",
        )
    return backup, found.timeline, AtLsn(newest.lsn)


def _tell(directory: Path, target: Target, timeline: int, fetch: str) -> None:
    write_recovery(directory, target, timeline, fetch, action="pause")
    with (directory / "postgresql.auto.conf").open("a") as file:
        file.write(render({"archive_mode": "off"}))


def _paused(connection: Connection, timeline: int) -> Side | None:
    """How far replay came, once it waits at its target."""
    in_recovery, state = row(connection, "SELECT pg_is_in_recovery(), pg_get_wal_replay_pause_state()")
    if not in_recovery:
        raise OpsError("the restored server did not wait at the target: it ended recovery by itself")
    return _side(timeline, *row(connection, _STATE)) if state == "paused" else None


def _live(postgres: Postgres) -> tuple[Side | None, Databases]:
    """What runs here; None, and nothing, where no server answers: a cluster that is lost has to come back, too."""
    try:
        with closing(connect(postgres)) as connection:
            side = _side(*row(connection, _LIVE))
        return side, contents(lambda name: connect(postgres, dbname=name))
    except Unreachable:
        return None, {}
    except psycopg.Error as error:
        raise OpsError(
            "the live server could not say what it holds",
            detail=str(error).strip(),
            hint="Somebody locks a table there just now, perhaps. Remove what was restored, and run this again.",
        ) from error


def _side(timeline: int, lsn: str, moment: datetime | None) -> Side:
    return Side(timeline, lsn, moment.astimezone(UTC).isoformat() if moment else None)
