"""Secrets come from the source that the inventory chose, and say how to provide what is missing."""

from __future__ import annotations

import stat
from pathlib import Path

import pyrage
import pytest

from ops.config import validate
from ops.deploys.secrets import Secrets
from ops.deploys.settings.site import SecretsSource
from ops.errors import OpsError, UsageError


def test_generated_secrets_are_made_once_and_kept_private(tmp_path: Path) -> None:
    source = SecretsSource(source="generated", file=tmp_path / "secrets.toml")
    first = Secrets(source).get("role_pend_app")
    assert len(first) >= 24
    assert Secrets(source).get("role_pend_app") == first
    assert Secrets(source).get("other") != first
    assert Secrets(source).get("role_pend_app") == first, "a new secret keeps the old ones"
    assert stat.S_IMODE((tmp_path / "secrets.toml").stat().st_mode) == 0o600


def test_an_age_file_is_decrypted_with_its_identity(tmp_path: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "id").write_text(f"# a key\n{identity}\n")
    (tmp_path / "s.age").write_bytes(pyrage.encrypt(b'role_pend_app = "open sesame"\n', [identity.to_public()]))
    secrets = Secrets(SecretsSource(source="age", file=tmp_path / "s.age", identity=tmp_path / "id"))
    assert secrets.get("role_pend_app") == "open sesame"
    with pytest.raises(OpsError, match="no secret 'role_pend_ap'") as caught:
        secrets.get("role_pend_ap")
    assert "role_pend_app" in (caught.value.hint or "")
    assert "sesame" not in str(caught.value.as_dict())


def test_another_identity_cannot_open_an_age_file(tmp_path: Path) -> None:
    owner, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    (tmp_path / "id").write_text(str(other))
    (tmp_path / "s.age").write_bytes(pyrage.encrypt(b'a = "b"', [owner.to_public()]))
    with pytest.raises(OpsError, match="cannot decrypt"):
        Secrets(SecretsSource(source="age", file=tmp_path / "s.age", identity=tmp_path / "id")).get("a")


def test_the_environment_is_asked_by_its_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEND_ROLE_PEND_APP", "from here")
    secrets = Secrets(SecretsSource(source="environment"))
    assert secrets.get("role_pend_app") == "from here"
    with pytest.raises(OpsError, match="PEND_OTHER"):
        secrets.get("other")


def test_a_command_s_output_is_never_quoted_in_an_error() -> None:
    secrets = Secrets(SecretsSource(source="command", command=["echo", "hunter2 is not toml"]))
    with pytest.raises(OpsError) as caught:
        secrets.get("a")
    assert "hunter2" not in str(caught.value.as_dict())
    assert caught.value.__cause__ is None


def test_an_incomplete_source_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        validate(SecretsSource, {"source": "age", "file": "x"}, "all.py: site")
    assert "also needs identity" in (caught.value.detail or "")
