"""What is measured of the fleet, in the order of the page."""

from __future__ import annotations

from ops.exporter.collectors.audits import AUDITS
from ops.exporter.collectors.backups import BACKUPS
from ops.exporter.collectors.certificates import CERTIFICATES
from ops.exporter.collectors.continuity import CONTINUITY
from ops.exporter.collectors.drills import DRILLS
from ops.exporter.collectors.etcd import ETCD
from ops.exporter.collectors.mirrors import MIRRORS
from ops.exporter.collectors.readiness import READINESS
from ops.exporter.collectors.redis import REDIS
from ops.exporter.collectors.repository import REPOSITORY
from ops.exporter.collectors.routers import ROUTERS
from ops.exporter.collectors.topology import TOPOLOGY
from ops.exporter.metric import Collector
from ops.exporter.watched import Watched

FLEET_COLLECTORS: tuple[Collector[Watched], ...] = (
    REPOSITORY,
    CONTINUITY,
    BACKUPS,
    DRILLS,
    AUDITS,
    MIRRORS,
    TOPOLOGY,
    READINESS,
    ETCD,
    ROUTERS,
    REDIS,
    CERTIFICATES,
)
