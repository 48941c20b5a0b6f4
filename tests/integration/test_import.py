"""Importing from JSON on a real server: nothing is lost, however dirty the files and whenever it is killed."""

from __future__ import annotations

import json
import os
import random
import signal
from decimal import Decimal
from pathlib import Path

import pytest

from ops.importing.batches import RECORDS
from ops.importing.sample import CUT
from ops.model.json_files import FILES, SECTIONS, TABLES

from ..waiting import wait_until
from .fix_database import Databases, value
from .fix_import import at_work, content, counts, imported, killed, ops, sample

pytestmark = pytest.mark.integration


def test_every_record_is_in_the_database_or_in_the_rejects_once(databases: Databases, tmp_path: Path) -> None:
    files, target = sample(tmp_path / "files"), databases.migrated()
    report = imported(target, files)

    assert report["equal"]
    # The file that is cut off is no JSON: it becomes some by closing it behind its last whole record.
    whole = (files / CUT).read_text()
    (files / CUT).write_text(whole[: whole.rindex("\n")].rstrip().rstrip(",") + "\n]")
    there = counts(files)
    there[CUT] += 1  # what was left of the last one
    said = {f"{one['file']} {one['section']}".strip(): one for one in report["sections"]}
    assert {title: one["records"] for title, one in said.items()} == dict(there)

    with target.connect() as connection:
        for section in SECTIONS:
            stored = value(connection, f"SELECT count(*) FROM {section.tables[0].name}")
            rejected = value(
                connection,
                "SELECT count(*) FROM ops.import_reject WHERE file = %s AND section = %s",
                section.file,
                section.name or "",
            )
            assert rejected == said[section.title]["rejected"]
            assert stored + rejected == there[section.title], section.title

    lines = [json.loads(line) for line in Path(report["rejects"]).read_text().splitlines()]
    assert len(lines) == sum(one["rejected"] for one in report["sections"])
    kept = Path(report["kept"])
    for line in lines:
        assert line["reason"]
        with (kept / line["file"]).open("rb") as file:
            file.seek(line["position"])
            assert file.read(len(line["record"].encode())) == line["record"].encode()


def test_what_is_only_written_differently_is_imported_all_the_same(databases: Databases, tmp_path: Path) -> None:
    files, target = tmp_path / "files", databases.migrated()
    files.mkdir()
    wallets = {
        "AB" * 32: {"address": "0xABCDEF" + "0" * 34, "tier": "2", "createdAt": 1709251200, "loginCount": "0x1F"},
        "cd" * 32: {"address": "0x" + "1" * 40, "createdAt": "1709251200000", "surprise": [1, Decimal(2)]},
        "ef" * 32: {"address": "0x" + "2" * 40, "createdAt": "01/03/2024 00:00"},
        "0a" * 32: {"address": "0xabcdef" + "0" * 34},
    }
    (files / "wallet-db.json").write_text(json.dumps({"wallets": wallets}, default=float))
    report = imported(target, files)

    with target.connect() as connection:
        rows = connection.execute(
            "SELECT phone_hash, tier, created_at = '2024-03-01 00:00Z', login_count, metadata FROM users"
            " JOIN user_profiles ON user_id = id ORDER BY blockchain_address"
        ).fetchall()
    assert rows == [
        ("cd" * 32, 0, True, 0, {"imported": {"surprise": [1, 2.0]}}),
        ("ef" * 32, 0, True, 0, {}),
        ("ab" * 32, 2, True, 31, {}),
    ]
    assert [(one["reason"], one["records"]) for one in report["reasons"]] == [
        ("address: a record before it has the same", 1)
    ]


