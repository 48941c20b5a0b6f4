"""Restore drills against a real primary under load: what they prove, refuse, and leave behind."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ops.config import FolderRepository
from ops.drill.checks import DRILL_CHECKS
from ops.errors import Exit

from ..waiting import free_port, wait_until
from .fix_drill import Fleet, failed, fleet, load, running
from .fix_postgres import OPS
from .fix_store import Weed

pytestmark = pytest.mark.integration


@dataclass
class Scene:
    """A fleet with a backup, and two moments after it; all of the WAL between them lies in or after `between`."""

    fleet: Fleet
    repository: Path
    early: datetime
    between: str
    late: datetime


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with tempfile.TemporaryDirectory(prefix="ops-repository-") as directory:
        repository = Path(directory)
        repository.chmod(0o755)
        with fleet(FolderRepository(type="folder", path=repository)) as found:
            with load(found.primary):
                found.backup()
                early = found.now()
                found.archived(early + timedelta(seconds=2))
                between = found.primary.value("select pg_walfile_name(pg_current_wal_lsn())")
                late = found.now()
                found.archived(late + timedelta(seconds=1))
            yield Scene(found, repository, early, between, late)


@pytest.fixture
def ready(scene: Scene) -> Fleet:
    return scene.fleet


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def is_clean(ready: Fleet) -> bool:
    """Nothing of a drill is left on the drill host."""
    return not ready.processes() and [path.name for path in ready.drills.iterdir()] == ["lock"]


def server_of(ready: Fleet) -> list[str]:
    """The processes of the server that a drill has restored."""
    return [line for line in ready.processes() if "postgres" in line.partition(" ")[0]]


def test_a_drill_to_a_random_moment_proves_it_between_two_rows_and_leaves_only_evidence(scene: Scene) -> None:
    ready = scene.fleet
    code, evidence = ready.run("random")
    assert (code, evidence["verdict"], failed(evidence)) == (Exit.OK, "proven", {})
    assert [check["name"] for check in evidence["checks"]] == [check.name for check in DRILL_CHECKS]
    before, after = evidence["oracle"]["before"], evidence["oracle"]["after"]
    assert after["id"] == before["id"] + 1
    assert moment(before["committed_at"]) <= moment(evidence["target"]) < moment(after["committed_at"])
    assert 0 < evidence["rto"]["seconds"] < 60
    assert is_clean(ready)
    # It ended recovery on a timeline of its own, which is nobody else's business.
    assert [path.name for path in scene.repository.glob("pend/main/*/wal/*")] == ["00000001"]

    listed = json.loads(ready.drill.ops("drill", "list", "--json").stdout)
    assert listed[-1] == evidence
    assert json.loads(ready.drill.ops("drill", "show", evidence["id"], "--json").stdout) == evidence


def test_a_given_moment_is_proven_on_a_page_for_people_and_kept_for_a_look(scene: Scene) -> None:
    ready, early = scene.fleet, scene.early
    rows = ready.primary.sql(
        f"select id from ops.heartbeat where pg_xact_commit_timestamp(xmin) <= '{early}' order by id desc limit 1"
    )
    outcome = ready.drill.ops("drill", "restore", "--target", early.isoformat(), "--keep")
    assert outcome.returncode == Exit.OK, outcome.stderr
    page = outcome.stdout
    assert "PROVEN" in page
    assert f"row {rows[0][0]}, written on" in page
    assert f"row {rows[0][0] + 1}, written on" in page
    assert early.isoformat().replace("+00:00", "Z") in page
    assert all(check.name in page for check in DRILL_CHECKS)
    assert len(page.splitlines()) < 30
    assert max(len(line) for line in page.splitlines()) < 160

    (kept,) = ready.drills.glob("*-*")
    ready.run("2126-01-01T00:00:00Z")  # which tidies up, but not this
    assert (kept / "data" / "PG_VERSION").exists()
    assert "recovery stopping before commit" in (kept / "server.log").read_text()
    shutil.rmtree(kept)


def test_latest_reaches_the_newest_commit_even_where_the_primary_has_outgrown_the_backup(ready: Fleet) -> None:
    ready.primary.stop()
    ready.primary.configure(max_connections=150, max_locks_per_transaction=100)
    ready.primary.start()
    ready.archived(ready.now())
    code, evidence = ready.run("latest")
    assert (code, failed(evidence), evidence["failure"]) == (Exit.OK, {}, None)


@pytest.mark.parametrize(
    ("target", "code", "says"),
    [
        ("2126-01-01T00:00:00Z", Exit.NO, "in the future"),
        ("2020-01-01T00:00:00Z", Exit.NO, "before the first moment that can be restored to"),
        ("yesterday", Exit.USAGE, "2026-11-21T10:53:00Z"),
        ("xid:1234", Exit.USAGE, "latest, random or a time"),
    ],
)
def test_a_target_that_cannot_be_is_refused_and_nothing_is_stored(
    scene: Scene, target: str, code: Exit, says: str
) -> None:
    before = list(scene.repository.glob("**/evidence/**/*"))
    found, error = scene.fleet.run(target)
    assert found == code
    assert says in json.dumps(error)
    assert list(scene.repository.glob("**/evidence/**/*")) == before
    assert not scene.fleet.drills.exists() or is_clean(scene.fleet)


def test_a_target_beyond_the_frontier_is_refused_with_the_newest_recoverable_moment(ready: Fleet) -> None:
    code, error = ready.run(ready.now().isoformat())
    assert code == Exit.NO
    assert "beyond the frontier" in error["error"]
    assert "newest recoverable commit is of 20" in error["detail"]
    assert "archive_timeout" in error["hint"]


def test_a_gap_refuses_what_lies_behind_it_and_nothing_else(scene: Scene) -> None:
    ready = scene.fleet
    (lost,) = scene.repository.glob(f"pend/main/*/wal/00000001/{scene.between}")
    shutil.move(lost, ready.base / "lost")
    try:
        code, error = ready.run(scene.late.isoformat())
        assert code == Exit.NO
        assert "gap" in error["error"]
        assert lost.name in error["detail"]
        code, evidence = ready.run(scene.early.isoformat())
        assert (code, failed(evidence)) == (Exit.OK, {})
        code, evidence = ready.run("latest")
        assert code == Exit.NO
        assert evidence["verdict"] == "failed"
        assert lost.name in evidence["failure"]["detail"]
    finally:
        shutil.move(ready.base / "lost", lost)


def test_an_interrupted_drill_cleans_up_and_a_killed_one_is_cleaned_up_after(ready: Fleet) -> None:
    command = (OPS, "drill", "restore", "--target", "latest")
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with running(ready.drill, *command) as process:
            wait_until("the restored server runs", lambda: server_of(ready))
            process.send_signal(signal.SIGSTOP)  # on a busy machine it would be done with its server by then
            code, error = ready.run("latest")
            assert code == Exit.UNKNOWN
            assert "another drill runs on this host" in error["error"]
            process.send_signal(sign)
            process.send_signal(signal.SIGCONT)
            process.wait(20)
            assert process.returncode == (130 if sign == signal.SIGTERM else -sign)
        if sign == signal.SIGTERM:  # its server's restore_command may outlive it for a moment
            wait_until("nothing is left of the drill that was interrupted", lambda: is_clean(ready))
    assert server_of(ready), "the server outlives the drill that was killed"
    ready.run("2126-01-01T00:00:00Z")  # refused, but it tidies up first
    assert is_clean(ready)


def test_drills_of_any_cluster_work_from_s3_and_find_nothing_out_without_an_answer_from_it(weed: Weed) -> None:
    settings = weed.settings(weed.make_bucket())
    with fleet(settings, scale=0, serves="another") as found:
        found.backup()
        found.archived(found.now() + timedelta(seconds=1))
        code, evidence = found.run("random", "--cluster", "main")
        assert (code, failed(evidence)) == (Exit.OK, {})
        found.drill.write_config(settings.model_copy(update={"endpoint": f"https://localhost:{free_port()}"}))
        code, error = found.run("random")
        assert code == error["exit_code"] == Exit.UNKNOWN
