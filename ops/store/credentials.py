"""The credentials file of an S3 store: an ini file as AWS tools share it, which only its owner may read."""

from __future__ import annotations

import configparser
from dataclasses import dataclass, field
from pathlib import Path

from ops.errors import UsageError
from ops.store.private import read_private


@dataclass(frozen=True)
class Credentials:
    """What signs our requests. The secrets stay out of repr, and so out of tracebacks and logs."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

    @classmethod
    def read(cls, path: Path, profile: str = "default") -> Credentials:
        """From the section `profile`; UsageError for a file that is missing, open to others, or not of that form."""
        hint = "The deploy writes it: mode 0400, owned by the user that PostgreSQL runs as."
        text = read_private(path, "credentials file", hint)
        # No interpolation: a secret may contain a percent sign. The parser's own message quotes the line that
        # it did not understand, which may be the secret, so it goes nowhere.
        parser = configparser.ConfigParser(interpolation=None, default_section="")
        try:
            parser.read_string(text)
            section = parser[profile]
            access_key, secret_key = section["aws_access_key_id"], section["aws_secret_access_key"]
        except (configparser.Error, KeyError):
            raise UsageError(
                f"the credentials file {path} is not of the expected form",
                detail=f"expected a section [{profile}] with aws_access_key_id and aws_secret_access_key",
                hint=hint,
            ) from None
        return cls(access_key, secret_key, section.get("aws_session_token"))
