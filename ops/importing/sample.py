"""Files like those of the old server, as large as wanted: the same bytes for the same seed.

What a record refers to follows from its number, so nothing is remembered while millions are written.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

from ops.errors import UsageError
from ops.importing.dirt import Dirt
from ops.model.json_files import FILES, SECTIONS
from ops.model.json_layout import Section

# The seeds' volume: 139 wallets, 74,000 blocks, 8 assets; "thousands", "dozens" and "hundreds" are these.
VOLUME = {
    "wallet-db.json wallets": 139,
    "admin-logs.json admins": 5,
    "admin-logs.json logs": 400,
    "admin-opportunities.json opportunities": 8,
    "admin-opportunities.json investments": 1_200,
    "admin-opportunities.json agreements": 600,
    "uploads/kyc/metadata.json applications": 48,
    "uploads/kyc/metadata.json documents": 96,
    "explorer-data/enhanced-historical-data.json blocks": 74_000,
    "explorer-data/enhanced-historical-data.json transactions": 6_000,
    "explorer-data/data-backup.json events": 4_000,
    "explorer-data/data-backup.json interactions": 500,
    "explorer-data/persistent-transactions.json transactions": 5_000,
    "explorer-data/transactions-log.json": 5_000,
    "explorer-data/live-stats.json stats": 20,
    "explorer-data/wallets-directory.json": 139,
}
# The file that a dirty sample cuts off, inside of its last record.
CUT = "explorer-data/transactions-log.json"
_BEGIN = datetime(2024, 3, 1, tzinfo=UTC)
_STAGES = ("pending", "confirmed", "confirmed", "confirmed", "failed")

Record: TypeAlias = dict[str, Any]


@dataclass
class Written:
    """What a sample consists of: records by section, dirt by its sort, bytes in all."""

    records: dict[str, int] = field(default_factory=dict)
    dirt: dict[str, int] = field(default_factory=dict)
    bytes: int = 0


class Sample:
    """A set of files: `times` the volume of the seeds (a fraction too), with or without dirt."""

    def __init__(self, times: float = 1, seed: int = 1, *, dirty: bool = True) -> None:
        self.seed = seed
        self.dirty = dirty
        self.counts = {title: max(1, round(count * times)) for title, count in VOLUME.items()}

    def count(self, title: str) -> int:
        """Records of a section."""
        return self.counts[title]

    def digest(self, what: str, number: int) -> str:
        """64 hexadecimal digits that follow from what they are for."""
        return sha256(f"{self.seed}:{what}:{number}".encode()).hexdigest()

    def wallet(self, number: int) -> str:
        """The address of a user, in any number."""
        return f"0x{self.digest('wallet', number % self.count('wallet-db.json wallets'))[:40]}"

    def asset(self, number: int) -> str:
        return f"opp_{number % self.count('admin-opportunities.json opportunities') + 1}"

    def contract(self, number: int) -> str:
        assets = self.count("admin-opportunities.json opportunities")
        return f"0x{self.digest('contract', number % assets)[:40]}"

    def moment(self, minutes: int) -> str:
        """As JavaScript writes it."""
        return (_BEGIN + timedelta(minutes=minutes % 400_000)).strftime("%Y-%m-%dT%H:%M:%S.000Z")

    def text(self, section: Section, number: int) -> str:
        """The record of this number as JSON."""
        if section.title == "explorer-data/enhanced-historical-data.json blocks":
            return _block_text(self, number)
        return json.dumps(_MAKERS[section.title](self, number), separators=(",", ":"))

    def write(self, folder: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> Written:
        """Write all files into a folder that has none of them. `progress` gets records written, and records in all."""
        if any((folder / name).exists() for name in FILES):
            raise UsageError(f"{folder} has such files already", hint="Name a folder that does not exist.")
        done, total, written = 0, sum(self.counts.values()), Written()
        for name in FILES:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            dirt = Dirt(self, random.Random(f"{self.seed}:{name}"), written.dirt) if self.dirty else None  # noqa: S311
            with path.open("w", encoding="utf-8") as file:
                for piece in self._pieces(name, dirt, written):
                    file.write(piece)
                    done += 1
                    if not done % 5000:
                        progress(min(done, total), total)
            if dirt and name == CUT:
                _cut(path)
                written.dirt["file cut off"] = 1
            written.bytes += path.stat().st_size
        return written

    def _pieces(self, name: str, dirt: Dirt | None, written: Written) -> Iterator[str]:
        sections = [section for section in SECTIONS if section.file == name]
        if sections[0].name is None:
            yield from self._entries(sections[0], dirt, written)
            return
        yield f'{{\n"version": 1,\n"lastUpdated": "{self.moment(400_000 - 1)}"'
        for section in sections:
            yield f',\n"{section.name}": '
            yield from self._entries(section, dirt, written)
        yield "\n}\n"

    def _entries(self, section: Section, dirt: Dirt | None, written: Written) -> Iterator[str]:
        yield "{" if section.by else "["
        count = 0
        for number in range(self.count(section.title)):
            for text in dirt.of(section, number) if dirt else (self.text(section, number),):
                yield f"{',' if count else ''}\n{_named(section, text)}"
                count += 1
        yield "\n}" if section.by else "\n]"
        written.records[section.title] = count


def _named(section: Section, text: str) -> str:
    """A record as it stands in its section: in an object, behind its name."""
    if not section.by:
        return text
    record = json.loads(text)
    name = record.pop(section.by, "")
    return f"{json.dumps(name)}: {json.dumps(record, separators=(',', ':'))}"


def _cut(path: Path) -> None:
    """Take the end off, as a server does that dies while it writes."""
    with path.open("r+b") as file:
        file.truncate(max(1, path.stat().st_size - 40))


def _block_text(sample: Sample, number: int) -> str:
    # Nearly all of a sample is blocks: written as text, several times as fast.
    own, before = sample.digest("block", number), sample.digest("block", number - 1)
    return (
        f'{{"number":{number},"hash":"0x{own}","parentHash":"0x{before}","nonce":"0x0000000000000000",'
        f'"miner":"0x{own[:40]}","difficulty":"2","totalDifficulty":"{2 * number + 1}","size":{600 + number % 900},'
        f'"extraData":"0x","gasLimit":30000000,"gasUsed":{21000 * (number % 9)},'
        f'"timestamp":{1_709_251_200 + 15 * number},"transactionCount":{number % 9}}}'
    )


def _wallet(sample: Sample, number: int) -> Record:
    return {
        "phoneHash": sample.digest("phone", number),
        "address": sample.wallet(number),
        "tier": number % 6,
        "status": "suspended" if number % 40 == 39 else "active",
        "createdAt": sample.moment(number * 31),
        "updatedAt": sample.moment(number * 31 + 4000),
        "phoneNumberMasked": f"+20***{number % 10000:04}",
        "countryCode": ("EG", "AE", "SA")[number % 3],
        "registrationIp": f"203.0.113.{number % 250 + 1}",
        "lastLoginAt": sample.moment(number * 37 + 9000),
        "loginCount": number % 90,
        "deviceFingerprints": [sample.digest("device", number)[:16]],
        "preferences": {"language": ("ar", "en")[number % 2]},
        "metadata": {"source": "app"},
    }


def _admin(_sample: Sample, number: int) -> Record:
    roles = ("super_admin", "asset_manager", "kyc_verifier", "auditor", "viewer")
    return {
        "id": f"adm_{number + 1}",
        "email": f"admin{number + 1}@example.org",
        "name": f"Admin {number + 1}",
        "role": roles[number % 5],
        "permissions": [],
        "isActive": True,
        "createdAt": "2024-01-01T00:00:00.000Z",
        "updatedAt": "2024-01-01T00:00:00.000Z",
    }


def _admin_id(sample: Sample, number: int) -> str:
    return f"adm_{number % sample.count('admin-logs.json admins') + 1}"


def _log(sample: Sample, number: int) -> Record:
    return {
        "id": f"log_{number + 1}",
        "adminId": _admin_id(sample, number) if number % 7 else None,
        "action": ("LOGIN", "KYC_APPROVED", "ASSET_UPDATED")[number % 3],
        "resourceType": "assets",
        "resourceId": sample.asset(number),
        "oldValues": {"status": "draft"},
        "newValues": {"status": "active", "figure": number / 4},
        "ipAddress": f"203.0.113.{number % 250 + 1}",
        "userAgent": "Mozilla/5.0",
        "timestamp": sample.moment(number * 71),
    }


def _opportunity(sample: Sample, number: int) -> Record:
    return {
        "id": f"opp_{number + 1}",
        "contractAddress": sample.contract(number),
        "type": "interest" if number % 4 == 3 else "investment",
        "title": f"{('Villa by the sea', 'Orchard', 'Office tower', 'Solar field')[number % 4]} {number + 1}",
        "description": "Shares in what stands there — and in what it yields.",
        "category": ("real-estate", "land", "real-estate", "energy")[number % 4],
        "location": "Alexandria",
        "imageUrl": f"/uploads/opp_{number + 1}.jpg",
        "status": "active",
        "createdBy": sample.wallet(number),
        "createdAt": sample.moment(number * 7000),
        "updatedAt": sample.moment(number * 7000 + 500),
        "tokenSymbol": f"PND{number + 1}"[:10],
        "tokenPrice": "10.50",
        "maxSupply": 100_000,
        "expectedRoi": 7.25,
        "lockupPeriod": 365,
        "minimumInvestment": 100,
        "minTierRequired": 1,
        "legalDocuments": [{"name": "prospectus", "url": f"/legal/opp_{number + 1}.pdf"}],
        "agreementUrl": f"/agreements/opp_{number + 1}.pdf",
        "agreementHash": f"0x{sample.digest('agreement', number)}",
        "totalInvested": 1250.5 + number,
        "investorCount": number + 12,
        "interestedCount": number + 40,
        "performanceData": {"yield": 6.75},
        "lastUpdated": sample.moment(number * 7000 + 900),
    }


def _investment(sample: Sample, number: int) -> Record:
    return {
        "id": f"inv_{number + 1}",
        "wallet": sample.wallet(number * 17),
        "opportunityId": sample.asset(number * 5),
        "amount": f"{100 + number % 5000}.{number % 1_000_000:06}",
        "currency": "USDC",
        "transactionHash": f"0x{sample.digest('chain', number)}",
        "blockNumber": number * 3,
        "status": _STAGES[number % 5],
        "investedAt": sample.moment(number * 13),
        "confirmedAt": sample.moment(number * 13 + 2) if _STAGES[number % 5] == "confirmed" else None,
        "metadata": {},
    }


def _agreement(sample: Sample, number: int) -> Record:
    return {
        "id": f"agr_{number + 1}",
        "wallet": sample.wallet(number),
        "opportunityId": sample.asset(number),
        "agreementHash": f"0x{sample.digest('agreed', number)}",
        "agreementVersion": "1",
        "ipAddress": f"203.0.113.{number % 250 + 1}",
        "userAgent": "Mozilla/5.0",
        "acceptedAt": sample.moment(number * 13),
    }


def _application(sample: Sample, number: int) -> Record:
    status = ("verified", "pending_review", "under_review", "rejected")[number % 4]
    decided = status in ("verified", "rejected")
    return {
        "id": f"kyc_{number + 1}",
        "wallet": sample.wallet(number),
        "status": status,
        "submittedAt": sample.moment(number * 900),
        "reviewedAt": sample.moment(number * 900 + 600) if decided else None,
        "verifiedBy": _admin_id(sample, number) if decided else None,
        "rejectionReason": "document expired" if status == "rejected" else None,
    }


def _document(sample: Sample, number: int) -> Record:
    return {
        "id": f"doc_{number + 1}",
        "applicationId": f"kyc_{number % sample.count('uploads/kyc/metadata.json applications') + 1}",
        "documentType": ("passport", "utility", "id", "driver_license")[number % 4],
        "originalFilename": f"IMG_{number:04}.jpg",
        "storedFilename": f"doc_{number + 1}.jpg",
        "filePath": f"uploads/kyc/doc_{number + 1}.jpg",
        "fileSize": 100_000 + number,
        "mimeType": "image/jpeg",
        "fileHash": sample.digest("document", number),
        "uploadedAt": sample.moment(number * 450),
    }


def _chain_transaction(sample: Sample, number: int) -> Record:
    return {
        "hash": f"0x{sample.digest('chain', number)}",
        "blockNumber": number * 3,
        "transactionIndex": number % 3,
        "from": sample.wallet(number),
        "to": sample.contract(number),
        "value": f"{number % 40}.{number:018}",
        "gasUsed": 21_000,
        "gasPrice": "1000000000",
        "type": "investment",
        "status": "confirmed",
        "timestamp": 1_709_251_200 + 45 * number,
    }


def _event(sample: Sample, number: int) -> Record:
    return {
        "contractAddress": sample.contract(number),
        "eventType": "Invested",
        "transactionHash": f"0x{sample.digest('chain', number)}",
        "logIndex": 0,
        "blockNumber": number * 3,
        "topics": [f"0x{sample.digest('topic', number % 4)}"],
        "eventData": {"amount": f"{100 + number % 5000}.000001", "index": number},
        "timestamp": 1_709_251_200 + 45 * number,
        "createdAt": sample.moment(number),
    }


def _interaction(sample: Sample, number: int) -> Record:
    return {
        "id": f"call_{number + 1}",
        "contractAddress": sample.contract(number),
        "functionName": "invest",
        "wallet": sample.wallet(number),
        "parameters": {"amount": number},
        "result": {"ok": True},
        "gasUsed": 84_512,
        "status": "succeeded",
        "createdAt": sample.moment(number * 40),
    }


def _transaction(sample: Sample, number: int) -> Record:
    invested = number % 4 == 0
    investment = number // 4 % sample.count("admin-opportunities.json investments")
    return {
        "id": f"tx_{number + 1}",
        "wallet": sample.wallet(investment * 17 if invested else number),
        "type": "investment" if invested else ("deposit", "withdrawal", "transfer")[number % 3],
        "amount": f"{50 + number % 900}.{number % 100:02}",
        "currency": "USDC",
        "opportunityId": sample.asset(investment * 5) if invested else None,
        "investmentId": f"inv_{investment + 1}" if invested else None,
        "status": _STAGES[number % 5],
        "from": sample.wallet(number),
        "to": sample.contract(number),
        "hash": f"0x{sample.digest('payment', number)}",
        "blockNumber": number * 2,
        "createdAt": sample.moment(number * 11),
        "updatedAt": sample.moment(number * 11 + 3),
        "metadata": {"channel": "app"},
    }


def _line(sample: Sample, number: int) -> Record:
    return {
        "id": f"line_{number + 1}",
        "message": f"transaction {number + 1} confirmed",
        "timestamp": sample.moment(number * 11),
        "level": "warn" if number % 50 == 49 else "info",
        "context": {"hash": f"0x{sample.digest('payment', number)}"},
    }


def _stat(_sample: Sample, number: int) -> Record:
    names = ("blockHeight", "totalWallets", "transactionsPerSecond", "gasPrice", "totalInvested")
    name = names[number % 5] if number < 5 else f"{names[number % 5]}{number // 5 + 1}"
    return {"name": name, "value": 74_000 + number / 8, "timestamp": 1_730_799_000 + number}


def _directory(sample: Sample, number: int) -> Record:
    return {
        "address": sample.wallet(number),
        "lastSeen": sample.moment(number * 37 + 9000),
        "label": "investor",
        "firstSeen": sample.moment(number * 31),
        "balance": f"{number % 9000}.5",
        "transactionCount": number % 60,
    }


_MAKERS: dict[str, Callable[[Sample, int], Record]] = {
    "wallet-db.json wallets": _wallet,
    "admin-logs.json admins": _admin,
    "admin-logs.json logs": _log,
    "admin-opportunities.json opportunities": _opportunity,
    "admin-opportunities.json investments": _investment,
    "admin-opportunities.json agreements": _agreement,
    "uploads/kyc/metadata.json applications": _application,
    "uploads/kyc/metadata.json documents": _document,
    "explorer-data/enhanced-historical-data.json transactions": _chain_transaction,
    "explorer-data/data-backup.json events": _event,
    "explorer-data/data-backup.json interactions": _interaction,
    "explorer-data/persistent-transactions.json transactions": _transaction,
    "explorer-data/transactions-log.json": _line,
    "explorer-data/live-stats.json stats": _stat,
    "explorer-data/wallets-directory.json": _directory,
}
