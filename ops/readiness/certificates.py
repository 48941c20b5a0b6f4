"""Certificates as they are shown on the wire: whom a file on a disk was renewed for, and never reloaded, is seen."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from ops.errors import OpsError, Unreachable
from ops.fleet import Cluster, Watch
from ops.model.readiness import Certificate
from ops.readiness.ask import DEADLINE, trouble

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # how PostgreSQL, and PgBouncer, are asked for TLS


@dataclass(frozen=True)
class Target:
    """Where a certificate is shown. `negotiated`: TLS begins after a question in PostgreSQL's protocol."""

    service: str
    address: str
    port: int
    negotiated: bool = False

    @property
    def name(self) -> str:
        return f"{self.address}:{self.port}"


def targets(watch: Iterable[Watch], owner: str, cluster: Cluster | None = None) -> tuple[Target, ...]:
    """What `owner`, a cluster or a Redis group, needs: its own, and for a cluster what all of them share."""
    wanted = (owner, "") if cluster else (owner,)
    found = [Target(one.service, one.address, one.port) for one in watch if one.cluster in wanted]
    for member in cluster.members.values() if cluster else ():
        found += [
            Target("postgresql", member.address, member.port, negotiated=True),
            Target("pgbouncer", member.address, member.pooler_port, negotiated=True),
        ]
    return tuple(found)


def expiry(target: Target) -> datetime:
    """When the certificate that is shown there expires; Unreachable where none is.

    Nothing is verified: one that has expired is what we came for.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((target.address, target.port), timeout=DEADLINE) as plain:
            if target.negotiated:
                plain.sendall(_SSL_REQUEST)
                if plain.recv(1) != b"S":
                    raise Unreachable("does not speak TLS")
            with context.wrap_socket(plain, server_hostname=target.address) as wrapped:
                shown = wrapped.getpeercert(binary_form=True)
    except OSError as error:
        raise Unreachable(getattr(error, "strerror", None) or str(error) or type(error).__name__) from error
    if not shown:
        raise Unreachable("shows no certificate")
    return x509.load_der_x509_certificate(shown).not_valid_after_utc


def certificates(answers: Iterable[tuple[Target, datetime | OpsError]]) -> tuple[Certificate, ...]:
    """What was found, by target."""
    return tuple(
        Certificate(target.service, target.name, None, trouble(answer))
        if isinstance(answer, OpsError)
        else Certificate(target.service, target.name, answer)
        for target, answer in answers
    )
