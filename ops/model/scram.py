"""SCRAM-SHA-256 verifiers as PostgreSQL stores them (RFC 5802; src/common/scram-common.c).

They let a deploy see whether a role already has its password, and set one that never appears as plain text in
a statement, a log or pg_stat_activity.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

ITERATIONS = 4096
_VERIFIER = re.compile(r"SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):(.+)")


def verifier(password: str, salt: bytes, iterations: int = ITERATIONS) -> str:
    """The verifier of an ASCII password; ValueError for others, whose preparation (SASLprep) we leave to nobody."""
    if not password.isascii():
        raise ValueError("passwords of database roles are ASCII: other characters depend on each client's SASLprep")
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    encoded = (base64.b64encode(part).decode() for part in (salt, stored_key, server_key))
    return "SCRAM-SHA-256${}:{}${}:{}".format(iterations, *encoded)


def matches(password: str, stored: str | None) -> bool:
    """Whether `stored`, from pg_authid, is a verifier of `password`."""
    match = _VERIFIER.fullmatch(stored or "")
    if not match:
        return False
    iterations, salt = int(match[1]), base64.b64decode(match[2])
    return hmac.compare_digest(verifier(password, salt, iterations), stored or "")