def test_what_came_in_an_earlier_batch_is_not_taken_again(databases: Databases, tmp_path: Path) -> None:
    files, target = tmp_path / "files", databases.migrated()
    (files / "explorer-data").mkdir(parents=True)
    blocks = [{"number": number, "hash": f"0x{number:064x}"} for number in range(RECORDS + 3)]
    blocks += [
        {"number": 1, "hash": f"0x{1:064X}"},  # both keys again
        {"number": 2, "hash": f"0x{9_000_000:064x}"},  # not taken for its number …
        {"number": 9_000_000, "hash": f"0x{9_000_000:064x}"},  # … so nobody has this hash yet
        {"number": 2**63 - 1, "hash": f"0x{3:064x}"},
    ]
    # Two logs may have one id where their months differ: for the database, not for us.
    logs = [{"id": f"log_{number}", "message": "x", "timestamp": 1709251200} for number in range(RECORDS)]
    logs.append({"id": "log_7", "message": "y", "timestamp": 1719251200})
    (files / "explorer-data/enhanced-historical-data.json").write_text(json.dumps({"blocks": blocks}))
    (files / "explorer-data/transactions-log.json").write_text(json.dumps(logs))
    report = imported(target, files)

    assert report["equal"]
    with target.connect() as connection:
        assert value(connection, "SELECT count(*) FROM blockchain_blocks") == RECORDS + 4
        assert value(connection, "SELECT hash FROM blockchain_blocks WHERE number = 9000000") == f"0x{9_000_000:064x}"
        assert value(connection, "SELECT count(*) FROM system_logs") == RECORDS
        rejects = connection.execute("SELECT name, reason FROM ops.import_reject ORDER BY file, position").fetchall()
    assert rejects == [
        (f"0x{1:064X}", "number: a record before it has the same"),
        (f"0x{9_000_000:064x}", "number: a record before it has the same"),
        (f"0x{3:064x}", "hash: a record before it has the same"),
        ("log_7", "id: a record before it has the same"),
    ]


def test_killed_at_random_moments_it_ends_equal(databases: Databases, tmp_path: Path) -> None:
    files, alone, torn = sample(tmp_path / "files", times=0.2), databases.migrated(), databases.migrated()
    imported(alone, files)
    chance = random.Random(7)
    kills = sum(killed(torn, files, 0.8 + chance.random()) for _ in range(4))

    assert imported(torn, files)["equal"]
    assert kills, "no run was killed at work"
    assert content(torn) == content(alone)


def test_a_section_is_done_with_its_last_batch(databases: Databases, tmp_path: Path) -> None:
    files, target = sample(tmp_path / "files", dirty=False), databases.migrated()
    with target.connect() as connection:  # from its end nobody could read on: what follows there is another section
        connection.execute(
            "ALTER TABLE ops.import_section ADD CHECK (file <> 'admin-logs.json' OR section <> 'admins' OR done)"
        )
    report = imported(target, files)
    assert report["equal"]
    assert all(one["done"] for one in report["sections"])


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_however_it_ends_nobody_goes_on_reading(databases: Databases, tmp_path: Path, end: signal.Signals) -> None:
    files, target = sample(tmp_path / "files", times=0.2), databases.migrated()
    with at_work(target, files) as (process, reader):
        os.killpg(process.pid, end)  # as a terminal does with Ctrl-C
        _, said = process.communicate(timeout=60)
        wait_until("the end of the process that reads", lambda: not Path(f"/proc/{reader}").exists())
    assert process.returncode == {signal.SIGINT: 130, signal.SIGKILL: -signal.SIGKILL}[end]
    assert "Traceback" not in said


def test_without_its_reader_it_says_so_and_goes_on_when_run_again(databases: Databases, tmp_path: Path) -> None:
    files, target = sample(tmp_path / "files", times=0.2), databases.migrated()
    with at_work(target, files) as (process, reader):
        os.kill(reader, signal.SIGKILL)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "the process that reads the files has died" in said
    assert "Traceback" not in said
    assert imported(target, files)["equal"]


def test_a_second_run_does_nothing(databases: Databases, tmp_path: Path) -> None:
    files, target = sample(tmp_path / "files"), databases.migrated()
    first = imported(target, files)
    before = content(target)
    again = imported(target, files)
    assert (again["sections"], again["tables"]) == (first["sections"], first["tables"])
    assert content(target) == before


def test_files_that_have_changed_since_are_refused(databases: Databases, tmp_path: Path) -> None:
    files, target = sample(tmp_path / "files"), databases.migrated()
    imported(target, files)
    with (files / "admin-logs.json").open("a") as file:
        file.write(" ")
    outcome = ops("json", files, "--server", target.uri, "--folder", target.folder)
    assert outcome.returncode == 1
    assert "admin-logs.json" in outcome.stderr


