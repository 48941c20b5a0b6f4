"""Views on a real server: the same figures as plain counting gives, and refreshed beside those who read."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from ops.database.target import Target
from ops.database.views import refresh, views
from ops.errors import OpsError, UsageError
from ops.model.views import due
from ops.postgres.connect import Connection

from .fix_database import Databases, value

pytestmark = pytest.mark.integration
ALL = ["asset_performance_summary", "real_time_stats", "user_portfolio_summary"]

# 40 users, every third without an investment, others with up to four in up to three assets; a fifth of them not
# confirmed; every second user is of today. One asset is paused, one has no details, one no metrics.
ROWS = (
    """INSERT INTO users (id, phone_hash, blockchain_address, tier, created_at)
       SELECT lpad(i::text, 32, '0')::uuid, 'v' || i, 'v' || i, i % 6, now() - (i % 2) * interval '2 days'
       FROM generate_series(1, 40) AS i""",
    """INSERT INTO assets (id, contract_address, type, title, category, status)
       SELECT lpad(i::text, 32, 'a')::uuid, 'c' || i, 'investment', 'Asset ' || i, 'houses',
              CASE i WHEN 5 THEN 'paused' ELSE 'active' END
       FROM generate_series(1, 5) AS i""",
    """INSERT INTO asset_details (asset_id, max_supply, token_price)
       SELECT id, CASE title WHEN 'Asset 2' THEN 0 ELSE 1000 END, 2.5 FROM assets WHERE title <> 'Asset 3'""",
    """INSERT INTO asset_metrics (asset_id, total_invested, investor_count)
       SELECT id, 1234.56, 7 FROM assets WHERE title <> 'Asset 4'""",
    """INSERT INTO investments (user_id, asset_id, amount, currency, status)
       SELECT lpad(i::text, 32, '0')::uuid, lpad((1 + (i + n) % 3)::text, 32, 'a')::uuid, i + n * 0.000001, 'USD',
              CASE WHEN (i + n) % 5 = 0 THEN 'pending' ELSE 'confirmed' END
       FROM generate_series(1, 40) AS i, generate_series(1, 4) AS n WHERE i % 3 > 0 AND n <= 1 + i % 4""",
)


@pytest.fixture(scope="module")
def target(databases: Databases) -> Target:
    made = databases.migrated()
    with made.connect() as connection:
        for text in ROWS:
            connection.execute(text.encode())
    refresh(made)
    return made


def columns(connection: Connection, query: str) -> list[tuple[object, ...]]:
    return connection.execute(query.encode()).fetchall()


def test_live_figures_count_a_user_once_however_many_investments_it_has(target: Target) -> None:
    with target.connect() as connection:
        people = columns(connection, "SELECT id, created_at > now() - interval '24 hours' FROM users")
        money = columns(connection, "SELECT user_id, asset_id, amount FROM investments WHERE status = 'confirmed'")
        assert len(money) > len({user for user, _, _ in money})  # so that counting twice would show
        shown = columns(
            connection, "SELECT total_users, new_users_today, total_aum, active_assets FROM real_time_stats"
        )
    amounts = [amount for _, _, amount in money if isinstance(amount, Decimal)]
    assert shown == [
        (len(people), sum(new is True for _, new in people), sum(amounts), len({asset for _, asset, _ in money}))
    ]


def test_portfolios_are_what_counting_by_hand_gives(target: Target) -> None:
    with target.connect() as connection:
        users = columns(connection, "SELECT id, tier FROM users")
        money = columns(connection, "SELECT user_id, asset_id, amount FROM investments WHERE status = 'confirmed'")
        shown = columns(
            connection,
            "SELECT user_id, tier, total_assets, total_invested, total_investments FROM user_portfolio_summary",
        )
    expected = set()
    for user, tier in users:
        own = [(asset, amount) for owner, asset, amount in money if owner == user and isinstance(amount, Decimal)]
        total = sum((amount for _, amount in own), Decimal(0))
        expected.add((user, tier, len({asset for asset, _ in own}), total, len(own)))
    assert set(shown) == expected
    assert len(shown) == len(users)


def test_performance_of_assets_is_what_counting_by_hand_gives(target: Target) -> None:
    with target.connect() as connection:
        shown = columns(
            connection,
            "SELECT title, total_invested, investor_count, round(funding_percentage, 4), total_investments,"
            " avg_investment_size FROM asset_performance_summary ORDER BY title",
        )
        counted: dict[str, list[object]] = dict(
            connection.execute(
                "SELECT title, (SELECT ARRAY[count(*), avg(amount)] FROM investments"
                " WHERE asset_id = a.id AND status = 'confirmed') FROM assets a"
            ).fetchall()
        )
    metrics = (Decimal("1234.560000"), 7)
    funded = Decimal("49.3824")  # 1234.56 of 1000 tokens at 2.5
    firsts = {
        "Asset 1": (*metrics, funded),
        "Asset 2": (*metrics, 0),  # no token to be had
        "Asset 3": (*metrics, 0),  # no details
        "Asset 4": (None, None, 0),  # no metrics
    }
    assert shown == [(title, *first, *counted[title]) for title, first in firsts.items()]


def test_a_refresh_takes_in_what_is_new_and_says_when(target: Target) -> None:
    with target.connect() as connection:
        before = value(connection, "SELECT total_users FROM real_time_stats")
        began = value(connection, "SELECT clock_timestamp()")
        connection.execute("INSERT INTO users (phone_hash, blockchain_address) VALUES ('late', 'late')")
        assert value(connection, "SELECT total_users FROM real_time_stats") == before
        (done,) = refresh(target, ["real_time_stats"])
        assert done.name == "real_time_stats"
        assert value(connection, "SELECT total_users FROM real_time_stats") == before + 1
        known = {view.name: view for view in views(connection)}
        assert known["real_time_stats"].refreshed_at > began
        assert known["user_portfolio_summary"].refreshed_at < began
        connection.execute("DELETE FROM users WHERE phone_hash = 'late'")
    refresh(target)


def test_who_reads_a_view_is_not_kept_waiting_and_keeps_nobody_waiting(target: Target) -> None:
    with target.connect() as reader, reader.transaction():
        reader.execute("SELECT * FROM user_portfolio_summary")
        assert [done.name for done in refresh(target)] == ALL


def test_only_what_is_too_old_is_refreshed_when_only_that_is_asked_for(target: Target) -> None:
    refresh(target)
    assert refresh(target, only_due=True) == []
    with target.connect() as connection:
        connection.execute(
            "UPDATE ops.view_refresh SET refreshed_at = now() - every - interval '1 s'"
            " WHERE view_name <> 'real_time_stats'"
        )
        late = [view.name for view in due(views(connection), datetime.now(UTC))]
    assert late == [name for name in ALL if name != "real_time_stats"]
    assert [done.name for done in refresh(target, only_due=True)] == late


def test_each_view_is_as_fresh_as_the_seeds_want_it(target: Target) -> None:
    with target.connect() as connection:
        minutes = {view.name: view.every.total_seconds() / 60 for view in views(connection)}
    assert minutes == {"asset_performance_summary": 10, "user_portfolio_summary": 10, "real_time_stats": 5}


def test_a_view_that_is_none_is_refused_by_name(target: Target, databases: Databases) -> None:
    with pytest.raises(UsageError, match="there is no materialized view 'nonsense'") as caught:
        refresh(target, ["nonsense"])
    assert "real_time_stats" in (caught.value.detail or "")
    with pytest.raises(OpsError, match="no views that are refreshed"):
        refresh(databases.empty())


def test_a_view_that_another_refresh_has_is_left_with_its_age(target: Target) -> None:
    with target.connect() as other, other.transaction():
        other.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY real_time_stats")
        with pytest.raises(OpsError, match=r"real_time_stats was not refreshed: .*lock timeout"):
            refresh(target, ["real_time_stats"])
