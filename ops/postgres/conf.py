"""Lines of PostgreSQL's configuration files."""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(r"\s*([A-Za-z_][\w.]*)")


def render(settings: Mapping[str, str]) -> str:
    """One `name = 'value'` a line; the quoting is that of postgresql.conf."""
    return "".join(f"{name} = {_quote(value)}\n" for name, value in settings.items())


def name_in(line: str) -> str:
    """The name of the setting that a line sets, in lower case; empty for a comment or an empty line."""
    match = _NAME.match(line)
    return match[1].lower() if match else ""


def _quote(value: str) -> str:
    if "\n" in value or "\0" in value:
        raise ValueError(f"a setting stands on one line: {value!r}")
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
