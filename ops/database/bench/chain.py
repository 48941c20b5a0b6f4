"""Questions about the chain, as the explorer asks them: a hash, a wallet's history, ranges of time, what is new."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from random import Random

from ops.database.bench.fill import digest, often, wallet
from ops.database.bench.question import (
    CHAIN,
    Documents,
    Params,
    Question,
    Rows,
    World,
    many,
    nothing,
    past,
)

_FEW = 5  # transactions of a block


def _a_hash(rng: Random, world: World) -> Params:
    return {"hash": digest("transaction", 1 + rng.randrange(world.scale.transactions))}


def _by_hash(documents: Documents, params: Params) -> Rows:
    for one in documents[CHAIN]["transactions"]:
        if one["hash"] == params["hash"]:
            return [(one["blockNumber"], one["from"], one["to"], float(one["value"]), one["status"])]
    return []


def _a_wallet(rng: Random, world: World) -> Params:
    return {"wallet": wallet("user", often(rng, world.scale.users))}


def _history(documents: Documents, params: Params) -> Rows:
    who = params["wallet"]
    own = [one for one in documents[CHAIN]["transactions"] if who in (one["from"], one["to"])]
    own.sort(key=lambda one: one["hash"])
    own.sort(key=lambda one: one["timestamp"], reverse=True)
    return [(one["hash"], one["timestamp"], float(one["value"])) for one in own[:50]]


def _six_hours(rng: Random, world: World) -> Params:
    since = past(rng, world, 730)
    return {"since": since, "before": since + timedelta(hours=6)}


def _range(documents: Documents, params: Params) -> Rows:
    since, before = params["since"].timestamp(), params["before"].timestamp()
    miners = {one["number"]: one["miner"] for one in documents[CHAIN]["blocks"] if since <= one["timestamp"] < before}
    found = [one for one in documents[CHAIN]["transactions"] if since <= one["timestamp"] < before]
    found.sort(key=lambda one: one["hash"])
    found.sort(key=lambda one: one["timestamp"], reverse=True)
    return [(one["hash"], one["blockNumber"], miners[one["blockNumber"]]) for one in found[:100]]


def _month(rng: Random, world: World) -> Params:
    return {"since": world.until - timedelta(days=30 + rng.randrange(7))}


def _network(documents: Documents, params: Params) -> Rows:
    since = params["since"].timestamp()
    counts: Counter[str] = Counter()
    gas: Counter[str] = Counter()
    senders: dict[str, set[str]] = defaultdict(set)
    for one in documents[CHAIN]["transactions"]:
        if one["timestamp"] >= since:
            day = datetime.fromtimestamp(one["timestamp"], UTC).strftime("%Y-%m-%d")
            counts[day] += 1
            gas[day] += one["gasUsed"]
            senders[day].add(one["from"])
    return [(day, counts[day], gas[day], len(senders[day])) for day in sorted(counts)]


def _newest(documents: Documents, _params: Params) -> Rows:
    blocks = sorted(documents[CHAIN]["blocks"], key=lambda one: one["number"], reverse=True)[:10]
    return [(one["number"], one["hash"], one["transactionCount"], one["gasUsed"]) for one in blocks]


def _an_hour(_rng: Random, world: World) -> Params:
    return {"since": world.until - timedelta(hours=1)}


def _last_hour(documents: Documents, params: Params) -> Rows:
    since = params["since"].timestamp()
    found = [one for one in documents[CHAIN]["transactions"] if one["timestamp"] >= since]
    total = sum(float(one["value"]) for one in found)
    return [(len(found), total, len({one["from"] for one in found}))]


def _block_draw(rng: Random, world: World) -> Params:
    users = world.scale.users
    return {
        "number": world.scale.blocks + 1 + rng.randrange(2**40),
        "block": f"0x{rng.getrandbits(256):064x}",
        "hashes": [f"0x{rng.getrandbits(256):064x}" for _ in range(_FEW)],
        "senders": [wallet("user", number) for number in many(rng, _FEW, users)],
        "receivers": [wallet("user", number) for number in many(rng, _FEW, users)],
    }


def _take_in(documents: Documents, params: Params) -> Rows:
    now, number = int(datetime.now(UTC).timestamp()), params["number"]
    block = {"number": number, "hash": params["block"], "timestamp": now, "transactionCount": _FEW, "gasUsed": 105_000}
    documents[CHAIN]["blocks"].append(block)
    for digest_of, sender, receiver in zip(params["hashes"], params["senders"], params["receivers"], strict=True):
        documents[CHAIN]["transactions"].append(
            {
                "hash": digest_of, "blockNumber": number, "from": sender, "to": receiver, "value": "1",
                "gasUsed": 21_000, "status": "confirmed", "timestamp": now,
            }
        )  # fmt: skip
    return []


QUESTIONS = (
    Question(
        "chain transaction by hash",
        "simple",
        "analyst",
        """SELECT block_number, from_address, to_address, value, status FROM blockchain_transactions
           WHERE hash = %(hash)s""",
        _a_hash,
        (CHAIN,),
        _by_hash,
    ),
    Question(
        "history of a wallet, newest 50",
        "simple",
        "analyst",
        """SELECT hash, extract(epoch FROM timestamp)::bigint, value FROM (
               (SELECT hash, timestamp, value FROM blockchain_transactions WHERE from_address = %(wallet)s
                ORDER BY timestamp DESC, hash LIMIT 50)
               UNION
               (SELECT hash, timestamp, value FROM blockchain_transactions WHERE to_address = %(wallet)s
                ORDER BY timestamp DESC, hash LIMIT 50)
           ) AS own
           ORDER BY timestamp DESC, hash LIMIT 50""",
        _a_wallet,
        (CHAIN,),
        _history,
    ),
    Question(
        "chain transactions of six hours",
        "complex",
        "analyst",
        """SELECT t.hash, t.block_number, b.miner
           FROM blockchain_transactions AS t JOIN blockchain_blocks AS b ON b.number = t.block_number
           WHERE t.timestamp >= %(since)s AND t.timestamp < %(before)s
           ORDER BY t.timestamp DESC, t.hash LIMIT 100""",
        _six_hours,
        (CHAIN,),
        _range,
    ),
    Question(
        "network of a month by day",
        "complex",
        "analyst",
        """SELECT (timestamp AT TIME ZONE 'UTC')::date, count(*), sum(gas_used),
                  count(DISTINCT from_address)
           FROM blockchain_transactions WHERE timestamp >= %(since)s GROUP BY 1 ORDER BY 1""",
        _month,
        (CHAIN,),
        _network,
    ),
    Question(
        "newest 10 blocks",
        "live",
        "analyst",
        "SELECT number, hash, transaction_count, gas_used FROM blockchain_blocks ORDER BY number DESC LIMIT 10",
        nothing,
        (CHAIN,),
        _newest,
    ),
    Question(
        "figures of the last hour",
        "live",
        "analyst",
        """SELECT count(*), coalesce(sum(value), 0), count(DISTINCT from_address)
           FROM blockchain_transactions WHERE timestamp >= %(since)s""",
        _an_hour,
        (CHAIN,),
        _last_hour,
    ),
    Question(
        "a block comes in",
        "live",
        "app_user",
        """WITH block AS (
               INSERT INTO blockchain_blocks (number, hash, gas_used, timestamp, transaction_count)
               VALUES (%(number)s, %(block)s, 105000, now(), cardinality(%(hashes)s::text[])) ON CONFLICT DO NOTHING
           )
           INSERT INTO blockchain_transactions
               (hash, block_number, block_hash, from_address, to_address, value, gas_used, timestamp)
           SELECT hash, %(number)s, %(block)s, sender, receiver, 1, 21000, now()
           FROM unnest(%(hashes)s::text[], %(senders)s::text[], %(receivers)s::text[]) AS n (hash, sender, receiver)
           ON CONFLICT DO NOTHING""",
        _block_draw,
        (CHAIN,),
        _take_in,
        writes=CHAIN,
    ),
)
