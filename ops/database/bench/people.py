"""Questions about users and their verification: who logs in, the admin's directory, the KYC queue."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from random import Random
from typing import Any

from ops.database.bench.fill import digest, key, often, wallet
from ops.database.bench.question import (
    BATCH,
    KYC,
    OPPORTUNITIES,
    WALLETS,
    Documents,
    Params,
    Question,
    Rows,
    World,
    iso,
    past,
)

_OPEN = ("pending_review", "under_review")


def _a_user(rng: Random, world: World) -> Params:
    number = often(rng, world.scale.users)
    return {"user": key("user", number), "wallet": wallet("user", number), "phone": digest("phone", number)[2:]}


def _who_logs_in(rng: Random, world: World) -> Params:
    """A user whom nobody knows yet: not set as the one who is served."""
    drawn = _a_user(rng, world)
    return {"known": drawn.pop("user"), **drawn}


def _log_in(documents: Documents, params: Params) -> Rows:
    found = documents[WALLETS]["wallets"].get(params["phone"])
    return [(params["known"],)] if found and found["address"] == params["wallet"] else [(None,)]


def _account(documents: Documents, params: Params) -> Rows:
    one = documents[WALLETS]["wallets"][params["phone"]]
    return [(one["address"], one["tier"], one["status"], one["phoneNumberMasked"], one["loginCount"])]


def _directory_draw(rng: Random, world: World) -> Params:
    since = past(rng, world, 700)
    return {"since": since, "before": since + timedelta(days=90), "least": rng.choice([100, 1000, 10_000])}


def _directory(documents: Documents, params: Params) -> Rows:
    verified = {one["wallet"] for one in documents[KYC]["applications"] if one["status"] == "verified"}
    invested: dict[str, list[float]] = defaultdict(list)
    for one in documents[OPPORTUNITIES]["investments"]:
        if one["status"] == "confirmed":
            invested[one["wallet"]].append(float(one["amount"]))
    since, before = iso(params["since"]), iso(params["before"])
    found = [
        (one["address"], one["tier"], sum(invested[one["address"]]), len(invested[one["address"]]))
        for one in documents[WALLETS]["wallets"].values()
        if since <= one["createdAt"] < before and one["status"] == "active" and one["address"] in verified
    ]
    rich = [row for row in found if row[2] >= params["least"]]
    return sorted(rich, key=lambda row: (-row[2], row[0]))[:50]


def _wallets_draw(rng: Random, world: World) -> Params:
    return {"tier": rng.randrange(6), "before": past(rng, world, 700)}


def _wallets(documents: Documents, params: Params) -> Rows:
    before = iso(params["before"])
    found = [
        (one["createdAt"], one["address"], one["tier"], one["status"])
        for one in documents[WALLETS]["wallets"].values()
        if one["tier"] == params["tier"] and one["createdAt"] < before
    ]
    found.sort(key=lambda row: row[1])
    found.sort(key=lambda row: row[0], reverse=True)
    return [row[1:] for row in found[:50]]


def _phone_draw(rng: Random, world: World) -> Params:
    number = often(rng, world.scale.users) * 7919 % 10_000
    return {"part": f"{number:04d}"[rng.randrange(2) :], "tier": rng.randrange(3)}


def _by_phone(documents: Documents, params: Params) -> Rows:
    found = [
        (one["phoneNumberMasked"], one["address"], one["tier"])
        for one in documents[WALLETS]["wallets"].values()
        if one["phoneNumberMasked"].endswith(params["part"]) and one["tier"] >= params["tier"]
    ]
    return sorted(found)[:20]


def _part_of_a_wallet(rng: Random, world: World) -> Params:
    start = 2 + rng.randrange(30)
    return {"part": wallet("user", often(rng, world.scale.users))[start : start + 5].upper()}


def _by_wallet(documents: Documents, params: Params) -> Rows:
    part = params["part"].lower()
    found = [
        (one["address"], one["tier"], one["status"])
        for one in documents[WALLETS]["wallets"].values()
        if part in one["address"].lower()
    ]
    return sorted(found)[:20]


def _queue_draw(rng: Random, _world: World) -> Params:
    return {"document": rng.choice(["id", "passport", "driver_license"])}


def _queue(documents: Documents, params: Params) -> Rows:
    tiers = {one["address"]: one["tier"] for one in documents[WALLETS]["wallets"].values()}
    papers: dict[str, list[str]] = defaultdict(list)
    for one in documents[KYC]["documents"]:
        papers[one["applicationId"]].append(one["documentType"])
    found = [
        (tiers[one["wallet"]], one["submittedAt"], one["id"], one["status"], len(papers[one["id"]]))
        for one in documents[KYC]["applications"]
        if one["status"] in _OPEN and params["document"] in papers[one["id"]]
    ]
    ordered = sorted(found, key=lambda row: (-row[0], row[1], row[2]))[:50]
    return [(number, status, tier, count) for tier, _, number, status, count in ordered]


def _times_draw(rng: Random, world: World) -> Params:
    return {"since": past(rng, world, 365)}


def _times(documents: Documents, params: Params) -> Rows:
    since, hours = iso(params["since"]), defaultdict(list)
    for one in documents[KYC]["applications"]:
        if one["reviewedAt"] and one["reviewedAt"] >= since:
            took = datetime.fromisoformat(one["reviewedAt"]) - datetime.fromisoformat(one["submittedAt"])
            hours[one["verifiedBy"]].append(took.total_seconds() / 3600)
    found = [(who, len(each), sum(each) / len(each), max(each)) for who, each in hours.items()]
    return sorted(found, key=lambda row: (-row[1], row[0]))


def _decide_draw(rng: Random, world: World) -> Params:
    scale = world.scale
    chosen = rng.sample(range(1, scale.applications + 1), min(BATCH, scale.applications))
    return {
        "admin": key("admin", often(rng, scale.admins)),
        "applications": [key("application", number) for number in chosen],
        "status": rng.choice(["verified", "rejected"]),
    }


def _decide(documents: Documents, params: Params) -> Rows:
    chosen = {str(number) for number in params["applications"]}
    change: dict[str, Any] = {"status": params["status"], "reviewedAt": "now", "verifiedBy": str(params["admin"])}
    for one in documents[KYC]["applications"]:
        if one["id"] in chosen:
            one.update(change)
    return []


QUESTIONS = (
    Question(
        "log in by phone",
        "simple",
        "app_user",
        "SELECT app_find_user_by_phone(%(phone)s)",
        _who_logs_in,
        (WALLETS,),
        _log_in,
    ),
    Question(
        "own account",
        "simple",
        "app_user",
        """SELECT u.blockchain_address, u.tier, u.status, p.phone_number_masked, p.login_count
           FROM users AS u JOIN user_profiles AS p ON p.user_id = u.id""",
        _a_user,
        (WALLETS,),
        _account,
    ),
    Question(
        "users by date, money, KYC",
        "complex",
        "admin_role",
        """SELECT u.blockchain_address, u.tier, s.total_invested, s.total_investments
           FROM users AS u JOIN user_portfolio_summary AS s ON s.user_id = u.id
           WHERE u.created_at >= %(since)s AND u.created_at < %(before)s AND u.status = 'active'
             AND s.total_invested >= %(least)s
             AND EXISTS (SELECT FROM kyc_applications AS k WHERE k.user_id = u.id AND k.status = 'verified')
           ORDER BY s.total_invested DESC, u.blockchain_address LIMIT 50""",
        _directory_draw,
        (WALLETS, OPPORTUNITIES, KYC),
        _directory,
    ),
    Question(
        "wallet directory, a page",
        "complex",
        "analyst",
        """SELECT blockchain_address, tier, status FROM wallet_directory
           WHERE tier = %(tier)s AND created_at < %(before)s
           ORDER BY created_at DESC, blockchain_address LIMIT 50""",
        _wallets_draw,
        (WALLETS,),
        _wallets,
    ),
    Question(
        "KYC queue by priority",
        "complex",
        "admin_role",
        """SELECT q.id, q.status, u.tier, q.documents FROM kyc_queue AS q JOIN users AS u ON u.id = q.user_id
           WHERE EXISTS (SELECT FROM kyc_documents AS d
                         WHERE d.application_id = q.id AND d.document_type = %(document)s)
           ORDER BY u.tier DESC, q.submitted_at, q.id LIMIT 50""",
        _queue_draw,
        (WALLETS, KYC),
        _queue,
    ),
    Question(
        "KYC verification times",
        "complex",
        "admin_role",
        """SELECT verified_by, count(*), avg(hours), max(hours)
           FROM kyc_applications, LATERAL (SELECT extract(epoch FROM reviewed_at - submitted_at) / 3600) AS t (hours)
           WHERE reviewed_at >= %(since)s GROUP BY verified_by ORDER BY count(*) DESC, verified_by""",
        _times_draw,
        (KYC,),
        _times,
    ),
    Question(
        "decide 1000 KYC applications",
        "bulk",
        "admin_role",
        """WITH chosen AS (
               SELECT id FROM kyc_applications WHERE id = ANY(%(applications)s) ORDER BY id FOR UPDATE
           )
           UPDATE kyc_applications AS k SET status = %(status)s, reviewed_at = now(), verified_by = %(admin)s
           FROM chosen WHERE k.id = chosen.id""",
        _decide_draw,
        (KYC,),
        _decide,
        writes=KYC,
    ),
    Question(
        "users by part of a phone, tier",
        "search",
        "admin_role",
        """SELECT p.phone_number_masked, u.blockchain_address, u.tier
           FROM user_profiles AS p JOIN users AS u ON u.id = p.user_id
           WHERE p.phone_number_masked LIKE '%%' || %(part)s AND u.tier >= %(tier)s
           ORDER BY p.phone_number_masked, u.blockchain_address LIMIT 20""",
        _phone_draw,
        (WALLETS,),
        _by_phone,
    ),
    Question(
        "users by part of a wallet",
        "search",
        "admin_role",
        """SELECT blockchain_address, tier, status FROM users WHERE blockchain_address ILIKE '%%' || %(part)s || '%%'
           ORDER BY blockchain_address LIMIT 20""",
        _part_of_a_wallet,
        (WALLETS,),
        _by_wallet,
    ),
)
