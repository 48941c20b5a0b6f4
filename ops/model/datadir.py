"""Which files of a data directory belong in a base backup.

The list is PostgreSQL's own: what pg_basebackup leaves out (src/backend/backup/basebackup.c) and what the
chapter on low-level base backups says to leave out. Everything else is stored, whoever wrote it: a backup
that leaves out what it does not know is a backup that cannot be trusted. So Patroni's files are in it
(patroni.dynamic.json brings the cluster's settings back when etcd is lost too), and so are log files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Stored as empty directories: their contents are rebuilt at start, or belong to a running server only.
# Replication slots are left out because a restored server must not hold back WAL for somebody else's standby.
EMPTY = frozenset(
    {
        "pg_dynshmem",
        "pg_notify",
        "pg_replslot",
        "pg_serial",
        "pg_snapshots",
        "pg_stat_tmp",
        "pg_subtrans",
        "pg_wal",
    }
)
CONTROL_FILE = "global/pg_control"

_TOP_LEVEL = frozenset(
    {
        "backup_label",  # of an exclusive backup, or of the restore that this server came from
        "backup_label.old",
        "backup_manifest",
        "current_logfiles.tmp",
        "postgresql.auto.conf.tmp",
        "postmaster.opts",
        "postmaster.pid",
        # How a server recovers is decided when it is restored, not when it was backed up.
        "recovery.conf",
        "recovery.done",
        "recovery.signal",
        "standby.signal",
        "tablespace_map",
        "tablespace_map.old",
    }
)
_ANYWHERE = ("pgsql_tmp", "pg_internal.init")  # and what follows: both are prefixes
_TABLESPACE = re.compile(r"pg_tblspc/\d+")
_RELATIONS = re.compile(r"base/\d+|pg_tblspc/\d+/PG_[^/]+/\d+")
_TEMPORARY = re.compile(r"t\d+_\d+(_[a-z]+)?(\.\d+)?")
_RELATION = re.compile(r"(\d+)(?:_(?P<fork>[a-z]+))?(?:\.\d+)?")
_OWNED = re.compile(r"base|global|pg_[a-z]+")


def left_out(directory: str, names: Iterable[str], major: int) -> set[str]:
    """Those of `names`, all in `directory` (relative to the data directory, "" for itself), that are not stored.

    `major` is PostgreSQL's: after an upgrade a tablespace also holds the files of the version before.
    """
    names = set(names)
    if directory in EMPTY:
        return names
    out = {name for name in names if name.startswith(_ANYWHERE)}
    if not directory:
        out |= names & _TOP_LEVEL
    if _TABLESPACE.fullmatch(directory):
        out |= {name for name in names if not name.startswith(f"PG_{major}_")}
    if _RELATIONS.fullmatch(directory):
        out |= {name for name in names if _TEMPORARY.fullmatch(name)} | _unlogged(names)
    return out


def _unlogged(names: set[str]) -> set[str]:
    """All forks but the initial one of unlogged relations: recovery makes them anew from that."""
    matches = [match for name in names if (match := _RELATION.fullmatch(name))]
    unlogged = {match[1] for match in matches if match["fork"] == "init"}
    return {match.string for match in matches if match[1] in unlogged and match["fork"] != "init"}


def follows_link(path: str) -> bool:
    """Whether a directory that is a symbolic link at `path` is PostgreSQL's own, moved to another disk.

    Its contents are stored as if it were a plain directory. Other linked directories (a log directory, mostly)
    lead out of the database.
    """
    return _OWNED.fullmatch(path) is not None


def tablespace_map(tablespaces: dict[str, str]) -> str:
    """The file of that name for oid -> path: recovery makes the links in pg_tblspc anew from it.

    One line a tablespace; a line feed, carriage return or backslash in a path has a backslash before it
    (src/backend/access/transam/xlogbackup.c).
    """
    return "".join(f"{oid} " + re.sub(r"([\n\r\\])", r"\\\1", path) + "\n" for oid, path in tablespaces.items())
