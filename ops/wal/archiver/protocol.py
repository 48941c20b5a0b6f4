"""What client.py and the service say to each other over the Unix socket.

    request   fields separated by NUL, until the client shuts down its side:
              "1" (version), verb, the client's directory, then the arguments as PostgreSQL gave them
    answer    any number of empty lines, one a second, as signs of life; then
              exit code NUL file NUL message NUL LF

`file` is what the client has to move to its destination, empty but for a fetch that succeeded. "-" in place of the
exit code tells the client to do the work itself, without the service.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

VERSION = "1"
STANDALONE = "-"
LONGEST_REQUEST = 64 * 1024
ALIVE = b"\n"
ALIVE_EVERY = 1.0


class Malformed(ValueError):
    """Not a request that this version of the service understands."""


@dataclass(frozen=True)
class Request:
    """What a client asks for."""

    verb: str
    here: Path
    arguments: tuple[str, ...]

    @classmethod
    def decode(cls, received: bytes) -> Request:
        fields = os.fsdecode(received).split("\0")
        if len(fields) < 3 or fields[0] != VERSION or not Path(fields[2]).is_absolute():
            raise Malformed("not a request of version 1")
        return cls(fields[1], Path(fields[2]), tuple(fields[3:]))

    def encode(self) -> bytes:
        return os.fsencode("\0".join((VERSION, self.verb, str(self.here), *self.arguments)))


@dataclass(frozen=True)
class Reply:
    """What the client does then: which code it exits with, which file it moves first, what it says on stderr."""

    code: int | None  # None: it does the work itself
    message: str = ""
    file: Path | None = None

    def encode(self) -> bytes:
        code = STANDALONE if self.code is None else str(int(self.code))
        message = self.message.replace("\0", "")
        return os.fsencode(f"{code}\0{self.file or ''}\0{message}\0\n")

    @classmethod
    def decode(cls, received: bytes) -> Reply:
        """ValueError for an answer that is cut off."""
        text = os.fsdecode(received.lstrip(ALIVE))
        if not text.endswith("\0\n"):
            raise ValueError("the answer is cut off")
        code, file, message = text[:-2].split("\0")
        return cls(None if code == STANDALONE else int(code), message, Path(file) if file else None)


def options(arguments: tuple[str, ...], *known: str) -> tuple[list[str], dict[str, str]] | None:
    """Positional arguments and `--name value` options; None where there is anything that the service does not know."""
    positional: list[str] = []
    chosen: dict[str, str] = {}
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-"):
            positional.append(argument)
            continue
        name, equals, value = argument.partition("=")
        value = value if equals else next(rest, "")
        if name not in known or not value:
            return None
        chosen[name] = value
    return positional, chosen
