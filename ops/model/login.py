"""Passwords of those who may see the status page: kept as scrypt verifiers, one `user:verifier` a line. Pure.

The controller makes the lines, the exporter reads them; neither needs more than the standard library.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping

# 16 MiB and some 50 ms for each attempt. They stand in each verifier, so that they may be raised later.
_COST, _BLOCK, _PARALLEL = 2**14, 8, 1
_MOST_MEMORY = 64 * 2**20
# Refused after as much work as any other.
_NOBODY = f"scrypt${_COST}${_BLOCK}${_PARALLEL}$bm9ib2R5$bm9ib2R5"
_VERIFIER = re.compile(r"scrypt\$(\d+)\$(\d+)\$(\d+)\$([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+)")


def verifier(password: str, salt: bytes) -> str:
    """What is kept instead of the password. The salt is to differ between users and sites, and need not be secret."""
    proof = _proof(password, salt, _COST, _BLOCK, _PARALLEL)
    return f"scrypt${_COST}${_BLOCK}${_PARALLEL}${b64encode(salt).decode()}${b64encode(proof).decode()}"


def parse(text: str) -> dict[str, str]:
    """User → verifier. ValueError, with the number of the line, for one that is not of this form."""
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        user, _, kept = line.strip().partition(":")
        if not user or not _VERIFIER.fullmatch(kept):
            raise ValueError(f"line {number} is not user:scrypt$…")
        found[user] = kept
    return found


def admits(users: Mapping[str, str], user: str, password: str) -> bool:
    """Whether that is the user's password. A user whom nobody knows takes as long to refuse as a wrong password."""
    kept = users.get(user)
    matched = _VERIFIER.fullmatch(kept or _NOBODY)
    assert matched is not None
    cost, block, parallel = (int(matched[group]) for group in (1, 2, 3))
    proof = _proof(password, b64decode(matched[4]), cost, block, parallel)
    return hmac.compare_digest(proof, b64decode(matched[5])) and kept is not None


def _proof(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=cost, r=block, p=parallel, maxmem=_MOST_MEMORY, dklen=32)
