"""The site's certificate authority and its 90-day leaf certificates.

They live in one folder on the controller, outside the repository: `ca.key` is the secret that the whole site rests
on. A leaf is made again when a third of its life is left, or when what it should say has changed; otherwise the same
bytes are handed out, so that a second deploy changes nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ops.errors import OpsError

CA_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=90)
RENEW_BEFORE = LEAF_LIFE / 3
_BACKDATE = timedelta(hours=1)  # hosts whose clocks are a little behind must not refuse a new certificate


@dataclass(frozen=True)
class Leaf:
    """What a certificate is for: `name` names its files, `common_name` is whom PostgreSQL's cert method sees.

    `server` and `client` say which ends of a connection it may be shown at.
    """

    name: str
    common_name: str
    dns: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    server: bool = False
    client: bool = False


@dataclass(frozen=True)
class Material:
    """PEM texts. `key` is secret."""

    certificate: str
    key: str


class Authority:
    """The certificate authority in `folder`, made at first use."""

    def __init__(self, folder: Path, site: str) -> None:
        self._folder = folder.expanduser()
        self._site = site
        self._certificate, self._key = self._load_or_create()

    def issue(self, leaf: Leaf, *, now: datetime | None = None) -> Material:
        """The material for `leaf`: the existing one while it is good, otherwise a new one."""
        now = now or datetime.now(UTC)
        certificate_file, key_file = self._folder / f"{leaf.name}.crt", self._folder / f"{leaf.name}.key"
        if not self._is_good(certificate_file, key_file, leaf, now):
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = _sign_leaf(leaf, key, self._certificate, self._key, now)
            _write(key_file, _key_pem(key))
            _write(certificate_file, certificate.public_bytes(serialization.Encoding.PEM))
        return Material(certificate_file.read_text(), key_file.read_text())

    @property
    def ca(self) -> str:
        """The authority's own certificate, PEM."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def expires(self) -> datetime:
        """When the authority's own certificate does."""
        return self._certificate.not_valid_after_utc

    def _load_or_create(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        certificate_file, key_file = self._folder / "ca.crt", self._folder / "ca.key"
        if key_file.exists() and certificate_file.exists():
            return x509.load_pem_x509_certificate(certificate_file.read_bytes()), _load_key(key_file)
        if key_file.exists() or certificate_file.exists():
            raise OpsError(
                f"{self._folder} holds only one of ca.key and ca.crt",
                hint="Restore the other one from your copy. A new CA would cut every host off.",
            )
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _self_sign(f"pend-ops {self._site} CA", key, datetime.now(UTC))
        _write(key_file, _key_pem(key))
        _write(certificate_file, certificate.public_bytes(serialization.Encoding.PEM))
        return certificate, key

    def _is_good(self, certificate_file: Path, key_file: Path, leaf: Leaf, now: datetime) -> bool:
        if not certificate_file.exists() or not key_file.exists():
            return False
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        try:
            certificate.verify_directly_issued_by(self._certificate)
        except Exception:  # whatever is wrong with it, the remedy is a new one
            return False
        wanted = _extensions(leaf)
        found = [(extension.value, extension.critical) for extension in certificate.extensions]
        return (
            certificate.subject == _subject(leaf.common_name)
            and certificate.public_key() == _load_key(key_file).public_key()  # a killed run leaves the halves of two
            and all(pair in found for pair in wanted)
            and now < certificate.not_valid_after_utc - RENEW_BEFORE
        )


def _subject(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _extensions(leaf: Leaf) -> list[tuple[x509.ExtensionType, bool]]:
    usages = [ExtendedKeyUsageOID.SERVER_AUTH] * leaf.server + [ExtendedKeyUsageOID.CLIENT_AUTH] * leaf.client
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in leaf.dns]
    names += [x509.IPAddress(ip_address(address)) for address in leaf.addresses]
    found: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.ExtendedKeyUsage(usages), False),
    ]
    if names:
        found.append((x509.SubjectAlternativeName(names), False))
    return found


def _sign_leaf(
    leaf: Leaf,
    key: ec.EllipticCurvePrivateKey,
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.Certificate:
    builder = _builder(_subject(leaf.common_name), ca.subject, key, now, LEAF_LIFE)
    for extension, critical in _extensions(leaf):
        builder = builder.add_extension(extension, critical)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    return builder.add_extension(identifier, critical=False).sign(ca_key, hashes.SHA256())


def _self_sign(name: str, key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    usage = x509.KeyUsage(
        key_cert_sign=True,
        crl_sign=True,
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        _builder(_subject(name), _subject(name), key, now, CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + life)
    )


def _load_key(file: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise OpsError(f"{file} is not a key that this program made", hint="Move it away or name another folder.")
    return key


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(file: Path, content: bytes) -> None:
    """Whole or not at all, and readable by its owner only."""
    temporary = file.with_name(f"{file.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
    temporary.replace(file)


def host_leaf(purpose: str, host: str, address: IPv4Address, *, client: bool = False) -> Leaf:
    """A server certificate of `host` for one service on it, good under its name, its address and loopback."""
    return Leaf(
        name=f"{host}-{purpose}",
        common_name=host,
        dns=(host, "localhost"),
        addresses=(str(address), "127.0.0.1"),
        server=True,
        client=client,
    )
