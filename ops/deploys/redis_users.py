"""Who may do what in Redis and in Sentinel: one user for each purpose, with what it needs and no more.

A user's password is the secret `<group>_<user>`. The servers get only its digest; a password itself goes to whom must
show it, in a file that only they may read.
"""

from __future__ import annotations

import hashlib
import re

from ops.deploys.settings.redis import Redis
from ops.deploys.site import Host
from ops.errors import OpsError

NOBODY = "user default off resetchannels -@all"
# Rules as ACL LIST prints them, so that the two can be compared.
_ALL = "~* &* +@all"
# Everything but administration, and but what blocks or empties the whole server or reaches beyond its keys.
_APPLICATION = (
    "~* &* +@all -@admin -flushall -flushdb -keys -migrate -restore -restore-asking -sort -sort_ro -swapdb +role"
)
_EXPORTER = (
    "resetchannels -@all +ping +info +dbsize +client|setname +slowlog|get +slowlog|len +latency|latest "
    "+latency|histogram +cluster|info +cluster|nodes"
)
_SENTINEL = (
    "&* -@all +ping +info +role +publish +subscribe +multi +exec +slaveof +config|rewrite +client|setname "
    "+client|kill +script|kill"
)
_DISCOVERY = (
    "&* -@all +ping +subscribe +psubscribe +unsubscribe +punsubscribe +client|setname "
    "+sentinel|get-master-addr-by-name +sentinel|master +sentinel|masters +sentinel|replicas +sentinel|slaves "
    "+sentinel|sentinels"
)

SERVER = {
    "application": _APPLICATION,
    "exporter": _EXPORTER,
    "operator": _ALL,
    "replication": "resetchannels -@all +ping +psync +replconf",
    "sentinel": _SENTINEL,
}
SENTINEL = {
    "application": _DISCOVERY,
    "exporter": "resetchannels -@all +ping +info +client|setname +sentinel|masters +sentinel|master "
    "+sentinel|replicas +sentinel|slaves +sentinel|sentinels +sentinel|ckquorum",
    "operator": _ALL,
    "sentinel": "&* -@all +ping +publish +client|setname +sentinel|is-master-down-by-addr",
}
# The users that there is a purpose for, in each mode.
OF_MODE = {
    "standalone": ("application", "exporter", "operator"),
    "sentinel": ("application", "exporter", "operator", "replication", "sentinel"),
    "cluster": ("application", "exporter", "operator", "replication"),
}


def password(this: Host, group: str, user: str) -> str:
    """Of a user of a group's servers and Sentinels."""
    name = f"{group}_{user}"
    secret = this.secret(name)
    if not re.fullmatch(r"[!-~]+", secret) or set(secret) & set("\"'\\"):
        # Sentinel 7.0 writes it without quotes into its file, and then neither starts again nor keeps it out of the
        # journal: it prints the line that it cannot read.
        raise OpsError(
            f"the secret {name!r} has a character that Sentinel cannot keep",
            hint="Letters, digits and signs will do, but no quotes, backslashes, blanks or letters with accents.",
        )
    return secret


def server_users(this: Host, group: str, redis: Redis) -> list[str]:
    """The lines of the ACL file of a server."""
    return _lines(this, group, {user: SERVER[user] for user in OF_MODE[redis.mode]})


def sentinel_users(this: Host, group: str) -> list[str]:
    """The lines of the ACL file of a Sentinel."""
    return _lines(this, group, SENTINEL)


def _lines(this: Host, group: str, rules: dict[str, str]) -> list[str]:
    digests = {user: hashlib.sha256(password(this, group, user).encode()).hexdigest() for user in rules}
    return [NOBODY, *(f"user {user} on #{digests[user]} {rules[user]}" for user in sorted(rules))]