def test_a_cut_file_is_imported_up_to_the_cut_and_said_to_be_cut(databases: Databases, tmp_path: Path) -> None:
    files, target = sample(tmp_path / "files", dirty=False), databases.migrated()
    name = "explorer-data/persistent-transactions.json"
    whole = (files / name).read_bytes()
    (files / name).write_bytes(whole[: len(whole) // 2])
    report = imported(target, files)

    problem = next(one["problem"] for one in report["files"] if one["file"] == name)
    assert problem == f"ends at byte {len(whole) // 2}, inside of a record"
    with target.connect() as connection:
        assert value(connection, "SELECT count(*) FROM transactions") == whole[: len(whole) // 2].count(b"\n{") - 1
        tail = value(connection, "SELECT record FROM ops.import_reject WHERE file = %s", name)
    assert whole[: len(whole) // 2].endswith(tail)


def test_what_no_section_is_for_goes_to_the_rejects(databases: Databases, tmp_path: Path) -> None:
    files, target = tmp_path / "files", databases.migrated()
    files.mkdir()
    (files / "admin-logs.json").write_text(
        '{"old": [{"a": 1}, 2], "logs": [{"id": "l1", "action": "X"}], "version": 3}'
    )
    report = imported(target, files)
    assert [(one["reason"], one["records"]) for one in report["reasons"]] == [("no such section is known", 2)]
    assert report["files"][0]["not_imported"] == ["version"]


def test_sections_may_stand_in_any_order(databases: Databases, tmp_path: Path) -> None:
    files, target = sample(tmp_path / "files", dirty=False), databases.migrated()
    path = files / "admin-opportunities.json"
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items()))))
    report = imported(target, files)
    assert report["equal"]
    assert not report["reasons"]


def test_the_audit_trail_has_every_row_and_says_who(databases: Databases, tmp_path: Path) -> None:
    files, target = sample(tmp_path / "files", dirty=False), databases.migrated()
    imported(target, files)
    with target.connect() as connection:
        for table in ("users", "investments", "transactions", "kyc_documents"):
            rows = value(connection, f"SELECT count(*) FROM {table}")
            assert rows == value(
                connection,
                "SELECT count(*) FROM audit_trail"
                " WHERE table_name = %s AND action = 'INSERT' AND user_agent = 'ops import json'",
                table,
            )


def test_verify_names_what_differs(databases: Databases, tmp_path: Path) -> None:
    files, target = sample(tmp_path / "files"), databases.migrated()
    imported(target, files)
    options = ("--server", target.uri, "--folder", target.folder)
    sound = ops("verify", *options)
    assert sound.returncode == 0, sound.stdout + sound.stderr

    with target.connect() as connection:
        key = value(connection, "UPDATE investments SET amount = amount + 1 WHERE id = (SELECT min(id::text)::uuid"
                                " FROM investments) RETURNING id")  # fmt: skip
        gone = value(connection, "DELETE FROM blockchain_events WHERE log_index = 0 AND block_number = 9 RETURNING id")
        connection.execute("INSERT INTO system_logs (level, source, message) VALUES ('info', 'api', 'new')")
    outcome = ops("verify", *options, "--json")
    found = json.loads(outcome.stdout)
    assert outcome.returncode == 1
    assert {(one["table"], one["key"], one["column"]) for one in found["differences"]} == {
        ("investments", str(key), "amount"),
        ("blockchain_events", str(gone), None),
    }
    assert {one["table"]: (one["missing"], one["changed"], one["added"]) for one in found["tables"]} == {
        name: {"investments": (0, 1, 0), "blockchain_events": (1, 0, 0), "system_logs": (0, 0, 1)}.get(name, (0, 0, 0))
        for name in TABLES
    }


