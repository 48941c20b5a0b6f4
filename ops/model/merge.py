"""What would have to change in a nested configuration so that it says what is declared."""

from __future__ import annotations

from typing import Any


def difference(declared: dict[str, Any], actual: dict[str, Any], whole: tuple[str, ...] = ()) -> dict[str, Any]:
    """The smallest patch that makes `actual` agree with `declared`; empty where it does.

    Keys that are not declared are left alone, others may have put them there; but of the section at path `whole` the
    declaration is all, and what it does not name is removed (None). Scalars are compared as they are written, because
    Patroni keeps what it was given (`100` or `"100"`) and both mean the same to PostgreSQL.
    """
    patch: dict[str, Any] = {}
    for key, value in declared.items():
        present = actual.get(key)
        if isinstance(value, dict):
            there = present if isinstance(present, dict) else {}
            inner = difference(value, there, whole[1:] if whole[:1] == (key,) else ())
            if whole == (key,):
                inner |= dict.fromkeys(there.keys() - value.keys())
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
