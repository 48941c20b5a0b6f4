"""Errors that a person can act on, and the exit codes that a program can.

Every error of ours is an `OpsError`: what happened (message), what was seen (detail), and the safe thing
to do next (hint), in the manner of PostgreSQL. `ops.cli` alone turns them into output and an exit code.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every `ops` command except the two WAL commands (docs/adr/0001-exit-codes.md)."""

    OK = 0  # done, or healthy
    NO = 1  # the check or the drill says no
    USAGE = 2  # the command line or a configuration file is wrong
    UNKNOWN = 3  # could not find out: storage or a server is unreachable


class OpsError(Exception):
    """The base of all errors of ours. `exit_code` is what the command exits with."""

    exit_code = Exit.NO

    def __init__(self, message: str, *, detail: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint
        for text in (detail, hint):
            if text:
                self.add_note(text)  # so that a traceback, a failed test's above all, says it too

    def as_dict(self) -> dict[str, str | int | None]:
        """The error as `--json` prints it."""
        return {
            "error": self.message,
            "detail": self.detail,
            "hint": self.hint,
            "exit_code": int(self.exit_code),
        }


class UsageError(OpsError):
    """An argument or a configuration file is wrong; nothing was started."""

    exit_code = Exit.USAGE


class Unreachable(OpsError):
    """Storage or a server did not answer, or refused us: the question stays open."""

    exit_code = Exit.UNKNOWN
