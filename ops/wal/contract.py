"""What `ops wal push` and `ops wal fetch` tell PostgreSQL by their exit codes (docs/adr/0001-exit-codes.md).

PostgreSQL reads them so (src/backend/archive/shell_archive.c, src/backend/access/transam/xlogarchive.c):

    archive_command   0 archived; 1-125 failed, counted, tried again; above 125 the archiver process restarts,
                      and nothing is counted
    restore_command   0 here it is; 1-125 there is no such file, which ends a recovery; above 125 recovery
                      stops with FATAL, and the server with it; 143 (128 + SIGTERM) is taken for a shutdown

What PostgreSQL is given as restore_command passes on only what the client can have meant (ops/model/command.py).
"""

from __future__ import annotations

from enum import IntEnum

from ops.errors import OpsError, Unreachable, UsageError


class PushExit(IntEnum):
    """Exit codes of `ops wal push`; the first four mean what they mean elsewhere in `ops`."""

    STORED = 0
    REFUSED = 1  # foreign, damaged, or another file of that name is stored: trying again changes nothing
    USAGE = 2
    UNREACHABLE = 3  # trying again is right, and PostgreSQL does
    FAULT = 4  # an error of `ops` itself, or interrupted


class FetchExit(IntEnum):
    """Exit codes of `ops wal fetch`."""

    FETCHED = 0
    # For PostgreSQL all of 1 to 125 say so. Not 1, by which a Python leaves that cannot even begin; ABSENT of
    # ops/model/command.py.
    ABSENT = 44
    # Above 125, and free of meaning: 126 and 127 are the shell's, 129 to 192 are deaths by signal.
    STOP = 200


def push_exit(error: BaseException) -> PushExit:
    """The exit code for what kept a push from storing its file."""
    if isinstance(error, UsageError):
        return PushExit.USAGE
    if isinstance(error, Unreachable):
        return PushExit.UNREACHABLE
    return PushExit.REFUSED if isinstance(error, OpsError) else PushExit.FAULT


def fetch_exit(error: BaseException, *, standby: bool, own_history: bool) -> FetchExit:
    """The exit code for what kept a fetch from an answer.

    A recovery must stop: whatever it is told to be absent, it takes for the end of the WAL, and promotes. A
    standby does not end its recovery by that; it turns to its primary and asks again, whereas STOP kills it.
    `own_history`: it asks for a timeline history of which it has a copy, to which it turns when told that there
    is no other. That is the last thing a server asks for while it is promoted, after its standby.signal is gone.
    """
    # Imported here, so that the codes themselves need nothing that a broken installation could lack.
    from ops.store.codec import Damaged, Foreign  # noqa: PLC0415

    if (standby or own_history) and isinstance(error, Unreachable | Damaged | Foreign | OSError):
        return FetchExit.ABSENT
    return FetchExit.STOP
