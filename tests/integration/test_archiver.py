"""The archiver service and its client, with a server that archives by way of them."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.config import S3Repository, load
from ops.model.layout import Layout
from ops.postgres.control import ControlData
from ops.store import open_store
from ops.store.repository import Repository
from ops.wal import faults
from ops.wal.archive import load_archive
from ops.wal.archiver.protocol import Reply, Request
from ops.wal.archiver.service import Service
from ops.wal.contract import FetchExit

from ..waiting import wait_until
from .fix_archiver import CLIENT, PYTHON, Archiver
from .fix_postgres import Host, run_as_postgres
from .fix_store import Weed

pytestmark = pytest.mark.integration


@pytest.fixture
def server(hosts: Callable[[str], Host], archivers: Callable[[Host], Archiver], s3_settings: S3Repository) -> Archiver:
    """A server with small segments that archives into a bucket through the service; neither is started yet."""
    host = hosts("pg")
    host.initdb("--wal-segsize=1")
    archiver = archivers(host)
    host.write_config(s3_settings.model_copy(update={"attempts": 1}), wal=archiver.settings())
    host.configure(archive_mode="on", archive_command=archiver.command("push %p"), wal_level="replica")
    return archiver


def switch(host: Host, times: int = 1) -> str:
    """Fill so many segments, and return the name of the last one."""
    for _ in range(times):
        host.sql("select pg_logical_emit_message(true, 'test', 'something')")
        name = str(host.value("select pg_walfile_name(pg_switch_wal())"))
    return name


def ready(host: Host) -> list[str]:
    return sorted(path.stem for path in (host.data_dir / "pg_wal" / "archive_status").glob("*.ready"))


def settled(host: Host, last: str) -> None:
    """Wait until PostgreSQL counts `last` as archived."""
    wait_until(
        f"{last} is archived",
        lambda: (host.value("select coalesce(last_archived_wal, '') from pg_stat_archiver"), ready(host)),
        until=lambda seen: seen == (last, []),
        deadline=70,  # after three failures PostgreSQL rests for a minute
    )


def stored(host: Host, settings: S3Repository) -> frozenset[int]:
    """The numbers of the segments of timeline 1 in the store."""
    layout = Layout("pend", "main", ControlData.read(host.data_dir).system_identifier)
    return load_archive(Repository(open_store(settings), layout)).segments[1]


def numbers(first: str, last: str) -> frozenset[int]:
    return frozenset(range(int(first[16:], 16), int(last[16:], 16) + 1))


def test_a_server_archives_through_the_service(server: Archiver, s3_settings: S3Repository) -> None:
    server.start()
    server.host.start()
    first = switch(server.host)
    last = switch(server.host, 9)
    settled(server.host, last)
    assert numbers(first, last) <= stored(server.host, s3_settings)
    assert server.host.value("select failed_count from pg_stat_archiver") == 0
    status = server.status()
    assert (status["healthy"], status["queue"], status["in_flight"]) == (True, 0, 0)
    assert status["archived_total"] >= 10
    assert status["failed_total"] == 0
    assert status["last_archived"] is not None


def test_what_waits_is_pushed_before_it_is_asked_for(server: Archiver, s3_settings: S3Repository) -> None:
    server.host.configure(archive_command="false")
    server.host.start()
    first = switch(server.host)
    last = switch(server.host, 5)
    server.start()
    wait_until("all is stored", lambda: server.status()["stored_ahead"] >= 6)
    assert numbers(first, last) <= stored(server.host, s3_settings)
    assert ready(server.host)[-1] == last  # PostgreSQL does not know yet
    for name in ready(server.host):
        assert server.client("push", f"pg_wal/{name}", alone=False).returncode == 0


def test_without_the_service_the_client_archives_by_itself(server: Archiver, s3_settings: S3Repository) -> None:
    server.host.start()
    last = switch(server.host)
    settled(server.host, last)
    status = server.status()
    assert (status["service"], status["healthy"], status["queue"]) == ("down", False, 0)
    assert server.host.ops("wal", "status").returncode == 1


def test_a_service_that_hangs_is_not_waited_for(server: Archiver) -> None:
    server.start()
    server.host.start()
    server.signal(signal.SIGSTOP)
    last = switch(server.host)
    try:
        settled(server.host, last)
    finally:
        server.signal(signal.SIGCONT)
    wait_until("it is well again", lambda: server.status()["healthy"])


def test_a_restart_at_any_moment_loses_nothing_and_fails_nothing(server: Archiver, s3_settings: S3Repository) -> None:
    server.start()
    server.host.start()
    first = switch(server.host)
    for end in (server.kill, server.stop):
        switch(server.host, 8)
        end()
        server.start()
    last = switch(server.host, 2)
    settled(server.host, last)
    assert numbers(first, last) <= stored(server.host, s3_settings)
    assert server.host.value("select failed_count from pg_stat_archiver") == 0


def test_what_is_asked_of_a_service_that_is_being_stopped_is_left_to_the_client_or_answered_all_the_same(
    server: Archiver, tmp_path: Path
) -> None:
    host = server.host
    host.start()
    name = switch(host)
    settled(host, name)  # by clients alone
    config = load(host.config_file)
    service = Service(config.model_copy(update={"wal": config.wal.model_copy(update={"spool_dir": tmp_path})}))
    service.stop()

    def asked(verb: str, *arguments: str) -> Reply:
        return service.answer(Request(verb, host.data_dir, arguments), lambda: False)

    assert asked("push", f"pg_wal/{name}") == Reply(None)
    fetched = asked("fetch", name, str(tmp_path / "fetched"))
    assert (fetched.code, fetched.message) == (FetchExit.FETCHED, "")
    assert fetched.file
    assert fetched.file.read_bytes() == (host.data_dir / "pg_wal" / name).read_bytes()


def test_a_server_that_is_killed_too_archives_what_it_had(server: Archiver, s3_settings: S3Repository) -> None:
    server.start()
    server.host.start()
    first = switch(server.host)
    switch(server.host, 5)
    server.host.kill()
    server.kill()
    server.start()
    server.host.start()
    last = switch(server.host)
    settled(server.host, last)
    assert numbers(first, last) <= stored(server.host, s3_settings)


@pytest.mark.parametrize("point", [*faults.PUSH, "client-asked", "client-answered"])
def test_a_server_that_is_killed_at_any_point_of_a_push_archives_what_it_had(
    server: Archiver, s3_settings: S3Repository, point: str
) -> None:
    host, by_client = server.host, point in faults.CLIENT
    server.start(kill_at="" if by_client else point)
    host.configure(archive_command=(f"OPS_KILL_AT={point} " if by_client else "") + server.command("push %p"))
    host.start()
    first = switch(host)
    if by_client:
        host.wait_for_log("The failed archive command was")
    else:
        assert server.wait() == -signal.SIGKILL
        server.start()
    host.kill()
    host.configure(archive_command=server.command("push %p"))
    host.start()
    last = switch(host)
    settled(host, last)
    assert numbers(first, last) <= stored(host, s3_settings)
    assert host.ops("wal", "gaps", "--verify", "all").returncode == 0


def test_the_client_imports_next_to_nothing(server: Archiver) -> None:
    server.start()
    server.host.start()
    name = switch(server.host)
    python = [PYTHON, "-I", "-S", "-X", "importtime", str(CLIENT)]
    command = [*python, "--socket", str(server.socket), "push", f"pg_wal/{name}"]
    outcome = run_as_postgres(command, cwd=server.host.data_dir)
    assert outcome.returncode == 0, outcome.stderr
    modules = {line.rpartition("|")[2].strip() for line in outcome.stderr.splitlines() if "import time:" in line}
    assert "_socket" in modules
    assert modules & {"boto3", "botocore", "ops", "socket", "json", "ssl", "subprocess"} == set()


def test_an_outage_is_told_and_caught_up_with_alone(server: Archiver, weed: Weed, s3_settings: S3Repository) -> None:
    server.start()
    server.host.start()
    first = switch(server.host)
    settled(server.host, first)
    weed.kill()
    try:
        during = switch(server.host, 4)
        wait_until("the outage is counted", lambda: server.host.value("select failed_count from pg_stat_archiver") > 0)
        status = server.status()
        assert not status["healthy"]
        assert status["queue"] >= 4
        assert status["oldest_unarchived"] == ready(server.host)[0]
        assert any("does not answer" in failure["reason"] for failure in status["failures"])
        assert "does not answer" in server.host.log_text()
    finally:
        weed.start()
    # Before PostgreSQL has had its rest.
    wait_until("all is stored", lambda: numbers(first, during) <= stored(server.host, s3_settings), deadline=40)
    last = switch(server.host)
    settled(server.host, last)
    assert server.status()["healthy"]


def test_fifty_pushers_of_one_name_store_one_file(server: Archiver) -> None:
    server.start()
    server.host.start()
    name = switch(server.host)
    server.host.stop()
    original = (server.host.data_dir / "pg_wal" / name).read_bytes()
    name = f"{name}.partial"  # which the server itself has not archived
    folders = [server.host.base / f"copy-{number}" for number in range(50)]
    for number, folder in enumerate(folders):
        folder.mkdir(mode=0o755)
        (folder / name).write_bytes(original[:-2] + number.to_bytes(2, "big"))
        (folder / name).chmod(0o644)

    def race(paths: list[Path]) -> list[int]:
        command = server.command("push")
        pushers = [subprocess.Popen(f"{command} {path}", shell=True, cwd=server.host.data_dir,
                                    stderr=subprocess.DEVNULL) for path in paths]  # fmt: skip
        return sorted(pusher.wait(60) for pusher in pushers)

    assert race([folder / name for folder in folders]) == [0] + 49 * [1]
    (winner,) = [folder for folder in folders if server.client("push", folder / name).returncode == 0]
    for folder in folders:
        (folder / name).write_bytes((winner / name).read_bytes())
    assert race([folder / name for folder in folders]) == 50 * [0]


def test_nobody_else_may_use_the_socket(server: Archiver) -> None:
    server.start()
    assert server.socket.stat().st_mode & 0o777 == 0o600
    assert server.socket.parent.stat().st_mode & 0o777 == 0o700


def test_a_second_service_is_refused(server: Archiver) -> None:
    server.start()
    outcome = server.host.ops("wal", "archiver")
    assert outcome.returncode == 2
    assert "another archiver service" in outcome.stderr
    assert server.status()["healthy"]


def test_what_the_service_refuses_is_told_as_the_command_does(server: Archiver) -> None:
    server.start()
    (server.host.data_dir / "pg_wal" / "nonsense").touch()
    for name, said in (("nonsense", "is no WAL file"), ("0000000100000000000000FF", "could not read")):
        outcome = server.client("push", f"pg_wal/{name}", alone=False)
        assert outcome.returncode == 1, outcome.stderr
        assert said in outcome.stderr


def test_wrong_usage_keeps_the_codes_of_the_commands(server: Archiver) -> None:
    server.start()
    assert server.client("push").returncode == 2
    assert server.client("fetch").returncode == 200
    assert server.client("fetsch", "x", "y").returncode == 200
    assert server.client("push", "--colour", "x").returncode == 2


def test_what_cannot_be_found_out_is_exit_3(server: Archiver) -> None:
    server.host.write_config(server.host.folder(), postgres={"data_dir": "/nowhere"}, wal=server.settings())
    assert server.host.ops("wal", "status").returncode == 3
