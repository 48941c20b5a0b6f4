"""A scratch database of the application at a scale: made by its migrations, filled on the server, gone afterwards.

Every value follows from its row's number, so that two fills are the same but for the day they end on, and whoever asks
knows the keys without looking them up. Amounts, wallets and dates are spread as platforms see them: few users do much,
and there is more of today than of two years ago.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import LiteralString
from uuid import UUID

from ops.database.target import Target
from ops.database.views import refresh
from ops.model.bench import Scale

_BATCH = 10_000  # rows of one statement: what audit records of one statement take in memory stays small
WORDS = ("harbour", "orchard", "vineyard", "clinic", "bakery", "solar", "wharf", "dairy", "timber", "quarry")
CATEGORIES = ("land", "energy", "housing", "farming", "retail", "health")

# The same as key, wallet and digest below say.
_HELPERS: LiteralString = """
    CREATE SCHEMA bench;
    CREATE FUNCTION bench.key(kind text, i bigint) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
        AS $$ SELECT md5(kind || ' ' || i)::uuid $$;
    CREATE FUNCTION bench.digest(kind text, i bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
        AS $$ SELECT '0x' || encode(sha256(convert_to(kind || ' ' || i, 'UTF8')), 'hex') $$;
    CREATE FUNCTION bench.wallet(kind text, i bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
        AS $$ SELECT substr(bench.digest(kind, i), 1, 42) $$;
    -- From 0 to just below 1, the same for the same numbers.
    CREATE FUNCTION bench.chance(i bigint, salt bigint) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
        AS $$ SELECT (hashint8extended(i, salt) & 1073741823) / 1073741824.0::float8 $$;
    -- 1 to n, low numbers far more often than high ones.
    CREATE FUNCTION bench.often(i bigint, salt bigint, n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
        AS $$ SELECT 1 + floor(n * bench.chance(i, salt) ^ 2)::bigint $$;
    CREATE FUNCTION bench.one_of(choices text[], i bigint, salt bigint) RETURNS text
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        AS $$ SELECT choices[1 + floor(cardinality(choices) * bench.chance(i, salt))::integer] $$;
    CREATE TABLE bench.clock AS SELECT date_trunc('second', now()) AS until;
    -- When number i of n came: over two years until now, ever faster.
    CREATE FUNCTION bench.moment(i bigint, n bigint) RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
        AS $$ SELECT date_trunc('second', until - interval '730 days' * (1 - sqrt(i::float8 / n))) FROM bench.clock $$;
    -- As the JSON files write a moment.
    CREATE FUNCTION bench.iso(at timestamptz) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
        AS $$ SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') $$;
"""


@dataclass(frozen=True)
class Part:
    """A table, how many rows it gets, and the statement that makes those with the numbers %(first)s to %(last)s."""

    table: str
    rows: Callable[[Scale], int]
    statement: LiteralString


PARTS = (
    Part(
        "admin_users",
        lambda scale: scale.admins,
        """INSERT INTO admin_users (id, email, name, role)
           SELECT bench.key('admin', i), 'admin' || i || '@example.org', 'Admin ' || i,
                  bench.one_of('{asset_manager,kyc_verifier,viewer}', i, 1)
           FROM generate_series(%(first)s::bigint, %(last)s) AS i""",
    ),
    Part(
        "users",
        lambda scale: scale.users,
        """INSERT INTO users (id, phone_hash, blockchain_address, tier, status, created_at)
           SELECT bench.key('user', i), substr(bench.digest('phone', i), 3), bench.wallet('user', i),
                  floor(6 * bench.chance(i, 2) ^ 2)::integer,
                  CASE WHEN bench.chance(i, 3) < 0.97 THEN 'active' ELSE 'suspended' END,
                  bench.moment(i, %(users)s)
           FROM generate_series(%(first)s::bigint, %(last)s) AS i""",
    ),
    Part(
        "user_profiles",
        lambda scale: scale.users,
        """INSERT INTO user_profiles (user_id, phone_number_masked, country_code, registration_ip, last_login_at,
                                      login_count, preferences, metadata)
           SELECT bench.key('user', i), '+20***' || lpad((i * 7919 %% 10000)::text, 4, '0'), 'EG',
                  '10.0.0.0'::inet + i, until - interval '90 days' * bench.chance(i, 4), 1 + i %% 200,
                  jsonb_build_object('language', bench.one_of('{ar,en}', i, 5)), '{"source": "app"}'
           FROM generate_series(%(first)s::bigint, %(last)s) AS i, bench.clock""",
    ),
    Part(
        "kyc_applications",
        lambda scale: scale.applications,
        """INSERT INTO kyc_applications (id, user_id, status, submitted_at, reviewed_at, verified_by)
           SELECT bench.key('application', i), bench.key('user', i), status, bench.moment(i, %(users)s),
                  CASE WHEN status IN ('verified', 'rejected')
                       THEN bench.moment(i, %(users)s) + interval '1 hour' * floor(96 * bench.chance(i, 6)) END,
                  CASE WHEN status IN ('verified', 'rejected')
                       THEN bench.key('admin', bench.often(i, 7, %(admins)s)) END
           FROM generate_series(%(first)s::bigint, %(last)s) AS i,
                LATERAL (SELECT CASE WHEN bench.chance(i, 8) < 0.85 THEN 'verified'
                                     WHEN bench.chance(i, 8) < 0.93 THEN 'rejected'
                                     WHEN bench.chance(i, 8) < 0.98 THEN 'pending_review'
                                     ELSE 'under_review' END) AS s (status)""",
    ),
    Part(
        "kyc_documents",
        lambda scale: scale.applications,
        """INSERT INTO kyc_documents (id, application_id, document_type, original_filename, file_size, mime_type,
                                      file_hash, uploaded_at)
           SELECT bench.key('document', 2 * i + n), bench.key('application', i),
                  CASE n WHEN 0 THEN bench.one_of('{id,passport,driver_license}', i, 9) ELSE 'utility' END,
                  'scan.jpg', 1000000, 'image/jpeg', substr(bench.digest('document', 2 * i + n), 3),
                  bench.moment(i, %(users)s)
           FROM generate_series(%(first)s::bigint, %(last)s) AS i, generate_series(0, 1) AS n""",
    ),
    Part(
        "assets",
        lambda scale: scale.assets,
        """INSERT INTO assets (id, contract_address, type, title, description, category, location, status, created_at)
           SELECT bench.key('asset', i), bench.wallet('asset', i),
                  CASE WHEN bench.chance(i, 10) < 0.8 THEN 'investment' ELSE 'interest' END,
                  initcap(bench.one_of(%(words)s::text[], i, 11)) || ' ' || i,
                  'A ' || bench.one_of(%(words)s::text[], i, 12) || ' beside a '
                      || bench.one_of(%(words)s::text[], i, 13),
                  bench.one_of(%(categories)s::text[], i, 14), 'Cairo',
                  CASE WHEN bench.chance(i, 15) < 0.8 THEN 'active' WHEN bench.chance(i, 15) < 0.9 THEN 'closed'
                       ELSE 'paused' END,
                  bench.moment(i, %(assets)s)
           FROM generate_series(%(first)s::bigint, %(last)s) AS i""",
    ),
    Part(
        "asset_details",
        lambda scale: scale.assets,
        """INSERT INTO asset_details (asset_id, token_symbol, token_price, max_supply, expected_roi, minimum_investment)
           SELECT bench.key('asset', i), 'T' || i, 10, 10000000, 4 + floor(1200 * bench.chance(i, 16)) / 100, 10
           FROM generate_series(%(first)s::bigint, %(last)s) AS i""",
    ),
    Part(
        "investments",
        lambda scale: scale.investments,
        """INSERT INTO investments (id, user_id, asset_id, amount, currency, transaction_hash, block_number, status,
                                    invested_at, confirmed_at)
           SELECT bench.key('investment', i), bench.key('user', bench.often(5 * i, 17, %(users)s)),
                  bench.key('asset', bench.often(5 * i, 18, %(assets)s)),
                  10 + floor(5000 * bench.chance(5 * i, 19) ^ 4), 'USDC', bench.digest('transaction', 5 * i), i,
                  CASE WHEN bench.chance(5 * i, 20) < 0.95 THEN 'confirmed' ELSE 'pending' END,
                  bench.moment(5 * i, %(transactions)s), bench.moment(5 * i, %(transactions)s)
           FROM generate_series(%(first)s::bigint, %(last)s) AS i""",
    ),
    Part(
        "asset_metrics",
        lambda scale: scale.assets,
        """INSERT INTO asset_metrics (asset_id, total_invested, investor_count)
           SELECT bench.key('asset', i), coalesce(sum(amount), 0), count(DISTINCT user_id)
           FROM generate_series(%(first)s::bigint, %(last)s) AS i
           LEFT JOIN investments ON asset_id = bench.key('asset', i) AND status = 'confirmed'
           GROUP BY i""",
    ),
    Part(
        "transactions",
        lambda scale: scale.transactions,
        """INSERT INTO transactions (id, user_id, asset_id, investment_id, type, amount, currency, status, from_address,
                                     to_address, transaction_hash, block_number, created_at, updated_at, confirmed_at)
           SELECT bench.key('movement', i), bench.key('user', owner),
                  CASE WHEN i %% 5 = 0 THEN bench.key('asset', bench.often(i, 18, %(assets)s)) END,
                  CASE WHEN i %% 5 = 0 THEN bench.key('investment', i / 5) END,
                  CASE WHEN i %% 5 = 0 THEN 'investment'
                       ELSE bench.one_of('{deposit,deposit,withdrawal,transfer,transfer,payout,fee}', i, 21) END,
                  10 + floor(5000 * bench.chance(i, 19) ^ 4), 'USDC',
                  CASE WHEN bench.chance(i, 20) < 0.95 THEN 'confirmed' ELSE 'pending' END,
                  bench.wallet('user', owner), bench.wallet('user', bench.often(i, 22, %(users)s)),
                  bench.digest('transaction', i), (i + 4) / 5, at, at, at
           FROM generate_series(%(first)s::bigint, %(last)s) AS i,
                LATERAL (SELECT bench.often(i, 17, %(users)s), bench.moment(i, %(transactions)s)) AS o (owner, at)""",
    ),
    Part(
        "blockchain_blocks",
        lambda scale: scale.blocks,
        """INSERT INTO blockchain_blocks (number, hash, parent_hash, miner, size, gas_limit, gas_used, timestamp,
                                          transaction_count)
           SELECT i, bench.digest('block', i), bench.digest('block', i - 1), bench.wallet('miner', i %% 21), 2000,
                  30000000, 105000, bench.moment(5 * i, %(transactions)s), 5
           FROM generate_series(%(first)s::bigint, %(last)s) AS i""",
    ),
    Part(
        "blockchain_transactions",
        lambda scale: scale.transactions,
        """INSERT INTO blockchain_transactions (hash, block_number, block_hash, transaction_index, from_address,
                                                to_address, value, gas_used, gas_price, transaction_type, timestamp)
           SELECT bench.digest('transaction', i), (i + 4) / 5, bench.digest('block', (i + 4) / 5), (i + 4) %% 5,
                  bench.wallet('user', bench.often(i, 17, %(users)s)),
                  bench.wallet('user', bench.often(i, 22, %(users)s)),
                  10 + floor(5000 * bench.chance(i, 19) ^ 4), 21000, 1000000000,
                  CASE WHEN i %% 5 = 0 THEN 'investment' ELSE 'transfer' END,
                  bench.moment(5 * ((i + 4) / 5), %(transactions)s)
           FROM generate_series(%(first)s::bigint, %(last)s) AS i""",
    ),
)
# Known to be right, because they follow from the rows' numbers: so that filling does not look each one up.
_NO_FOREIGN_KEYS: LiteralString = "SET session_replication_role = replica"


def key(kind: str, number: int) -> UUID:
    """The key of a row by its number."""
    return UUID(hashlib.md5(f"{kind} {number}".encode(), usedforsecurity=False).hexdigest())


def digest(kind: str, number: int) -> str:
    """A hash as the chain has it, 0x and 64 hexadecimal digits, by number."""
    return "0x" + hashlib.sha256(f"{kind} {number}".encode()).hexdigest()


def wallet(kind: str, number: int) -> str:
    """The address of a user or asset by its number."""
    return digest(kind, number)[:42]


def often(rng: Random, count: int) -> int:
    """1 to `count`, low numbers far more often than high ones: as the rows were made, so they are asked for."""
    return 1 + int(count * rng.random() ** 2)


def fill(target: Target, scale: Scale, progress: Callable[[str, int, int], None]) -> datetime:
    """Fill an empty, migrated database; the moment at which its two years end.

    `progress` is told the table, rows done of all tables and rows in all. Every change goes through the audit trail: it
    is as long afterwards as it would be. Statistics and materialized views are as fresh as autovacuum and a timer
    keep them.
    """
    total, done = sum(part.rows(scale) for part in PARTS), 0
    numbers = {name: getattr(scale, name) for name in ("users", "transactions", "assets", "admins")}
    lists = {"words": list(WORDS), "categories": list(CATEGORIES)}
    with target.connect() as connection:
        connection.execute(_HELPERS)
        connection.execute("SET synchronous_commit = off")
        connection.execute(_NO_FOREIGN_KEYS)
        for part in PARTS:
            for first in range(1, part.rows(scale) + 1, _BATCH):
                last = min(first + _BATCH - 1, part.rows(scale))
                connection.execute(part.statement, {**numbers, **lists, "first": first, "last": last})
                done += last - first + 1
                progress(part.table, done, total)
        progress("statistics", done, total)
        connection.execute("VACUUM (ANALYZE)")
        until = connection.execute("SELECT until FROM bench.clock").fetchone()
    progress("materialized views", done, total)
    refresh(target)
    assert until is not None
    moment: datetime = until[0]
    return moment
