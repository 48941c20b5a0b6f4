"""The JSON files of the old server: their sections, and the columns that each key of a record goes to. Pure.

docs/guides/json-files.md shows a record of each.
"""

from __future__ import annotations

from typing import Any

from ops.model.json_layout import Column, Default, Section, Table
from ops.model.json_values import (
    ADDRESS,
    DIGEST,
    FLAG,
    HASH,
    INET,
    MOMENT,
    WALLET,
    Kind,
    choice,
    document,
    hexadecimal,
    integer,
    number,
    reference,
    text,
)

INT = 2**31 - 1


def _required(name: str, key: str, kind: Kind) -> Column:
    return Column(name, key, kind, Default.REQUIRED)


def _written(name: str, key: str) -> Column:
    return Column(name, key, MOMENT, Default.WRITTEN)


def _id(table: str) -> Column:
    return _required("id", "id", reference(table))


def _own(table: str) -> Column:
    return Column("id", None, reference(table), Default.IDENTITY)


def _owner(name: str, table: str) -> Column:
    return Column(name, None, reference(table), Default.OWNER)


OBJECT, ARRAY, ANY = document(dict), document(list), document()
METADATA = Column("metadata", "metadata", OBJECT, Default.SPARE)
MONEY = number(18, 6, least=0)
AMOUNT = number(18, 6, above=0)
TIER = integer(0, 5)

