"""What is decided about migrations, catalogues and views, from plain values."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.deploys.fleet import role
from ops.deploys.postgres import migrations_of
from ops.deploys.settings.postgres import Database, Postgres, Role
from ops.model.catalogue import Thing, compare
from ops.model.migrations import GROUPS, PURPOSES, Applied, File, digest, refusals, standings
from ops.model.views import View, due

SQL = Path(__file__).parents[2] / "sql"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def states(files: str, applied: str, changed: str = "") -> dict[str, str]:
    found = standings(
        [File(name, "new" if name in changed else "old") for name in files],
        [Applied(name, "old", NOW) for name in applied],
    )
    return {one.name: one.state for one in found}


def test_what_is_in_the_folder_alone_is_pending() -> None:
    assert states("abc", "a") == {"a": "applied", "b": "pending", "c": "pending"}


def test_a_migration_that_would_come_before_an_applied_one_is_out_of_order() -> None:
    assert states("abc", "ac") == {"a": "applied", "b": "out of order", "c": "applied"}


def test_a_changed_or_missing_file_is_told_from_an_applied_one() -> None:
    assert states("ab", "abc", changed="a") == {"a": "changed", "b": "applied", "c": "missing"}


def test_what_was_applied_without_a_digest_is_believed() -> None:
    assert [one.state for one in standings([File("a", "new")], [Applied("a", "", NOW)])] == ["applied"]


def test_each_reason_to_stop_is_given_in_words() -> None:
    found = standings([File("a", "new"), File("b", "")], [Applied("a", "old", NOW), Applied("c", "", NOW)])
    assert refusals(found) == [
        "a was changed after it had been applied",
        "b is new, and sorts before one that was applied",
        "c was applied, and is not in the folder",
    ]
    assert refusals(standings([File("a", "")], [])) == []


catalogues = st.dictionaries(
    st.builds(Thing, st.sampled_from(["column", "index"]), st.text("ab", max_size=3)), st.text("xy")
)


@given(catalogues, catalogues)
def test_two_catalogues_differ_in_exactly_what_differs(declared: dict[Thing, str], actual: dict[Thing, str]) -> None:
    found = {Thing(one.kind, one.name): one.verdict for one in compare(declared, actual)}
    for thing in declared.keys() | actual.keys():
        left, right = declared.get(thing), actual.get(thing)
        expected = (
            None if left == right else "missing" if right is None else "unexpected" if left is None else "different"
        )
        assert found.get(thing) == expected


def test_a_table_that_is_missing_stands_for_all_that_hangs_on_it() -> None:
    table = {
        Thing("table", "public.users"): "table",
        Thing("column", "public.users.id"): "uuid",
        Thing("constraint", "users_pkey on public.users"): "PRIMARY KEY (id)",
        Thing("index", "idx"): "CREATE INDEX idx ON public.users USING btree (id)",
        Thing("grant", "SELECT on public.users to auditor"): "plain",
        Thing("comment", "public.users"): "Accounts",
    }
    other = {Thing("column", "public.users_more.id"): "uuid"}
    assert [(one.kind, one.name) for one in compare(table | other, {})] == [
        ("column", "public.users_more.id"),
        ("table", "public.users"),
    ]


def test_a_view_is_due_when_it_is_too_old_the_latest_first() -> None:
    views = [
        View("fresh", timedelta(minutes=5), NOW - timedelta(minutes=4)),
        View("late", timedelta(minutes=5), NOW - timedelta(minutes=6)),
        View("later", timedelta(minutes=10), NOW - timedelta(hours=1)),
        View("almost", timedelta(minutes=5), NOW - timedelta(minutes=4, seconds=45)),
    ]
    assert [view.name for view in due(views, NOW)] == ["later", "late", "almost"]


# -- what the deploy brings --------------------------------------------------------------------------------------


def test_a_declared_database_gets_the_migrations_of_its_folder_and_others_none(tmp_path: Path) -> None:
    (tmp_path / "analytics").mkdir()
    for name in ("0002-more.sql", "0001-tokens.sql", "0001-tokens.rollback.sql", "README.md"):
        (tmp_path / "analytics" / name).write_text(f"-- {name}")
    brought = {"0001-tokens": digest("-- 0001-tokens.sql"), "0002-more": digest("-- 0002-more.sql")}
    assert list(migrations_of("pend_analytics", tmp_path).items()) == list(brought.items())
    assert migrations_of("pend_production", tmp_path) == {}, "there is no such folder"
    assert migrations_of("pend_guest", tmp_path) == {}, "nobody knows what makes it"


def test_what_is_told_of_an_application_is_for_monitoring_only_where_there_is_such_a_group() -> None:
    with_group = Postgres(databases={"pend_production": Database(owner="other")}, roles={"other": Role()})
    assert role(with_group)["member_of"] == ["pg_monitor", "exporter"]
    assert role(Postgres(roles={"other": Role()}))["member_of"] == ["pg_monitor"]


def test_a_database_brings_its_groups_which_the_inventory_may_say_more_of() -> None:
    data = {"databases": {"pend_analytics": {"owner": "app"}}, "roles": {"app": {}, "analyst": {"connection_limit": 3}}}
    roles = Postgres.model_validate(data).roles
    assert set(roles) == {"app", *GROUPS["pend_analytics"]}
    assert [name for name, role in roles.items() if role.login] == ["analyst", "app"]
    assert roles["analyst"].connection_limit == 3
    assert Postgres.model_validate({"databases": {"guest": {"owner": "app"}}, "roles": {"app": {}}}).roles.keys() == {
        "app"
    }


def test_a_member_of_a_group_that_nobody_declares_is_refused() -> None:
    with pytest.raises(ValueError, match="'app' is a member of 'app_users', which is not among the roles"):
        Postgres.model_validate({"roles": {"app": {"member_of": ["pg_monitor", "app_users"]}}})


@pytest.mark.parametrize("database", GROUPS)
def test_the_groups_of_a_database_are_those_that_its_migrations_make(database: str) -> None:
    text = (SQL / PURPOSES[database] / "0001-roles.sql").read_text()
    (made,) = re.findall(r"FOREACH wanted IN ARRAY ARRAY\[(.*?)\]", text, flags=re.DOTALL)
    assert set(re.findall(r"'(\w+)'", made)) - {"analytics_owner"} == set(GROUPS[database])
