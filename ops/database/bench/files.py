"""The rows of the scratch database as the JSON files of the old server (docs/guides/json-files.md), and asking those.

As that server does: a file is read and parsed as a whole, and searched in memory; to change it, it is written as a
whole. The parser is Python's, and it is one process, as Node is.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

from ops.database.bench.question import (
    CHAIN,
    KYC,
    MOVEMENTS,
    OPPORTUNITIES,
    WALLETS,
    Documents,
    Question,
    World,
    chance,
)
from ops.database.target import Target

# file -> its sections: name, brackets, the statement that gives its records as texts; in an object "name":record.
_SECTIONS: dict[str, tuple[tuple[str, str, LiteralString], ...]] = {
    WALLETS: (
        (
            "wallets",
            "{}",
            """SELECT to_json(phone_hash)::text || ':' || json_build_object(
                   'address', blockchain_address, 'tier', tier, 'status', status, 'createdAt', bench.iso(created_at),
                   'updatedAt', bench.iso(updated_at), 'phoneNumberMasked', phone_number_masked,
                   'countryCode', country_code, 'registrationIp', host(registration_ip),
                   'lastLoginAt', bench.iso(last_login_at), 'loginCount', login_count,
                   'preferences', preferences, 'metadata', metadata)::text
               FROM users JOIN user_profiles ON user_id = id ORDER BY created_at""",
        ),
    ),
    OPPORTUNITIES: (
        (
            "opportunities",
            "[]",
            """SELECT json_build_object(
                   'id', id, 'contractAddress', contract_address, 'type', type, 'title', title,
                   'description', description, 'category', category, 'location', location, 'status', status,
                   'createdAt', bench.iso(created_at), 'tokenSymbol', token_symbol, 'tokenPrice', token_price::text,
                   'maxSupply', max_supply, 'expectedRoi', expected_roi, 'minimumInvestment', minimum_investment,
                   'totalInvested', total_invested, 'investorCount', investor_count)::text
               FROM assets JOIN asset_details AS d ON d.asset_id = id JOIN asset_metrics AS m ON m.asset_id = id
               ORDER BY created_at""",
        ),
        (
            "investments",
            "[]",
            """SELECT json_build_object(
                   'id', i.id, 'wallet', blockchain_address, 'opportunityId', asset_id, 'amount', amount::text,
                   'currency', currency, 'transactionHash', transaction_hash, 'blockNumber', block_number,
                   'status', i.status, 'investedAt', bench.iso(invested_at),
                   'confirmedAt', bench.iso(confirmed_at))::text
               FROM investments AS i JOIN users AS u ON u.id = user_id ORDER BY invested_at""",
        ),
    ),
    KYC: (
        (
            "applications",
            "[]",
            """SELECT json_build_object(
                   'id', a.id, 'wallet', blockchain_address, 'status', a.status, 'submittedAt', bench.iso(submitted_at),
                   'reviewedAt', bench.iso(reviewed_at), 'verifiedBy', verified_by)::text
               FROM kyc_applications AS a JOIN users AS u ON u.id = user_id ORDER BY submitted_at""",
        ),
        (
            "documents",
            "[]",
            """SELECT json_build_object(
                   'id', id, 'applicationId', application_id, 'documentType', document_type,
                   'originalFilename', original_filename, 'fileSize', file_size, 'mimeType', mime_type,
                   'fileHash', file_hash, 'uploadedAt', bench.iso(uploaded_at))::text
               FROM kyc_documents ORDER BY uploaded_at""",
        ),
    ),
    CHAIN: (
        (
            "blocks",
            "[]",
            """SELECT json_build_object(
                   'number', number, 'hash', hash, 'parentHash', parent_hash, 'miner', miner, 'size', size,
                   'gasLimit', gas_limit, 'gasUsed', gas_used, 'timestamp', extract(epoch FROM timestamp)::bigint,
                   'transactionCount', transaction_count)::text
               FROM blockchain_blocks ORDER BY number""",
        ),
        (
            "transactions",
            "[]",
            """SELECT json_build_object(
                   'hash', hash, 'blockNumber', block_number, 'blockHash', block_hash,
                   'transactionIndex', transaction_index, 'from', from_address, 'to', to_address, 'value', value::text,
                   'gasUsed', gas_used, 'gasPrice', gas_price::text, 'type', transaction_type, 'status', status,
                   'timestamp', extract(epoch FROM timestamp)::bigint)::text
               FROM blockchain_transactions ORDER BY block_number, transaction_index""",
        ),
    ),
    MOVEMENTS: (
        (
            "transactions",
            "[]",
            """SELECT json_build_object(
                   'id', t.id, 'wallet', blockchain_address, 'type', type, 'amount', amount::text,
                   'currency', currency, 'opportunityId', asset_id, 'investmentId', investment_id, 'status', t.status,
                   'from', from_address, 'to', to_address, 'hash', transaction_hash, 'blockNumber', block_number,
                   'createdAt', bench.iso(t.created_at), 'confirmedAt', bench.iso(confirmed_at))::text
               FROM transactions AS t JOIN users AS u ON u.id = user_id ORDER BY t.created_at""",
        ),
    ),
}


@dataclass
class Answers:
    """Milliseconds that a question took of the files: parsed for each request, and parsed before."""

    parsed: list[float] = field(default_factory=list)
    cached: list[float] = field(default_factory=list)


def write(target: Target, folder: Path, say: Callable[[str], None]) -> int:
    """Write the files of the rows in the database; their bytes. `say` is told each one's name before it is written."""
    with target.connect() as connection, connection.transaction():
        for name, sections in _SECTIONS.items():
            say(name)
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w") as file:
                file.write("{")
                for number, (section, brackets, statement) in enumerate(sections):
                    file.write(f"{', ' if number else ''}{json.dumps(section)}: {brackets[0]}")
                    with connection.cursor(name="records") as cursor:
                        cursor.itersize = 5000
                        cursor.execute(statement)
                        for count, (record,) in enumerate(cursor):
                            file.write(f",\n{record}" if count else f"\n{record}")
                    file.write(f"\n{brackets[1]}")
                file.write("}\n")
    return sum((folder / name).stat().st_size for name in _SECTIONS)


