"""The restore drill: restore beside, replay to the target, look, replay on, look again, and say what that proves.

Everything happens in a directory of the drill's own, on a private socket, with archiving off. What was seen goes
into an `Observed`, piece by piece; DRILL_CHECKS judge it at the end, however far the drill got.
"""

from __future__ import annotations

import platform
import random
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import psycopg

from ops.backup.recovery import write_recovery
from ops.backup.restore import restore_files
from ops.config import Config
from ops.drill import observe
from ops.drill.evidence import Evidence, Phase, describe
from ops.drill.fetching import Fetching, fetching_ahead
from ops.drill.scratch import scratch
from ops.drill.window import survey
from ops.errors import OpsError
from ops.model.drill_id import new_id
from ops.model.oracle import MAX_SILENCE, Measured, Observed, Pause
from ops.model.plan import Plan, Refused, Wish, plan
from ops.model.target import AtLsn, AtTime, Target
from ops.postgres.programs import check_checksums, run
from ops.postgres.server import PrivateServer
from ops.store.repository import Repository

# Recovery may take as long as it takes. Standing still for so many seconds is a failure.
PATIENCE = 300.0


class Reporter(Protocol):
    """Who listens to a drill."""

    def stage(self, title: str) -> AbstractContextManager[None]:
        """Entered when a stage begins, left when it ends."""

    def progress(self, done: int, total: int) -> None:
        """How far a stage that counts bytes is."""

    def note(self, text: str) -> None:
        """How far any other stage is, in words."""


class Refusal(OpsError):
    """The target cannot be reached; nothing was restored."""


@dataclass(frozen=True)
class Job:
    """What is drilled."""

    config: Config
    repository: Repository
    wish: Wish
    keep: bool = False


def restore(job: Job, reporter: Reporter) -> Evidence:
    """Run the drill; what it proved, or why it did not. Not stored yet.

    Raises Refusal for a moment that somebody asked for and that cannot be reached. A drill to the latest or a
    random moment that cannot even begin has failed, and says so in its evidence.
    """
    drill = _Drill(job, reporter)
    with scratch(job.config.drill.directory, drill.id, keep=job.keep) as home:
        try:
            drill.run(home)
        except Refusal as refusal:
            if isinstance(job.wish, AtTime):
                raise
            drill.failure = refusal
        except OpsError as error:
            drill.failure = error
        except psycopg.Error as error:
            drill.failure = OpsError("the restored server could not answer a question", detail=str(error).strip())
    return drill.evidence()


