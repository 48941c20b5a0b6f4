"""The restore_command, put together in one place for members, restores and drills."""

from __future__ import annotations

# ops.wal.contract.FetchExit: what the client means by them is written there.
_ABSENT = 44
_STOP = 200


def restore_command(client: str, options: str = "") -> str:
    """What PostgreSQL's shell runs for each file. `client` runs ops/wal/client.py; both come quoted for a shell.

    1 tells PostgreSQL that there is no such file, at which a recovery ends and promotes. It is said only where the
    client has said so with a code that nothing else has: a Python that is missing, cannot find the client, or fails
    before its first line leaves with 127, 2 or 1, and that stops the recovery. Not so a standby, which asks its
    primary instead, and not the two files that a standby asks for when it is being promoted, its signal file gone:
    the first timeline has no history, and of a later one it has its own (docs/adr/0001-exit-codes.md).
    """
    words = " ".join(filter(None, (client, "fetch", options, "%f %p")))
    # A standby's shell begins in the data directory. 128 and more: a death by signal, or the client's own STOP.
    return (
        f"{words}; code=$?; case $code in {_ABSENT}) exit 1;; 0|12[89]|1[3-9]?|2??) exit $code;; esac; "
        f"test -e standby.signal && exit 1; "
        f"case %f in 00000001.history) exit 1;; *.history) test -e pg_wal/%f && exit 1;; esac; exit {_STOP}"
    )
