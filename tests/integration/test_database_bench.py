"""The load proof on a real server, small: right answers, each role's own, plans of what was missed, nothing left."""

from __future__ import annotations

import json
import signal
import subprocess
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ops.database.bench import files
from ops.database.bench.fill import fill, key
from ops.database.bench.measure import answer, drawn
from ops.database.bench.question import Question, Rows, World
from ops.database.bench.questions import QUESTIONS
from ops.database.target import Target, alone
from ops.model.bench import CLASSES, Scale
from ops.postgres.connect import Connection

from ..waiting import wait_until
from .fix_database import SQL, Databases, acting, bench_command, value

pytestmark = pytest.mark.integration
SCALE = Scale(100, 1000)
SMALL = ("--users=100", "--transactions=1000", "--clients=2", "--rounds=1", "--file-rounds=1")
READS = [question for question in QUESTIONS if not question.sql.lstrip().startswith(("INSERT", "WITH"))]
WRITES = [question for question in QUESTIONS if question not in READS]


@dataclass(frozen=True)
class Filled:
    """A filled database, and its rows as JSON files."""

    target: Target
    world: World
    folder: Path


@pytest.fixture(scope="module")
def filled(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    target = databases.migrated()
    until = fill(target, SCALE, lambda *_: None)
    folder = tmp_path_factory.mktemp("files")
    files.write(target, folder, lambda _: None)
    return Filled(target, World(SCALE, until), folder)


def count(connection: Connection, condition: str, params: dict[str, Any]) -> int:
    """How many rows of a table there are: "table WHERE …"."""
    found = connection.execute(f"SELECT count(*) FROM {condition}".encode(), params).fetchone()
    assert found is not None
    return int(found[0])


def plain(rows: Rows) -> list[tuple[Any, ...]]:
    """Rows as values that compare: numbers to the millionth, keys as texts."""

    def simple(one: object) -> object:
        if isinstance(one, int | float | Decimal):
            return round(float(one), 6)
        return one if one is None else str(one)

    return [tuple(simple(one) for one in row) for row in rows]


@pytest.mark.parametrize("question", READS, ids=lambda question: question.name)
def test_the_database_and_the_files_give_the_same_answer(question: Question, filled: Filled) -> None:
    documents, lengths = files.read(filled.folder, question.files), []
    with filled.target.connect() as connection:
        for seed in range(40):
            params = drawn(question, seed, filled.world)
            found = plain(answer(connection, question, params))
            assert found == plain(question.look(documents, params)), params
            lengths.append(len(found))
    assert max(lengths) > 0  # so that not all of them were equal by being empty


# What each write has to have done: a count that grows, and by how much.
DONE: dict[str, tuple[str, int]] = {
    "decide 1000 KYC applications": ("kyc_applications WHERE verified_by = %(admin)s AND status = %(status)s", 90),
    "insert 1000 investments": ("investments WHERE status = 'pending' AND transaction_hash IS NULL", 1000),
    "insert 1000 transactions": ("transactions WHERE status = 'pending' AND transaction_hash IS NULL", 1000),
    "a block comes in": ("blockchain_transactions WHERE block_number = %(number)s", 5),
}
OF_TRAIL = "audit_trail WHERE transaction_id = pg_current_xact_id() AND changed_by = %(admin)s"


@pytest.mark.parametrize("question", WRITES, ids=lambda question: question.name)
def test_what_is_written_is_there_and_audited_with_the_admin_who_did_it(question: Question, filled: Filled) -> None:
    params = drawn(question, 1, filled.world)
    admin = params.get("admin")
    condition, expected = DONE[question.name]
    with filled.target.connect() as connection, acting(connection, question.role, current_admin_id=admin):
        connection.execute(question.sql, params)
        connection.execute("RESET ROLE")
        assert count(connection, condition, params) == expected
        if admin:
            assert count(connection, OF_TRAIL, params) == expected


@pytest.mark.parametrize("question", WRITES, ids=lambda question: question.name)
def test_the_files_hold_what_is_written_and_are_read_again_unchanged(question: Question, filled: Filled) -> None:
    assert question.writes is not None
    path = filled.folder / question.writes
    before = path.read_bytes()
    found = files.ask([question], filled.folder, filled.world, 2, lambda _: None)[question.name]
    assert len(found.parsed) == len(found.cached) == 2
    assert path.read_bytes() == before
    old, new = json.loads(before), json.loads(path.with_suffix(".new").read_text())
    assert new != old
    grown = {section: len(new[section]) - len(old[section]) for section in old}
    assert sum(grown.values()) == {"decide": 0, "insert": 1000, "a": 6}[question.name.split()[0]]


def test_the_application_finds_rows_of_the_user_whom_it_serves_and_none_without_one(filled: Filled) -> None:
    own = [question for question in READS if "user" in drawn(question, 0, filled.world)]
    assert [question.name for question in own] == ["own account", "own portfolio", "own transactions, newest 20"]
    assert {question.role for question in own} == {"app_user"}
    with filled.target.connect() as connection:
        for question in own:
            params = drawn(question, 0, filled.world)
            assert answer(connection, question, params)
            del params["user"]
            assert answer(connection, question, params) == []


def test_two_fills_give_the_same_rows(databases: Databases, filled: Filled) -> None:
    again = databases.migrated()
    fill(again, SCALE, lambda *_: None)
    digests = """SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM (
        SELECT id, user_id, asset_id, investment_id, type, amount, status, to_address, block_number FROM transactions
        WHERE transaction_hash IS NOT NULL) AS t"""
    with filled.target.connect() as one, again.connect() as other:
        assert value(one, digests) == value(other, digests)
        assert value(other, "SELECT count(*) FROM transactions") == SCALE.transactions
        assert value(other, "SELECT count(*) FROM users WHERE id = %s", key("user", SCALE.users)) == 1


def test_what_is_filled_went_through_the_audit_trail(filled: Filled) -> None:
    with filled.target.connect() as connection:
        audited = {"transactions": SCALE.transactions, "users": SCALE.users, "investments": SCALE.investments}
        for table, rows in audited.items():
            assert count(connection, "audit_trail WHERE action = 'INSERT' AND table_name = %(t)s", {"t": table}) == rows


# -- the command -------------------------------------------------------------------------------------------------------


def bench(databases: Databases, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        bench_command(databases.host, *SMALL, *options),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def scratch_databases(databases: Databases) -> list[str]:
    found = databases.host.sql("SELECT datname FROM pg_database WHERE datname LIKE 'ops_bench_%'")
    return [name for (name,) in found]


def of_all_classes(milliseconds: int) -> list[str]:
    return [word for one in CLASSES for word in ("--target", one.name, str(milliseconds))]


def test_the_table_tells_of_each_question_and_class_and_nothing_is_left(databases: Databases) -> None:
    databases.host.sql("CREATE DATABASE ops_bench_1")  # left behind by one that was killed
    outcome = bench(databases, *of_all_classes(10**6))
    assert outcome.returncode == 0, outcome.stderr
    for question in QUESTIONS:
        assert question.name in outcome.stdout
    assert outcome.stdout.count("met") == len(QUESTIONS) + len(CLASSES)
    assert "missed" not in outcome.stdout
    assert "plan kept" not in outcome.stdout
    assert scratch_databases(databases) == []


def test_a_class_that_is_missed_keeps_the_plans_of_its_questions(databases: Databases) -> None:
    folder = databases.host.base / "plans"
    others = of_all_classes(10**6)
    outcome = bench(databases, *others, "--target", "bulk", "0", f"--keep-plans={folder}", "--json", "--file-rounds=0")
    assert outcome.returncode == 1, outcome.stderr
    found = json.loads(outcome.stdout)
    assert {one["query_class"]: bool(one["missed"]) for one in found["classes"]} == {
        **{one.name: False for one in CLASSES},
        "bulk": True,
    }
    assert sorted(map(str, folder.iterdir())) == sorted(found["plans"])
    assert len(found["plans"]) == len([question for question in QUESTIONS if question.query_class == "bulk"])
    for path in map(Path, found["plans"]):
        text = path.read_text()
        assert "target 0 ms" in text
        assert "actual time" in text
        assert "Buffers: shared" in text
    assert {row["parsed"] for row in found["rows"]} == {None}


def test_too_little_room_is_said_before_anything_is_made(databases: Databases) -> None:
    outcome = bench(databases, "--transactions=100000000000")
    assert outcome.returncode == 1
    assert "too little room" in outcome.stderr
    assert "Nothing was made" in outcome.stderr
    assert scratch_databases(databases) == []


def test_a_folder_that_cannot_take_the_plans_is_refused_before_anything_is_made(databases: Databases) -> None:
    outcome = bench(databases, "--keep-plans=/proc/plans")
    assert outcome.returncode == 2
    assert "--keep-plans: may not write into /proc/plans" in outcome.stderr
    assert scratch_databases(databases) == []


def test_a_second_benchmark_is_refused_while_one_runs(databases: Databases) -> None:
    with databases.target("postgres").connect() as connection, alone(connection, "test", "ops db bench"):
        outcome = bench(databases)
    assert outcome.returncode == 1
    assert "another run of ops db bench is at work" in outcome.stderr


def test_a_server_that_has_others_to_serve_is_left_alone_unless_told(databases: Databases) -> None:
    databases.host.sql("CREATE ROLE shop LOGIN")
    uri = databases.target("postgres").uri.replace("postgres@", "shop@")
    with Target(uri, SQL).connect():
        refused = bench(databases)
        assert refused.returncode == 1
        assert "DETAIL:  shop in postgres" in refused.stderr
        told = bench(databases, "--beside-others", "--file-rounds=0", *of_all_classes(10**6))
        assert told.returncode == 0, told.stderr
        assert "others on the server: shop in postgres" in told.stdout
        assert "JSON files" not in told.stdout


@pytest.mark.parametrize(
    ("options", "asked", "sign"),
    [
        pytest.param(["--transactions=1000000"], "generate_series", signal.SIGTERM, id="while it fills, by systemd"),
        pytest.param(["--rounds=10000"], "FROM user_portfolio AS", signal.SIGINT, id="while it asks, by Ctrl-C"),
    ],
)
def test_an_interrupted_benchmark_leaves_no_database_and_no_session(
    databases: Databases, options: list[str], asked: str, sign: signal.Signals
) -> None:
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 'ops_bench_%'"
    at_work = f"{sessions} AND query LIKE '%{asked}%'"
    arguments = bench_command(databases.host, *SMALL, "--file-rounds=0", *options)
    with subprocess.Popen(arguments, cwd="/", stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until("it is at work", lambda: databases.host.value(at_work))
            process.send_signal(sign)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == "interrupted"
    assert scratch_databases(databases) == []
    assert databases.host.value(sessions) == 0
