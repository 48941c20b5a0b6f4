"""What would have to change in a nested configuration so that it says what is declared."""

from __future__ import annotations

from typing import Any


def difference(declared: dict[str, Any], actual: dict[str, Any]) -> dict[str, Any]:
    """The smallest patch that makes `actual` agree with `declared`; empty where it does.

    Keys that are not declared are left alone: others may have put them there. Scalars are compared as they are
    written, because Patroni keeps what it was given (`100` or `"100"`) and both mean the same to PostgreSQL.
    """
    patch: dict[str, Any] = {}
    for key, value in declared.items():
        present = actual.get(key)
        if isinstance(value, dict):
            inner = difference(value, present if isinstance(present, dict) else {})
            if inner or not isinstance(present, dict):
                patch[key] = inner
        elif key not in actual or not _same(value, present):
            patch[key] = value
    return patch


def flatten(patch: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """A nested patch as dotted keys, for people."""
    found: list[tuple[str, Any]] = []
    for key, value in patch.items():
        if isinstance(value, dict) and value:
            found += flatten(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value))
    return found


def _same(declared: Any, actual: Any) -> bool:
    if isinstance(declared, bool) or isinstance(actual, bool):
        return _switch(declared) == _switch(actual)
    return str(declared) == str(actual)


def _switch(value: Any) -> str:
    return {"true": "on", "false": "off"}.get(str(value).lower(), str(value).lower())
