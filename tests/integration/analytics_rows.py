"""Rows for the analytics database, and plain SQL that says what each of its aggregates and views must hold.

No function of TimescaleDB is in the plain SQL, and no aggregate reads another there: each is told from the raw rows.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from ops.postgres.connect import Connection

from .fix_database import address, number

ZERO = address(0)
TOKENS = (number(1), number(2))
START = datetime(2025, 12, 20, tzinfo=UTC)  # a Saturday: weeks, months and a year end in the days after it
DAYS = 50
SILENT = range(30, 33)  # days after START on which nothing happens
# The last moment of one bucket and the first of the next: of an hour and day; of a week; of a month, week and year.
EDGES = tuple(
    edge + side
    for edge in (datetime(2025, 12, 24, tzinfo=UTC), datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    for side in (timedelta(microseconds=-1), timedelta())
)

SEED = 7
Row = dict[str, Any]


def moments(chance: random.Random, count: int, edges: tuple[datetime, ...]) -> list[datetime]:
    """So many distinct moments of START and the days after it, these edges among them, in no order."""
    found = set(edges)
    while len(found) < count:
        moment = START + timedelta(microseconds=chance.randrange(DAYS * 86_400_000_000))
        if (moment - START).days not in SILENT:
            found.add(moment)
    return chance.sample(sorted(found), count)


def rows(seed: int = SEED, count: int = 250) -> dict[str, list[Row]]:
    """Rows by table; the same for the same seed. The first seed has the edges, which are there once only."""
    chance = random.Random(seed)

    def some(*values: Any) -> Any:
        return chance.choice(values)

    def key() -> str:
        return str(UUID(int=chance.getrandbits(128)))

    def amount() -> str:
        return f"{chance.randrange(1, 10**6)}.{chance.randrange(10**18):018d}"

    def wallet() -> str:
        return address(chance.randrange(30))  # the zero address too

    def times() -> list[str]:
        return [moment.isoformat() for moment in moments(chance, count, EDGES if seed == SEED else ())]

    return {
        "blockchain_metrics": [
            {
                "time": time,
                "block_number": some(None, seed * 10**6 + place, seed * 10**6 + place),
                "transaction_count": some(None, 0, 17),
                "gas_used": chance.randrange(10**15),
                "network_hash_rate": some(None, chance.randrange(10**17)),
            }
            for place, time in enumerate(times())
        ],
        "analytics_events": 2  # each of them twice: events may be alike
        * [
            {
                "time": time,
                "event_type": some("login", "view", "buy"),
                "user_id": some(None, *map(str, map(number, range(6)))),
                "session_id": some(None, "s1", "s2", "s3"),
                "event_data": {"page": place},
            }
            for place, time in enumerate(times())
        ],
        "token_price_data": [
            {
                "id": key(),
                "timestamp": time,
                "price": f"{chance.randrange(10**10)}.{chance.randrange(10**8):08d}",
                "volume": amount(),
                "market_cap": amount(),
                "change24h": "0",
                "token_id": str(some(*TOKENS)),
            }
            for time in times()
        ],
        "transaction_activity": [
            {
                "id": key(),
                "timestamp": time,
                "transaction_hash": f"0x{chance.getrandbits(256):064x}",
                "from_address": wallet(),
                "to_address": wallet(),
                "amount": amount(),
                "gas_used": "21000",
                "gas_price": "1",
                "is_success": some(True, True, True, False),
                "token_id": str(some(*TOKENS)),
            }
            for time in times()
        ],
        "interest_payments": [
            {"id": key(), "timestamp": time, "recipient": wallet(), "amount": amount(), "token_id": str(some(*TOKENS))}
            for time in times()
        ],
    }


def insert(connection: Connection, table: str, added: list[Row], *, on_conflict: str = "") -> int:
    """Add these rows in one statement; how many were."""
    names = ", ".join(added[0])
    source = f"jsonb_populate_recordset(NULL::{table}, %s::jsonb)"
    query = f"INSERT INTO {table} ({names}) SELECT {names} FROM {source} {on_conflict}"
    return connection.execute(query.encode(), [json.dumps(added)]).rowcount


def make_tokens(connection: Connection) -> None:
    """The tokens that rows are of, unless they are there."""
    for place, token in enumerate(TOKENS):
        connection.execute(
            "INSERT INTO tokens (id, name, symbol, contract_address) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [token, f"Token {place}", f"T{place}", address(place)],
        )


def fill(connection: Connection, **how: Any) -> None:
    """The tokens, and rows in every table; `how` as for rows()."""
    make_tokens(connection)
    for table, added in rows(**how).items():
        assert insert(connection, table, added) == len(added)


_SIDES = """(
    SELECT *, from_address AS address, true AS sends FROM transaction_activity
    UNION ALL SELECT *, to_address, false FROM transaction_activity
) AS side"""
_MOVED = f"{_SIDES} WHERE is_success AND address <> '{ZERO}'"

# What has hourly, daily, weekly and monthly steps. <bucket> stands for the beginning of its bucket.
_STEPS = {
    "blockchain_metrics": """
        SELECT <bucket:time>, count(block_number), min(block_number), max(block_number), sum(transaction_count),
            sum(gas_used), sum(network_hash_rate), count(network_hash_rate), round(avg(network_hash_rate), 6),
            max(network_hash_rate)
        FROM blockchain_metrics GROUP BY 1""",
    "analytics_events": """
        SELECT <bucket:time>, event_type, count(*), count(DISTINCT user_id), count(DISTINCT session_id)
        FROM analytics_events GROUP BY 1, 2""",
    "token_price": """
        SELECT <bucket:timestamp>, token_id, (array_agg(price ORDER BY timestamp))[1], max(price), min(price),
            (array_agg(price ORDER BY timestamp DESC))[1], (array_agg(volume ORDER BY timestamp DESC))[1],
            (array_agg(market_cap ORDER BY timestamp DESC))[1], count(*)
        FROM token_price_data GROUP BY 1, 2""",
}
_OTHERS = {
    "token_activity_hourly": f"""
        SELECT <bucket:timestamp>, token_id, count(DISTINCT id) FILTER (WHERE is_success),
            count(DISTINCT id) FILTER (WHERE NOT is_success),
            coalesce(sum(amount) FILTER (WHERE sends AND is_success), 0),
            count(DISTINCT address) FILTER (WHERE is_success AND address <> '{ZERO}')
        FROM {_SIDES} GROUP BY 1, 2""",
    "token_activity_daily": """
        SELECT <bucket:timestamp>, token_id, count(*) FILTER (WHERE is_success), count(*) FILTER (WHERE NOT is_success),
            coalesce(sum(amount) FILTER (WHERE is_success), 0)
        FROM transaction_activity GROUP BY 1, 2""",
    "token_wallets_daily": f"""
        SELECT <bucket:timestamp>, token_id, address, count(*) FILTER (WHERE sends), count(*) FILTER (WHERE NOT sends),
            sum(CASE WHEN sends THEN amount ELSE 0 END), sum(CASE WHEN sends THEN 0 ELSE amount END)
        FROM {_MOVED} GROUP BY 1, 2, 3""",
    "interest_payments_weekly": """
        SELECT <bucket:timestamp>, token_id, sum(amount), count(*) FROM interest_payments GROUP BY 1, 2""",
    "hourly_activity": f"""
        SELECT token_id, timestamp::date, extract(hour FROM timestamp), count(DISTINCT id) FILTER (WHERE is_success),
            coalesce(sum(amount) FILTER (WHERE sends AND is_success), 0),
            count(DISTINCT address) FILTER (WHERE is_success AND address <> '{ZERO}')
        FROM {_SIDES} GROUP BY 1, 2, 3""",
    "daily_cumulative_metrics": """
        SELECT token_id, day,
            (SELECT count(*) FROM transaction_activity AS t
                WHERE is_success AND t.token_id = days.token_id AND timestamp < day + 1),
            (SELECT coalesce(sum(amount), 0) FROM transaction_activity AS t
                WHERE is_success AND t.token_id = days.token_id AND timestamp < day + 1),
            (SELECT count(*) FROM transaction_activity AS t
                WHERE is_success AND t.token_id = days.token_id AND timestamp::date = day),
            (SELECT coalesce(sum(amount), 0) FROM transaction_activity AS t
                WHERE is_success AND t.token_id = days.token_id AND timestamp::date = day)
        FROM (SELECT DISTINCT token_id, timestamp::date AS day FROM transaction_activity) AS days""",
    "daily_unique_wallets": f"""
        SELECT token_id, timestamp::date, count(DISTINCT address),
            count(DISTINCT address) FILTER (WHERE NOT EXISTS (
                SELECT FROM transaction_activity AS t WHERE is_success AND t.token_id = side.token_id
                    AND side.address IN (t.from_address, t.to_address) AND t.timestamp < side.timestamp::date)),
            count(DISTINCT address) FILTER (WHERE sends)
        FROM {_MOVED} GROUP BY 1, 2""",
    "token_holders": f"""
        SELECT token_id, address, sum(CASE WHEN sends THEN -amount ELSE amount END) FROM {_MOVED} GROUP BY 1, 2
        HAVING sum(CASE WHEN sends THEN -amount ELSE amount END) <> 0""",
    "weekly_payments": """
        SELECT token_id, date_trunc('week', timestamp)::date, sum(amount), count(*), round(avg(amount), 6)
        FROM interest_payments GROUP BY 1, 2""",
}
_UNITS = {"hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month"}
_ROUNDED = ("hash_rate_avg", "average_payment")  # quotients: as many digits as both sides have


def _plain(name: str, query: str) -> str:
    unit = _UNITS.get(name.rpartition("_")[2], "")
    for column in ("time", "timestamp"):
        query = query.replace(f"<bucket:{column}>", f"date_trunc('{unit}', {column})")
    return query


PLAIN = {
    name: _plain(name, query)
    for name, query in [(f"{base}_{step}", query) for base, query in _STEPS.items() for step in _UNITS]
    + list(_OTHERS.items())
}


def stored(connection: Connection, name: str) -> list[tuple[Any, ...]]:
    """The rows of an aggregate or a view, in order."""
    columns = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum", [name]
    ).fetchall()
    listed = ", ".join(f"round({column}, 6)" if column in _ROUNDED else column for (column,) in columns)
    return sorted(connection.execute(f"SELECT {listed} FROM {name}".encode()).fetchall(), key=repr)


def plain(connection: Connection, name: str) -> list[tuple[Any, ...]]:
    """What it must hold, from the raw rows, in the same order."""
    return sorted(connection.execute(PLAIN[name].encode()).fetchall(), key=repr)


def differing(connection: Connection) -> list[str]:
    """The aggregates and views that do not hold what plain SQL says."""
    return [name for name in PLAIN if stored(connection, name) != plain(connection, name)]
