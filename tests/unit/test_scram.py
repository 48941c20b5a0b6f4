"""SCRAM verifiers. That PostgreSQL accepts them is shown in tests/integration/test_declared.py."""

from __future__ import annotations

import pytest

from ops.model.scram import matches, verifier


def test_a_verifier_matches_its_password_only() -> None:
    stored = verifier("correct horse", b"0123456789abcdef")
    assert stored.startswith("SCRAM-SHA-256$4096:")
    assert matches("correct horse", stored)
    assert not matches("correct horse ", stored)


@pytest.mark.parametrize("stored", [None, "", "md5d41d8cd98f00b204e9800998ecf8427e", "SCRAM-SHA-256$x"])
def test_anything_else_matches_nothing(stored: str | None) -> None:
    assert not matches("correct horse", stored)


def test_a_password_beyond_ascii_is_refused() -> None:
    with pytest.raises(ValueError, match="ASCII"):
        verifier("pässword", b"salt")