USERS = Table(
    "users",
    (
        _own("users"),
        _required("phone_hash", "phoneHash", DIGEST),
        _required("blockchain_address", "address", ADDRESS),
        Column("tier", "tier", TIER, "0"),
        Column("status", "status", choice("active", "suspended", "closed"), "active"),
        _written("created_at", "createdAt"),
        _written("updated_at", "updatedAt"),
    ),
    identity=("blockchain_address",),
    unique=("phone_hash", "blockchain_address"),
)
PROFILES = Table(
    "user_profiles",
    (
        _owner("user_id", "users"),
        Column("phone_number_masked", "phoneNumberMasked", text(20)),
        Column("country_code", "countryCode", text(3)),
        Column("registration_ip", "registrationIp", INET),
        Column("last_login_at", "lastLoginAt", MOMENT),
        Column("login_count", "loginCount", integer(0, INT), "0"),
        Column("device_fingerprints", "deviceFingerprints", ARRAY, "[]"),
        Column("preferences", "preferences", OBJECT, "{}"),
        METADATA,
    ),
)
ADMINS = Table(
    "admin_users",
    (
        _id("admin_users"),
        _required("email", "email", text(255)),
        _required("name", "name", text(255)),
        _required("role", "role", choice("super_admin", "asset_manager", "kyc_verifier", "auditor", "viewer")),
        Column("permissions", "permissions", ARRAY, "[]"),
        Column("blockchain_address", "walletAddress", ADDRESS),
        Column("password_hash", "passwordHash", text(255)),
        Column("is_active", "isActive", FLAG, "true"),
        Column("last_login_at", "lastLoginAt", MOMENT),
        _written("created_at", "createdAt"),
        _written("updated_at", "updatedAt"),
    ),
    unique=("email",),
)
ADMIN_LOGS = Table(
    "admin_logs",
    (
        _id("admin_logs"),
        Column("admin_id", "adminId", reference("admin_users")),
        _required("action", "action", text(100)),
        Column("resource_type", "resourceType", text(50)),
        Column("resource_id", "resourceId", text(255)),
        Column("old_values", "oldValues", ANY),
        Column("new_values", "newValues", ANY),
        Column("ip_address", "ipAddress", INET),
        Column("user_agent", "userAgent", text()),
        _written("created_at", "timestamp"),
    ),
)
ASSETS = Table(
    "assets",
    (
        _id("assets"),
        _required("contract_address", "contractAddress", ADDRESS),
        _required("type", "type", choice("investment", "interest")),
        _required("title", "title", text(255)),
        Column("description", "description", text()),
        Column("category", "category", text(50)),
        Column("location", "location", text(255)),
        Column("image_url", "imageUrl", text(500)),
        Column("status", "status", choice("active", "paused", "closed", "draft"), "active"),
        METADATA,
        Column("created_by", "createdBy", WALLET),
        _written("created_at", "createdAt"),
        _written("updated_at", "updatedAt"),
    ),
    unique=("contract_address",),
)
DETAILS = Table(
    "asset_details",
    (
        _owner("asset_id", "assets"),
        Column("token_symbol", "tokenSymbol", text(10)),
        Column("token_price", "tokenPrice", MONEY),
        Column("max_supply", "maxSupply", integer()),
        Column("expected_roi", "expectedRoi", number(5, 2)),
        Column("lockup_period", "lockupPeriod", integer(0, INT)),
        Column("minimum_investment", "minimumInvestment", MONEY),
        Column("soft_cap", "softCap", MONEY),
        Column("deadline", "deadline", MOMENT),
        Column("contact_format", "contactFormat", choice("whatsapp", "email")),
        Column("contact_value", "contactValue", text(255)),
        Column("jurisdiction", "jurisdiction", text(100)),
        Column("spv_name", "spvName", text(255)),
        Column("custody_type", "custodyType", text(100)),
        Column("min_tier_required", "minTierRequired", TIER, "1"),
        Column("legal_documents", "legalDocuments", ARRAY, "[]"),
        Column("agreement_url", "agreementUrl", text(500)),
        Column("agreement_hash", "agreementHash", HASH),
    ),
)
METRICS = Table(
    "asset_metrics",
    (
        _owner("asset_id", "assets"),
        Column("total_invested", "totalInvested", MONEY, "0.000000"),
        Column("investor_count", "investorCount", integer(0, INT), "0"),
        Column("interested_count", "interestedCount", integer(0, INT), "0"),
        Column("performance_data", "performanceData", OBJECT, "{}"),
        _written("last_updated", "lastUpdated"),
    ),
    money="total_invested",
)
INVESTMENTS = Table(
    "investments",
    (
        _id("investments"),
        _required("user_id", "wallet", WALLET),
        _required("asset_id", "opportunityId", reference("assets")),
        _required("amount", "amount", AMOUNT),
        _required("currency", "currency", text(10)),
        Column("transaction_hash", "transactionHash", HASH),
        Column("block_number", "blockNumber", integer()),
        Column("status", "status", choice("pending", "confirmed", "failed", "refunded"), "pending"),
        _written("invested_at", "investedAt"),
        Column("confirmed_at", "confirmedAt", MOMENT),
        METADATA,
    ),
    money="amount",
)
AGREEMENTS = Table(
    "investment_agreements",
    (
        _id("investment_agreements"),
        _required("user_id", "wallet", WALLET),
        _required("asset_id", "opportunityId", reference("assets")),
        Column("investment_id", "investmentId", reference("investments")),
        Column("agreement_version", "agreementVersion", text(20), "1"),
        Column("agreement_url", "agreementUrl", text(500)),
        _required("agreement_hash", "agreementHash", HASH),
        Column("signature", "signature", text()),
        Column("ip_address", "ipAddress", INET),
        Column("user_agent", "userAgent", text()),
        _written("accepted_at", "acceptedAt"),
        METADATA,
    ),
)
APPLICATIONS = Table(
    "kyc_applications",
    (
        _id("kyc_applications"),
        _required("user_id", "wallet", WALLET),
        Column("status", "status", choice("pending_review", "under_review", "verified", "rejected"), "pending_review"),
        _written("submitted_at", "submittedAt"),
        Column("reviewed_at", "reviewedAt", MOMENT),
        Column("verified_by", "verifiedBy", reference("admin_users")),
        Column("rejection_reason", "rejectionReason", text()),
        Column("review_notes", "reviewNotes", text()),
        METADATA,
    ),
)
DOCUMENTS = Table(
    "kyc_documents",
    (
        _id("kyc_documents"),
        _required("application_id", "applicationId", reference("kyc_applications")),
        _required("document_type", "documentType", choice("id", "passport", "utility", "driver_license")),
        Column("original_filename", "originalFilename", text(255)),
        Column("stored_filename", "storedFilename", text(255)),
        Column("file_path", "filePath", text(500)),
        Column("file_size", "fileSize", integer(0, INT)),
        Column("mime_type", "mimeType", text(100)),
        Column("file_hash", "fileHash", DIGEST),
        _written("uploaded_at", "uploadedAt"),
        METADATA,
    ),
)
BLOCKS = Table(
    "blockchain_blocks",
    (
        _required("number", "number", integer()),
        _required("hash", "hash", HASH),
        Column("parent_hash", "parentHash", HASH),
        Column("nonce", "nonce", hexadecimal(18)),
        Column("sha3_uncles", "sha3Uncles", HASH),
        Column("logs_bloom", "logsBloom", hexadecimal()),
        Column("transactions_root", "transactionsRoot", HASH),
        Column("state_root", "stateRoot", HASH),
        Column("receipts_root", "receiptsRoot", HASH),
        Column("miner", "miner", ADDRESS),
        Column("difficulty", "difficulty", integer(0, 10**36 - 1)),
        Column("total_difficulty", "totalDifficulty", integer(0, 10**36 - 1)),
        Column("size", "size", integer()),
        Column("extra_data", "extraData", hexadecimal()),
        Column("gas_limit", "gasLimit", integer()),
        Column("gas_used", "gasUsed", integer()),
        Column("timestamp", "timestamp", MOMENT),
        Column("transaction_count", "transactionCount", integer(0, INT), "0"),
    ),
    unique=("hash",),
)
CHAIN_TRANSACTIONS = Table(
    "blockchain_transactions",
    (
        _own("blockchain_transactions"),
        _required("hash", "hash", HASH),
        _required("block_number", "blockNumber", integer()),
        Column("block_hash", "blockHash", HASH),
        Column("transaction_index", "transactionIndex", integer(0, INT)),
        Column("from_address", "from", ADDRESS),
        Column("to_address", "to", ADDRESS),
        Column("value", "value", number(36, 18)),
        Column("gas_used", "gasUsed", integer()),
        Column("gas_price", "gasPrice", integer()),
        Column("transaction_type", "type", text(50)),
        Column("status", "status", text(20), "confirmed"),
        Column("timestamp", "timestamp", MOMENT),
        METADATA,
    ),
    identity=("hash",),
    money="value",
)
EVENTS = Table(
    "blockchain_events",
    (
        _own("blockchain_events"),
        _required("contract_address", "contractAddress", ADDRESS),
        _required("event_type", "eventType", text(50)),
        _required("transaction_hash", "transactionHash", HASH),
        _required("log_index", "logIndex", integer(0, INT)),
        _required("block_number", "blockNumber", integer()),
        Column("topics", "topics", ARRAY, "[]"),
        Column("event_data", "eventData", OBJECT, Default.SPARE),
        Column("timestamp", "timestamp", MOMENT),
        Column("processed_at", "processedAt", MOMENT),
        _written("created_at", "createdAt"),
    ),
    identity=("transaction_hash", "log_index"),
)
INTERACTIONS = Table(
    "contract_interactions",
    (
        _id("contract_interactions"),
        _required("contract_address", "contractAddress", ADDRESS),
        _required("function_name", "functionName", text(100)),
        Column("caller_address", "callerAddress", ADDRESS),
        Column("user_id", "wallet", WALLET),
        Column("transaction_hash", "transactionHash", HASH),
        Column("block_number", "blockNumber", integer()),
        Column("parameters", "parameters", OBJECT, Default.SPARE),
        Column("result", "result", ANY),
        Column("gas_used", "gasUsed", integer()),
        Column("status", "status", choice("pending", "succeeded", "failed"), "pending"),
        Column("error_message", "errorMessage", text()),
        _written("created_at", "createdAt"),
        Column("completed_at", "completedAt", MOMENT),
    ),
)
TRANSACTIONS = Table(
    "transactions",
    (
        _id("transactions"),
        _required("user_id", "wallet", WALLET),
        Column("asset_id", "opportunityId", reference("assets")),
        Column("investment_id", "investmentId", reference("investments")),
        _required("type", "type", choice("deposit", "withdrawal", "transfer", "investment", "refund", "payout", "fee")),
        _required("amount", "amount", AMOUNT),
        _required("currency", "currency", text(10)),
        Column("status", "status", choice("pending", "confirmed", "failed", "cancelled"), "pending"),
        Column("from_address", "from", ADDRESS),
        Column("to_address", "to", ADDRESS),
        Column("transaction_hash", "hash", HASH),
        Column("block_number", "blockNumber", integer()),
        _written("created_at", "createdAt"),
        _written("updated_at", "updatedAt"),
        Column("confirmed_at", "confirmedAt", MOMENT),
        METADATA,
    ),
    money="amount",
)
SYSTEM_LOGS = Table(
    "system_logs",
    (
        _id("system_logs"),
        Column("level", "level", choice("debug", "info", "warn", "error", "fatal"), "info"),
        Column("source", "source", text(50), "transactions-log"),
        _required("message", "message", text()),
        Column("context", "context", OBJECT, Default.SPARE),
        Column("request_id", "requestId", text(100)),
        Column("host", "host", text(255)),
        _written("timestamp", "timestamp"),
    ),
)
SYSTEM_METRICS = Table(
    "system_metrics",
    (
        _own("system_metrics"),
        _required("metric_type", "name", text(50)),
        _required("metric_value", "value", number(18, 6)),
        METADATA,
        _written("timestamp", "timestamp"),
    ),
    identity=("metric_type", "timestamp"),
)
DIRECTORY = Table(
    "user_analytics",
    (
        _own("user_analytics"),
        _required("user_id", "address", WALLET),
        Column("event_type", None, text(50), "wallet_directory"),
        Column("event_data", None, OBJECT, Default.SPARE),
        _written("timestamp", "lastSeen"),
    ),
    identity=("user_id", "event_type"),
    extra=None,
)

