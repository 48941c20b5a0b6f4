"""Certificates as they are shown on the wire: a renewed file that nobody has read is no renewal."""

from __future__ import annotations

from collections.abc import Iterator

from ops.exporter.metric import Collector, Sample, gauge
from ops.exporter.watched import Watched
from ops.model.readiness import Certificate

_SHOWN = ("service", "target", "instance")

EXPIRY = gauge(
    "ops_certificate_expiry_timestamp_seconds", "When the certificate expires that a service shows.", *_SHOWN
)
UNREADABLE = gauge("ops_certificate_unreadable", "A service whose certificate could not be seen; always 1.", *_SHOWN)


def read(watched: Watched) -> Iterator[Sample]:
    shown = [certificate for snapshot in watched.snapshots() for certificate in snapshot.certificates]
    shown += [certificate for snapshot in watched.redis_snapshots() for certificate in snapshot.certificates]
    for certificate in shown:
        yield _sample(certificate, watched)


def _sample(certificate: Certificate, watched: Watched) -> Sample:
    labels = (certificate.service, certificate.target, watched.host_at(certificate.target))
    return UNREADABLE(1, *labels) if certificate.expires is None else EXPIRY(certificate.expires, *labels)


CERTIFICATES = Collector("certificates", (EXPIRY, UNREADABLE), read, every=60, limit=120)