@dataclass
class _Drill:
    """One drill on its way, and what it has seen so far."""

    job: Job
    reporter: Reporter
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    clock: float = field(default_factory=time.monotonic)
    plan: Plan | None = None
    seen: Observed | None = None
    phases: list[Phase] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failure: OpsError | None = None

    def __post_init__(self) -> None:
        self.id = new_id(self.started)

    def run(self, home: Path) -> None:
        """All of it, in order."""
        chosen = self._choose()
        data = home / "data"
        self._restore(chosen, data)
        with fetching_ahead(self.job.config, home) as fetching, self._server(chosen, home, data) as server:
            self._replay_to_target(chosen, server, data, fetching)
            self._look(chosen, server)
            self._replay_on(chosen, server, data, fetching)
            self.notes.append(str(fetching))
            self._open(server)
            with self._phase("shut down and check every page"):
                server.stop()
                self._saw(checksums=check_checksums(self.job.config.postgres.bin_dir, data))

    def _choose(self) -> Plan:
        with self._phase("find the backup and the WAL for it"):
            found = survey(self.job.repository, self.job.config.postgres.bin_dir)
            now = datetime.now(UTC)
            pick = random.SystemRandom().randrange
            chosen = found if isinstance(found, Refused) else plan(self.job.wish, found, now, pick)
            if isinstance(chosen, Refused):
                raise Refusal(chosen.message, detail=chosen.detail, hint=chosen.hint)
        self.plan = chosen
        distance = (now - chosen.newest.time).total_seconds()
        self.seen = Observed(chosen.target, chosen.newest, rpo=Measured(distance, self.job.config.drill.rpo_seconds))
        return chosen

    def _restore(self, chosen: Plan, data: Path) -> None:
        with self._phase(f"restore backup {chosen.backup.id}"):
            restore_files(
                self.job.repository,
                chosen.backup,
                data,
                workers=self.job.config.backup.workers,
                progress=self.reporter.progress,
            )
            # Whatever ALTER SYSTEM set on the original is not for us: an archive_command, a primary_conninfo.
            (data / "postgresql.auto.conf").write_text("")

    def _server(self, chosen: Plan, home: Path, data: Path) -> PrivateServer:
        libraries = chosen.backup.settings.get("shared_preload_libraries", "")
        there, absent = _available(libraries, self.job.config.postgres.bin_dir)
        if absent:
            self.notes.append(f"started without libraries that this host has not got: {', '.join(absent)}")
        return PrivateServer(self.job.config.postgres, home, data, {"shared_preload_libraries": ", ".join(there)})

    def _replay_to_target(self, chosen: Plan, server: PrivateServer, data: Path, fetching: Fetching) -> None:
        with self._phase(f"replay to {chosen.target}"):
            pause = self._replay(chosen.recovery, server, data, fetching)
        duration = time.monotonic() - self.clock
        self._saw(pause=pause, rto=Measured(duration, self.job.config.drill.rto_seconds))
        if pause.promoted:
            raise OpsError("the restored server did not stop at the target: it ended recovery by itself")

    def _look(self, chosen: Plan, server: PrivateServer) -> None:
        with self._phase("read the heartbeat at the target"), closing(server.connect()) as connection:
            self._saw(newest_here=observe.commit_time(connection, chosen.newest.xid))
            self._saw(before=observe.beats(connection))
        names = observe.databases(server)
        with self._phase(f"check tables and indexes of {', '.join(names)}"):
            self._saw(relations=observe.check_relations(server, names))
        with self._phase("check the invariants"):
            self._saw(invariants=observe.check_invariants(server, names, self.job.config.drill.checks_dir))

    def _replay_on(self, chosen: Plan, server: PrivateServer, data: Path, fetching: Fetching) -> None:
        """To where the next heartbeat row must have come: it is in the archive, and was not there before."""
        assert self.seen is not None
        if not isinstance(chosen.target, AtTime) or self.seen.before is None:
            return
        onward = AtTime(chosen.target.time + MAX_SILENCE)
        reachable = onward if onward.time < chosen.newest.time else AtLsn(chosen.newest.lsn)
        with self._phase("replay on, for the row after the target"):
            server.stop()
            self._replay(reachable, server, data, fetching)
            with closing(server.connect()) as connection:
                self._saw(after=observe.next_beat(connection, self.seen.before.last.id))

    def _open(self, server: PrivateServer) -> None:
        # Also what brings every replayed page to disk: the checksums are checked there, and a page that the
        # backup caught half-written is whole on disk only once what WAL made of it has been written back.
        with self._phase("open for writing"):
            self._saw(opened=observe.open_for_writing(server))

    def _replay(self, target: Target, server: PrivateServer, data: Path, fetching: Fetching) -> Pause:
        assert self.plan is not None
        write_recovery(data, target, self.plan.timeline, fetching.command, action="pause")
        server.start()
        return server.wait_for(
            lambda connection: observe.paused(connection, server),
            "the target",
            patience=PATIENCE,
            note=self.reporter.note,
        )

    def _saw(self, **pieces: object) -> None:
        assert self.seen is not None
        self.seen = replace(self.seen, **pieces)  # type: ignore[arg-type]

    @contextmanager
    def _phase(self, title: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            with self.reporter.stage(title):
                yield
        finally:
            self.phases.append(Phase(name=title, seconds=round(time.monotonic() - start, 3)))

    def evidence(self) -> Evidence:
        """The record of what has been seen, judged."""
        return describe(
            drill_id=self.id,
            layout=self.job.repository.layout,
            asked=self.job.wish,
            started=self.started,
            versions={
                "ops": version("pend-ops"),
                "postgresql": run([self.job.config.postgres.bin_dir / "postgres", "--version"]).stdout.strip(),
                "python": platform.python_version(),
            },
            chosen=self.plan,
            seen=self.seen,
            phases=self.phases,
            notes=self.notes,
            failure=self.failure,
        )


def _available(libraries: str, bin_dir: Path) -> tuple[list[str], list[str]]:
    """Of the libraries that the original preloaded: those that this host has, and those that it has not."""
    names = [name.strip().strip('"') for name in libraries.split(",") if name.strip()]
    folder = bin_dir.parent / "lib"
    if not folder.is_dir():
        return names, []  # not laid out as on Debian: the server itself will tell
    there = [name for name in names if (folder / f"{Path(name).name}.so").exists()]
    return there, [name for name in names if name not in there]
