"""The heartbeat on a real server: a row a second, whatever happens to the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from ops.config import FolderRepository, Postgres
from ops.postgres.heartbeat import KEEP_ROWS, REPLICA, WRITING, Heartbeat

from ..waiting import wait_until
from .fix_drill import SQL, running
from .fix_postgres import BIN_DIR, OPS, Host

pytestmark = pytest.mark.integration

MIGRATION = (SQL / "ops" / "0001-heartbeat.sql").read_text()


@pytest.fixture
def host(hosts: Callable[[str], Host]) -> Iterator[Host]:
    made = hosts("primary")
    made.initdb()
    made.configure(track_commit_timestamp="on")
    made.start()
    yield made
    made.stop("immediate")


@pytest.fixture
def beats(host: Host) -> Iterator[Heartbeat]:
    with closing(Heartbeat(Postgres(bin_dir=BIN_DIR, socket_dir=host.base, port=host.port), "pg1")) as heartbeat:
        yield heartbeat


def test_it_writes_a_row_a_second_through_restart_and_failover_and_says_only_what_changes(
    host: Host, folder_settings: FolderRepository
) -> None:
    host.write_config(folder_settings)
    log = host.base / "processes.log"

    def says(text: str) -> None:
        wait_until(text, log.read_text, until=lambda seen: seen.strip().endswith(text))

    def rows(at_least: int) -> None:
        wait_until("rows", lambda: host.value("select count(*) from ops.heartbeat"), until=lambda n: n >= at_least)

    with running(host, OPS, "heartbeat", "run"):
        says("waiting: there is no table ops.heartbeat yet")
        host.sql(MIGRATION)
        says(WRITING)
        rows(2)
        host.stop()
        says("waiting: the server does not let us in")
        host.write(host.data_dir / "standby.signal", "")
        host.start()
        says(REPLICA)
        host.sql("select pg_promote()")
        says(WRITING)
        rows(4)
    kinds = [line.removeprefix("heartbeat: ") for line in log.read_text().splitlines()]
    assert [kind for kind in kinds if kind in (WRITING, REPLICA)] == [WRITING, REPLICA, WRITING]
    assert len(kinds) < 8, "a state that lasts is said once"

    count, last, ticks = host.sql(
        "select count(*), max(id), count(distinct date_trunc('second', at)) from ops.heartbeat"
    )[0]
    assert count == last == ticks
    assert host.value("select count(*) from ops.heartbeat where pg_xact_commit_timestamp(xmin) < at") == 0


def test_it_forgets_rows_older_than_two_days_from_the_first_on(host: Host, beats: Heartbeat) -> None:
    host.sql(MIGRATION)
    last = KEEP_ROWS + 1199
    host.sql(f"insert into ops.heartbeat (id, host) select generate_series(1, {last}), 'pg1'")
    assert beats.beat() == WRITING
    assert host.sql("select min(id), max(id), count(*) from ops.heartbeat") == [(1201, last + 1, KEEP_ROWS)]


def test_a_replica_that_does_not_answer_does_not_silence_it(host: Host, beats: Heartbeat) -> None:
    host.sql(MIGRATION)
    host.sql("alter system set synchronous_standby_names = 'gone'")
    host.sql("select pg_reload_conf()")
    wait_until("the setting", lambda: host.value("show synchronous_standby_names") == "gone")
    assert beats.beat() == WRITING
    assert host.value("select count(*) from ops.heartbeat") == 1


def test_ids_go_on_without_a_gap_after_a_row_that_could_not_be_written(host: Host, beats: Heartbeat) -> None:
    host.sql(MIGRATION)
    assert beats.beat() == WRITING
    host.sql("alter table ops.heartbeat add constraint no_more check (false) not valid")
    assert beats.beat() == "waiting: the server said CheckViolation (23514)"
    host.sql("alter table ops.heartbeat drop constraint no_more")
    assert beats.beat() == WRITING
    assert host.sql("select array_agg(id order by id) from ops.heartbeat") == [([1, 2],)]