# In the order in which they are imported: what is referred to comes first.
SECTIONS = (
    Section("wallet-db.json", "wallets", (USERS, PROFILES), by="phoneHash"),
    Section("admin-logs.json", "admins", (ADMINS,)),
    Section("admin-logs.json", "logs", (ADMIN_LOGS,)),
    Section("admin-opportunities.json", "opportunities", (ASSETS, DETAILS, METRICS)),
    Section("admin-opportunities.json", "investments", (INVESTMENTS,)),
    Section("admin-opportunities.json", "agreements", (AGREEMENTS,)),
    Section("uploads/kyc/metadata.json", "applications", (APPLICATIONS,)),
    Section("uploads/kyc/metadata.json", "documents", (DOCUMENTS,)),
    Section("explorer-data/enhanced-historical-data.json", "blocks", (BLOCKS,)),
    Section("explorer-data/enhanced-historical-data.json", "transactions", (CHAIN_TRANSACTIONS,)),
    Section("explorer-data/data-backup.json", "events", (EVENTS,)),
    Section("explorer-data/data-backup.json", "interactions", (INTERACTIONS,)),
    Section("explorer-data/persistent-transactions.json", "transactions", (TRANSACTIONS,)),
    Section("explorer-data/transactions-log.json", None, (SYSTEM_LOGS,)),
    Section("explorer-data/live-stats.json", "stats", (SYSTEM_METRICS,), by="name"),
    Section("explorer-data/wallets-directory.json", None, (DIRECTORY,), by="address"),
)
FILES = tuple(dict.fromkeys(section.file for section in SECTIONS))
TABLES = {table.name: table for section in SECTIONS for table in section.tables}


def of_file(file: str) -> tuple[Section, ...]:
    """The sections of one file, in the order in which they are imported."""
    return tuple(section for section in SECTIONS if section.file == file)


def section_of(file: str, name: str | None) -> Section:
    """The section of this name, of which there must be one."""
    return next(section for section in SECTIONS if (section.file, section.name) == (file, name))


def name_of(section: Section, record: Any) -> str | None:
    """What a record calls itself, for people; None: nothing that could be read."""
    if not isinstance(record, dict):
        return None
    for candidate in (section.by, "id", "hash", "number", "transactionHash"):
        found = record.get(candidate) if candidate else None
        if isinstance(found, (str, int)):
            return str(found)[:200]
    return None
