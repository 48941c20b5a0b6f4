"""The restore_command, put together in one place for members, restores and drills."""

from __future__ import annotations

# ops.wal.contract.FetchExit.STOP: above 125, at which a recovery stops instead of taking it for the end of the WAL.
_STOP = 200
# Python's exit code where it cannot open the program that it is to run. No answer of the client's has it.
_NO_PROGRAM = 2


def restore_command(client: str, options: str = "") -> str:
    """What PostgreSQL's shell runs for each file. `client` runs ops/wal/client.py; both come quoted for a shell.

    Where the client is missing or unreadable, Python exits with 2, which means "there is no such file": a recovery
    would end there, and promote. A Python that is missing and a death by signal are above 125 by themselves.
    """
    words = " ".join(filter(None, (client, "fetch", options, "%f %p")))
    return f"{words}; code=$?; test $code -ne {_NO_PROGRAM} || exit {_STOP}; exit $code"