def read(folder: Path, names: Sequence[str]) -> Documents:
    """The files, parsed."""
    return {name: json.loads((folder / name).read_bytes()) for name in names}


def ask(
    questions: Sequence[Question], folder: Path, world: World, rounds: int, say: Callable[[str], None]
) -> dict[str, Answers]:
    """Ask each question of the files, by the question's name.

    A round reads and parses the files once for all questions that need the same ones. What a question takes with them
    parsed for it is that time and its own: both were measured, one after the other. In each round a question that reads
    is asked five times, one that writes once.
    """
    found = {question.name: Answers() for question in questions}
    with _without_collections():
        for files in dict.fromkeys(question.files for question in questions):
            asked = sorted((one for one in questions if one.files == files), key=lambda one: one.writes is not None)
            for number in range(rounds):
                say(", ".join(files))
                start = time.perf_counter()
                documents = read(folder, files)
                parsed = _since(start)
                for question in asked:
                    rng = chance(question, number)
                    for _ in range(1 if question.writes else 5):
                        took = _answer(question, documents, folder, question.draw(rng, world))
                        found[question.name].cached.append(took)
                        found[question.name].parsed.append(parsed + took)
                del documents
    return found


def _answer(question: Question, documents: Documents, folder: Path, params: dict[str, Any]) -> float:
    start = time.perf_counter()
    question.look(documents, params)
    if question.writes:
        # Beside the file, so that the next round finds it as it was; a server puts it in its place.
        (folder / question.writes).with_suffix(".new").write_text(json.dumps(documents[question.writes]))
    return _since(start)


def _since(start: float) -> float:
    return (time.perf_counter() - start) * 1000


@contextmanager
def _without_collections() -> Iterator[None]:
    """Python looks for cycles whenever it has made many objects; a parsed file has none, and Node would not."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
