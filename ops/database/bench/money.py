"""Questions about assets, and the money in them: the app's portfolio, the admin's lists and totals, bulk writes."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from random import Random
from typing import Any

from ops.database.bench.fill import CATEGORIES, WORDS, key, often, wallet
from ops.database.bench.question import (
    BATCH,
    MOVEMENTS,
    OPPORTUNITIES,
    WALLETS,
    Documents,
    Params,
    Question,
    Rows,
    World,
    iso,
    many,
    nothing,
    past,
)

# What a list of assets is sorted by -> what the files call it.
_SORTS = {
    "created": "createdAt",
    "total_invested": "totalInvested",
    "investor_count": "investorCount",
    "roi": "expectedRoi",
}


def _a_user(rng: Random, world: World) -> Params:
    number = often(rng, world.scale.users)
    return {"user": key("user", number), "wallet": wallet("user", number)}


def _portfolio(documents: Documents, params: Params) -> Rows:
    titles = {one["id"]: one["title"] for one in documents[OPPORTUNITIES]["opportunities"]}
    held: dict[str, list[float]] = defaultdict(list)
    for one in documents[OPPORTUNITIES]["investments"]:
        if one["wallet"] == params["wallet"] and one["status"] == "confirmed":
            held[one["opportunityId"]].append(float(one["amount"]))
    found = [(titles[asset], sum(each), len(each)) for asset, each in held.items()]
    return sorted(found, key=lambda row: (-row[1], row[0]))


def _movements(documents: Documents, params: Params) -> Rows:
    own = [one for one in documents[MOVEMENTS]["transactions"] if one["wallet"] == params["wallet"]]
    own.sort(key=lambda one: one["id"])
    own.sort(key=lambda one: one["createdAt"], reverse=True)
    return [(one["id"], one["type"], float(one["amount"]), one["status"]) for one in own[:20]]


def _an_asset(rng: Random, world: World) -> Params:
    return {"contract": wallet("asset", often(rng, world.scale.assets))}


def _asset(documents: Documents, params: Params) -> Rows:
    for one in documents[OPPORTUNITIES]["opportunities"]:
        if one["contractAddress"].lower() == params["contract"]:
            return [(one["title"], one["category"], one["expectedRoi"], one["totalInvested"], one["investorCount"])]
    return []


def _list_draw(rng: Random, world: World) -> Params:
    return {
        "type": rng.choice(["investment", "interest"]),
        "category": rng.choice(CATEGORIES),
        "since": past(rng, world, 730),
        "least": rng.choice([0, 1000, 100_000]),
        "sort": rng.choice(list(_SORTS)),
    }


def _list(documents: Documents, params: Params) -> Rows:
    since, sort = iso(params["since"]), _SORTS[params["sort"]]
    found = [
        one
        for one in documents[OPPORTUNITIES]["opportunities"]
        if one["type"] == params["type"]
        and one["status"] == "active"
        and one["category"] == params["category"]
        and one["createdAt"] >= since
        and one["totalInvested"] >= params["least"]
    ]
    found.sort(key=lambda one: one["title"])
    found.sort(key=lambda one: one[sort], reverse=True)
    return [(one["title"], one["totalInvested"], one["investorCount"], one["expectedRoi"]) for one in found[:20]]


def _quarter(rng: Random, world: World) -> Params:
    since = past(rng, world, 640)
    return {"since": since, "before": since + timedelta(days=90)}


def _totals(documents: Documents, params: Params) -> Rows:
    since, before = iso(params["since"]), iso(params["before"])
    categories = {one["id"]: one["category"] for one in documents[OPPORTUNITIES]["opportunities"]}
    amounts, people = defaultdict(list), defaultdict(set)
    for one in documents[OPPORTUNITIES]["investments"]:
        if one["status"] == "confirmed" and since <= one["investedAt"] < before:
            amounts[categories[one["opportunityId"]]].append(float(one["amount"]))
            people[categories[one["opportunityId"]]].add(one["wallet"])
    return [
        (name, sum(each), sum(each) / len(each), len(each), len(people[name])) for name, each in sorted(amounts.items())
    ]


def _month(rng: Random, world: World) -> Params:
    return {"since": world.until - timedelta(days=30 + rng.randrange(7))}


def _by_day(documents: Documents, params: Params) -> Rows:
    since, amounts = iso(params["since"]), defaultdict(list)
    for one in documents[MOVEMENTS]["transactions"]:
        if one["createdAt"] >= since and one["status"] == "confirmed":
            amounts[one["createdAt"][:10], one["type"]].append(float(one["amount"]))
    return [(*which, len(each), sum(each)) for which, each in sorted(amounts.items())]


def _words_draw(rng: Random, _world: World) -> Params:
    first, second = rng.sample(WORDS, 2)
    return {"words": rng.choice([first, f"{first} {second}"])}


def _by_words(documents: Documents, params: Params) -> Rows:
    wanted = set(params["words"].split())
    found = [
        (one["title"],)
        for one in documents[OPPORTUNITIES]["opportunities"]
        if wanted <= set(f"{one['title']} {one['description']} {one['category']}".lower().split())
    ]
    return sorted(found)[:20]


def _part_of_a_title(rng: Random, world: World) -> Params:
    return {"part": rng.choice([rng.choice(WORDS)[1:5], f" {often(rng, world.scale.assets)}"])}


def _by_title(documents: Documents, params: Params) -> Rows:
    found = [
        (one["title"],) for one in documents[OPPORTUNITIES]["opportunities"] if params["part"] in one["title"].lower()
    ]
    return sorted(found)[:20]


def _figures(documents: Documents, _params: Params) -> Rows:
    confirmed = [one for one in documents[OPPORTUNITIES]["investments"] if one["status"] == "confirmed"]
    total = sum(float(one["amount"]) for one in confirmed)
    return [(len(documents[WALLETS]["wallets"]), total, len({one["opportunityId"] for one in confirmed}))]


def _batch(rng: Random, world: World) -> Params:
    scale = world.scale
    users, assets = many(rng, BATCH, scale.users), many(rng, BATCH, scale.assets)
    return {
        "admin": key("admin", often(rng, scale.admins)),
        "users": [key("user", number) for number in users],
        "assets": [key("asset", number) for number in assets],
        "amounts": [rng.randrange(10, 5000) for _ in range(BATCH)],
        "wallets": [wallet("user", number) for number in users],
    }


def _invest(documents: Documents, params: Params) -> Rows:
    documents[OPPORTUNITIES]["investments"].extend(_added(params))
    return []


def _move(documents: Documents, params: Params) -> Rows:
    documents[MOVEMENTS]["transactions"].extend({**one, "type": "investment"} for one in _added(params))
    return []


def _added(params: Params) -> list[dict[str, Any]]:
    drawn = zip(params["wallets"], params["assets"], params["amounts"], strict=True)
    return [
        {"id": f"new_{n}", "wallet": who, "opportunityId": str(asset), "amount": str(amount), "currency": "USDC"}
        for n, (who, asset, amount) in enumerate(drawn)
    ]


QUESTIONS = (
    Question(
        "own portfolio",
        "simple",
        "app_user",
        """SELECT a.title, p.amount, p.investments FROM user_portfolio AS p JOIN assets AS a ON a.id = p.asset_id
           ORDER BY p.amount DESC, a.title""",
        _a_user,
        (OPPORTUNITIES,),
        _portfolio,
    ),
    Question(
        "own transactions, newest 20",
        "simple",
        "app_user",
        "SELECT id, type, amount, status FROM transactions ORDER BY created_at DESC, id LIMIT 20",
        _a_user,
        (MOVEMENTS,),
        _movements,
    ),
    Question(
        "asset by its contract",
        "simple",
        "app_user",
        """SELECT a.title, a.category, d.expected_roi, m.total_invested, m.investor_count
           FROM assets AS a JOIN asset_details AS d ON d.asset_id = a.id JOIN asset_metrics AS m ON m.asset_id = a.id
           WHERE lower(a.contract_address) = %(contract)s""",
        _an_asset,
        (OPPORTUNITIES,),
        _asset,
    ),
    Question(
        "assets filtered and sorted",
        "complex",
        "admin_role",
        """SELECT a.title, m.total_invested, m.investor_count, d.expected_roi
           FROM assets AS a JOIN asset_details AS d ON d.asset_id = a.id JOIN asset_metrics AS m ON m.asset_id = a.id
           WHERE a.type = %(type)s AND a.status = 'active' AND a.category = %(category)s
             AND a.created_at >= %(since)s AND m.total_invested >= %(least)s
           ORDER BY CASE %(sort)s WHEN 'created' THEN extract(epoch FROM a.created_at)
                                  WHEN 'total_invested' THEN m.total_invested
                                  WHEN 'investor_count' THEN m.investor_count ELSE d.expected_roi END DESC, a.title
           LIMIT 20""",
        _list_draw,
        (OPPORTUNITIES,),
        _list,
    ),
    Question(
        "investments of a quarter by category",
        "complex",
        "admin_role",
        """SELECT a.category, sum(i.amount), avg(i.amount), count(*), count(DISTINCT i.user_id)
           FROM investments AS i JOIN assets AS a ON a.id = i.asset_id
           WHERE i.status = 'confirmed' AND i.invested_at >= %(since)s AND i.invested_at < %(before)s
           GROUP BY a.category ORDER BY a.category""",
        _quarter,
        (OPPORTUNITIES,),
        _totals,
    ),
    Question(
        "transactions of a month by day",
        "complex",
        "admin_role",
        """SELECT (created_at AT TIME ZONE 'UTC')::date, type, count(*), sum(amount) FROM transactions
           WHERE created_at >= %(since)s AND status = 'confirmed' GROUP BY 1, type ORDER BY 1, type""",
        _month,
        (MOVEMENTS,),
        _by_day,
    ),
    Question(
        "insert 1000 investments",
        "bulk",
        "admin_role",
        """INSERT INTO investments (user_id, asset_id, amount, currency)
           SELECT who, what, amount, 'USDC'
           FROM unnest(%(users)s::uuid[], %(assets)s::uuid[], %(amounts)s::numeric[]) AS n (who, what, amount)""",
        _batch,
        (OPPORTUNITIES,),
        _invest,
        writes=OPPORTUNITIES,
    ),
    Question(
        "insert 1000 transactions",
        "bulk",
        "admin_role",
        """INSERT INTO transactions (user_id, asset_id, type, amount, currency, from_address)
           SELECT who, what, 'investment', amount, 'USDC', wallet
           FROM unnest(%(users)s::uuid[], %(assets)s::uuid[], %(amounts)s::numeric[], %(wallets)s::text[])
                AS n (who, what, amount, wallet)""",
        _batch,
        (MOVEMENTS,),
        _move,
        writes=MOVEMENTS,
    ),
    Question(
        "figures on top of the dashboard",
        "live",
        "admin_role",
        "SELECT total_users, total_aum, active_assets FROM real_time_stats",
        nothing,
        (WALLETS, OPPORTUNITIES),
        _figures,
    ),
    Question(
        "assets by words",
        "search",
        "app_user",
        """SELECT title FROM assets
           WHERE to_tsvector('english', title || ' ' || coalesce(description, '') || ' ' || coalesce(category, ''))
                 @@ plainto_tsquery('english', %(words)s)
           ORDER BY title COLLATE "C" LIMIT 20""",
        _words_draw,
        (OPPORTUNITIES,),
        _by_words,
    ),
    Question(
        "assets by part of a title",
        "search",
        "app_user",
        """SELECT title FROM assets WHERE title ILIKE '%%' || %(part)s || '%%' ORDER BY title COLLATE "C" LIMIT 20""",
        _part_of_a_title,
        (OPPORTUNITIES,),
        _by_title,
    ),
)
