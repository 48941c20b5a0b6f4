"""What the old server's files hold, as PostgreSQL takes it: exact, or not at all."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.importing.reader import Broken, Reader
from ops.importing.sample import Sample
from ops.model.json_files import FILES, SECTIONS, TABLES, USERS
from ops.model.json_layout import Section
from ops.model.json_rows import Rejected, Row, Rows, copied, line, record_of
from ops.model.json_values import ADDRESS, INET, MOMENT, Unfit, integer, jsonb, key, moment_of, number, shown_moment

WRITTEN = "2024-12-01 00:00:00.000000+00"
WALLETS = next(section for section in SECTIONS if section.name == "wallets")
LOGS = next(section for section in SECTIONS if section.name == "logs")
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False, places=3) | st.text()
)
DOCUMENTS = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@given(st.datetimes(datetime(1974, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC)))
def test_a_moment_is_the_same_in_all_its_forms(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    seconds = int(moment.timestamp())
    forms = (
        moment.isoformat().replace("+00:00", ".000Z"),
        moment.strftime("%Y-%m-%dT%H:%M:%S"),
        seconds,
        seconds * 1000,
        str(seconds),
        str(seconds * 1000),
        Decimal(seconds),
        f"{moment:%d/%m/%Y %H:%M:%S}",
    )
    assert {MOMENT.read(form) for form in forms} == {shown_moment(moment)}
    assert moment_of(MOMENT.back(shown_moment(moment))) == moment


@pytest.mark.parametrize(
    "value", ["", "yesterday", "2024-11-05", "31/02/2024 10:00", "05-11-2024 10:00", True, [], "1e9", 10**18]
)
def test_what_is_no_moment_is_refused(value: object) -> None:
    with pytest.raises(Unfit):
        MOMENT.read(value)


@given(st.decimals(min_value=-(10**12), max_value=10**12, places=6, allow_nan=False))
def test_a_number_is_never_changed(value: Decimal) -> None:
    kind = number(19, 6)
    for form in (value, str(value)):
        assert Decimal(kind.read(form)) == value
        assert Decimal(kind.back(kind.read(form))) == value


@pytest.mark.parametrize("value", ["0.1234567", "1,5", "", "NaN", float("nan"), True, "1e999", 10**12, None, " "])
def test_what_a_column_would_round_or_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(Unfit):
        number(18, 6).read(value)


def test_whole_numbers_come_as_numbers_text_and_hexadecimal() -> None:
    read = integer(0, 300).read
    assert {read(form) for form in (26, "26", "0x1a", "0x1A", Decimal("26.0"), " 26 ")} == {"26"}
    for wrong in ("26.5", -1, 301, "0x", "twenty", True, None, "²"):
        with pytest.raises(Unfit):
            read(wrong)


def test_addresses_are_stored_in_lower_case_and_must_be_whole() -> None:
    assert ADDRESS.read("0X" + "AB" * 20) == "0x" + "ab" * 20
    for wrong in ("0x" + "ab" * 19, "ab" * 20, "0x" + "gg" * 20, None, 5):
        with pytest.raises(Unfit):
            ADDRESS.read(wrong)
    assert INET.read("::ffff:203.0.113.7") == "203.0.113.7"


def test_a_key_that_is_a_uuid_stays_what_it_is() -> None:
    own = "6F0F8D1E-5A0C-5D57-9D5E-0F3C2F7C1A11"
    assert key("assets", own) == own.lower()
    assert key("assets", "opp_1") == key("assets", "opp_1") != key("users", "opp_1")


@given(DOCUMENTS)
def test_a_document_stays_what_it_is(value: Any) -> None:
    assert json.loads(jsonb(value), parse_float=Decimal) == value


def test_documents_are_sorted_as_postgresql_sorts_them() -> None:
    assert (
        jsonb({"bb": 1, "a": [True, None, Decimal("1e2")], "é": "x\n"})
        == '{"a": [true, null, 100], "bb": 1, "é": "x\\n"}'
    )


@given(st.lists(st.none() | st.text(), min_size=1))
def test_a_row_can_be_read_back_from_what_goes_into_copy(row: list[str | None]) -> None:
    (shown,) = copied([line(tuple(row))], [tuple(row)])
    written = shown.decode()
    assert "\n" not in written
    assert "\r" not in written
    fields, field, at = [], "", 0
    while at < len(written):  # COPY's own rules
        if written[at] == "\\":
            escaped = written[at + 1]
            field += {"n": "\n", "r": "\r", "\\": "\\"}.get(escaped) or chr(int(written[at + 2 : at + 4], 16))
            at += 4 if escaped == "x" else 2
        elif written[at] == "\x1f":
            fields.append(field)
            field, at = "", at + 1
        else:
            field, at = field + written[at], at + 1
    fields.append(field)
    plain = written.split("\x1f")
    assert [None if raw == "\x1e" else one for raw, one in zip(plain, fields, strict=True)] == row


def rows(section: Section, record: Any) -> tuple[Row, ...]:
    (made,) = Rows(section).of([record], [json.dumps(record, default=str)], WRITTEN)
    if isinstance(made, Rejected):
        raise made
    return made


def test_a_record_with_what_no_column_has_keeps_it_or_is_rejected() -> None:
    wallet = {"phoneHash": "ab" * 32, "address": "0x" + "1" * 40, "odd": [1]}
    assert rows(WALLETS, wallet)[1][-1] == '{"imported": {"odd": [1]}}'
    with pytest.raises(Rejected, match="no column for odd"):
        rows(LOGS, {"id": "1", "action": "X", "odd": 1})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"address": None}, "address is missing"),
        ({"tier": 6}, "tier is out of range"),
        ({"status": "gone"}, "status is none of"),
        ({"phoneNumberMasked": "x\0"}, "holds what is no text"),
        ({"phoneNumberMasked": "\ud800"}, "holds what is no text"),
        ({"preferences": []}, "preferences is no object"),
    ],
)
def test_a_rejected_record_says_why(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        rows(WALLETS, {"phoneHash": "ab" * 32, "address": "0x" + "1" * 40, **change})


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_a_record_made_of_rows_makes_the_same_rows(section: Section) -> None:
    sample = Sample(0.01, dirty=False)
    made = rows(section, json.loads(sample.text(section, 3), parse_float=Decimal))
    names = {
        (which, at): sample.wallet(0)
        for which, table in enumerate(section.tables)
        for at, column in enumerate(table.columns)
        if column.key and column.kind.refers == "users"
    }
    again = rows(section, record_of(section, made, names))
    for which, (before, after) in enumerate(zip(made, again, strict=True)):
        for at, (one, two) in enumerate(zip(before, after, strict=True)):
            column = section.tables[which].columns[at]
            if (which, at) not in names and column.name not in ("id", "user_id", "asset_id"):
                assert one == two, column.name


def test_every_table_has_each_column_once() -> None:
    for name, table in TABLES.items():
        assert not [column for column, count in Counter(table.names).items() if count > 1], name
    assert USERS.key.name == "id"


@given(st.lists(DOCUMENTS, max_size=6), st.integers(1, 40))
def test_a_reader_gives_what_json_gives_and_goes_on_from_anywhere(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any], chunk: int
) -> None:
    text = f"[ {' , '.join(map(jsonb, values))} ]"
    path = tmp_path_factory.mktemp("reader") / "file"
    path.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ops.importing.reader.CHUNK", chunk)
        with Reader(path) as reader:
            found = list(reader.items(reader.open()))
            reader.finish()
        assert [item.value for item in found] == values
        whole = path.read_bytes()
        for count, item in enumerate(found, 1):
            assert whole[item.begin : item.end].decode() == item.raw
            with Reader(path, item.end) as reader:
                assert [one.value for one in reader.items("]", first=False)] == values[count:]


def test_a_number_of_any_length_can_be_read_and_is_refused_by_its_column(tmp_path: Path) -> None:
    texts = ['{"number": %s}' % ("1" * 5000), '{"number": 7, "metadata": {"x": [%s]}}' % ("1" * 5000), '{"number": 8}']
    path = tmp_path / "file"
    path.write_text(f"[{', '.join(texts)}]")
    with Reader(path) as reader:
        found = list(reader.items(reader.open()))
    assert [item.raw for item in found] == texts
    blocks = next(section for section in SECTIONS if section.name == "blocks")
    made = Rows(blocks).of([item.value for item in found], texts, WRITTEN)
    assert [str(one) for one in made] == ["number is out of range", "hash is missing", "hash is missing"]


def test_a_value_is_read_again_by_its_place_even_where_no_number_is_so_long(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_text(f'["first", {{"what": {"1" * 5000}}}]')
    with Reader(path) as reader:
        reader.seek(1)
        items = list(reader.items("]"))
        assert [reader.again(item.name, item.begin, item.end) for item in items] == items


@given(st.data())
def test_a_cut_file_gives_what_came_before_the_cut(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    values = [{"id": n, "text": "ä" * n} for n in range(5)]
    whole = json.dumps(values, ensure_ascii=False).encode()
    cut = data.draw(st.integers(1, len(whole) - 1))
    path = tmp_path_factory.mktemp("reader") / "file"
    path.write_bytes(whole[:cut])
    found = list[Any]()
    with Reader(path) as reader, pytest.raises(Broken) as broken:
        found.extend(item.value for item in reader.items(reader.open()))
    assert found == values[: len(found)]
    assert broken.value.offset == cut


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        written = Sample(0.01, 5).write(tmp_path / name)
    assert written.dirt["duplicate key"] >= len(SECTIONS)
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