def test_rollback_gives_the_files_back_byte_for_byte(databases: Databases, tmp_path: Path) -> None:
    files, target = sample(tmp_path / "files"), databases.migrated()
    imported(target, files)
    outcome = ops("rollback", tmp_path / "back", "--server", target.uri, "--folder", target.folder)
    assert outcome.returncode == 0, outcome.stderr
    for name in FILES:
        assert (tmp_path / "back" / name).read_bytes() == (files / name).read_bytes()
    again = ops("rollback", tmp_path / "back", "--server", target.uri, "--folder", target.folder)
    assert again.returncode == 2
    assert "--force" in again.stderr


def test_rollback_holds_what_was_written_since(databases: Databases, tmp_path: Path) -> None:
    files, target, other = sample(tmp_path / "files"), databases.migrated(), databases.migrated()
    imported(target, files)
    with target.connect() as connection:
        connection.execute("UPDATE users SET tier = 5 WHERE tier < 3")
        connection.execute("DELETE FROM kyc_documents WHERE document_type = 'passport'")
        connection.execute("""INSERT INTO investments (user_id, asset_id, amount, currency)
            SELECT u.id, a.id, 12.345678, 'USDC' FROM users AS u, assets AS a LIMIT 3""")
        connection.execute('UPDATE kyc_applications SET metadata = \'{"note": "später"}\'')
        connection.execute("INSERT INTO admin_permissions (role, resource, action) VALUES ('viewer', '*', 'read')")
    outcome = ops("rollback", tmp_path / "back", "--server", target.uri, "--folder", target.folder, "--json")
    assert outcome.returncode == 0, outcome.stderr
    found = json.loads(outcome.stdout)
    assert found["left"]["admin_permissions"] == 1
    assert {one["file"] for one in found["files"] if not one["same"]} == {
        "wallet-db.json",
        "admin-opportunities.json",
        "uploads/kyc/metadata.json",
    }

    # Imported again, the files make the same rows.
    assert imported(other, tmp_path / "back")["equal"]
    before, after = content(target), content(other)
    for name in ("kyc_documents", "investments", "assets", "user_profiles", "kyc_applications"):
        assert after[name] == before[name], name
    query = (
        "SELECT array_agg((id, phone_hash, blockchain_address, tier, status, created_at)::text ORDER BY id) FROM users"
    )
    with target.connect() as one, other.connect() as two:
        assert value(one, query) == value(two, query)


@pytest.mark.parametrize(
    "begins", ['"logs": [{"id": "l1", "action": "X"}', '"logs": [{"id": "l1", "action": "X"}], "older": [{"id": 0}']
)
def test_rollback_says_how_much_of_a_cut_file_is_lost(databases: Databases, tmp_path: Path, begins: str) -> None:
    files, target = tmp_path / "files", databases.migrated()
    files.mkdir()
    tail = '{"id": "l2", "act'
    (files / "admin-logs.json").write_text(f"{{{begins}, {tail}")
    imported(target, files)
    with target.connect() as connection:
        connection.execute("UPDATE admin_logs SET action = 'Y'")
    outcome = ops("rollback", tmp_path / "back", "--server", target.uri, "--folder", target.folder, "--json")
    assert outcome.returncode == 0, outcome.stderr
    (found,) = json.loads(outcome.stdout)["files"]
    assert (found["file"], found["changed"], found["lost"]) == ("admin-logs.json", 1, len(tail))
    assert [one["action"] for one in json.loads((tmp_path / "back/admin-logs.json").read_text())["logs"]] == ["Y"]


def test_a_file_larger_than_memory_is_imported(databases: Databases, tmp_path: Path) -> None:
    files, target = sample(tmp_path / "files", times=0.001, dirty=False), databases.migrated()
    block = '{"number":%d,"hash":"0x%064x","extraData":"0x%s"}'
    with (files / "explorer-data/enhanced-historical-data.json").open("w") as file:
        file.write('{"blocks": [')
        file.write(",\n".join(block % (number, number, "ab" * 100_000) for number in range(1_000)))
        file.write("]}")
    report = imported(target, files, limit=160 << 20)
    assert (files / "explorer-data/enhanced-historical-data.json").stat().st_size > 190 << 20
    assert next(one["records"] for one in report["sections"] if one["section"] == "blocks") == 1_000
