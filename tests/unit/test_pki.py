"""The certificate authority: the same bytes while a leaf is good, a new leaf when it is not."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from ops.deploys.pki import LEAF_LIFE, Authority, Leaf, host_leaf
from ops.errors import OpsError

SERVER = host_leaf("postgres", "pg1", IPv4Address("10.0.0.1"))


def test_a_second_deploy_gets_the_same_certificate(tmp_path: Path) -> None:
    assert Authority(tmp_path, "t").issue(SERVER) == Authority(tmp_path, "t").issue(SERVER)


def test_a_leaf_is_renewed_when_a_third_of_its_life_is_left(tmp_path: Path) -> None:
    authority, now = Authority(tmp_path, "t"), datetime.now(UTC)
    first = authority.issue(SERVER, now=now)
    assert authority.issue(SERVER, now=now + LEAF_LIFE * 0.6) == first
    assert authority.issue(SERVER, now=now + LEAF_LIFE * 0.7) != first


def test_a_leaf_is_renewed_when_the_host_moved(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "t")
    moved = host_leaf("postgres", "pg1", IPv4Address("10.0.0.2"))
    assert authority.issue(SERVER) != authority.issue(moved)


def test_a_leaf_of_another_authority_is_replaced(tmp_path: Path) -> None:
    first = Authority(tmp_path / "a", "t").issue(SERVER)
    authority = Authority(tmp_path / "b", "t")
    (tmp_path / "b" / "pg1-postgres.crt").write_text(first.certificate)
    (tmp_path / "b" / "pg1-postgres.key").write_text(first.key)
    assert authority.issue(SERVER) != first


def test_certificates_say_what_they_are_for(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "t")
    ca = x509.load_pem_x509_certificate(authority.ca.encode())
    server = x509.load_pem_x509_certificate(authority.issue(SERVER).certificate.encode())
    user = x509.load_pem_x509_certificate(
        authority.issue(Leaf("pg1-rewind", "rewind", client=True)).certificate.encode()
    )
    server.verify_directly_issued_by(ca)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["pg1", "localhost"]
    usage = user.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert user.subject.rfc4514_string() == "CN=rewind"
    assert server.not_valid_after_utc - datetime.now(UTC) <= timedelta(days=90)


def test_keys_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    Authority(tmp_path / "pki", "t").issue(SERVER)
    assert stat.S_IMODE((tmp_path / "pki").stat().st_mode) == 0o700
    for key in (tmp_path / "pki").glob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_lost_ca_key_never_leads_to_a_new_ca(tmp_path: Path) -> None:
    Authority(tmp_path, "t")
    (tmp_path / "ca.key").unlink()
    with pytest.raises(OpsError, match=r"only one of ca\.key and ca\.crt"):
        Authority(tmp_path, "t")


def test_a_certificate_beside_another_key_is_replaced(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "t")
    broken = authority.issue(SERVER)
    (tmp_path / "pg1-postgres.key").write_text(authority.issue(Leaf("other", "other", client=True)).key)
    assert authority.issue(SERVER).certificate != broken.certificate
