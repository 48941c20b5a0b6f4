"""What is measured on a database host, in the order of the page."""

from __future__ import annotations

from ops.exporter.collectors.activity import ACTIVITY
from ops.exporter.collectors.application import APPLICATION
from ops.exporter.collectors.archiver import ARCHIVER
from ops.exporter.collectors.databases import DATABASES
from ops.exporter.collectors.pgbouncer import PGBOUNCER
from ops.exporter.collectors.postgres import POSTGRES
from ops.exporter.collectors.promises import PROMISES
from ops.exporter.collectors.replication import REPLICATION
from ops.exporter.collectors.schedules import SCHEDULES
from ops.exporter.collectors.sequences import SEQUENCES
from ops.exporter.collectors.sizes import SIZES
from ops.exporter.collectors.slots import SLOTS
from ops.exporter.collectors.statements import STATEMENTS
from ops.exporter.collectors.timescaledb import TIMESCALEDB
from ops.exporter.host import Host
from ops.exporter.metric import Collector

HOST_COLLECTORS: tuple[Collector[Host], ...] = (
    ARCHIVER,
    POSTGRES,
    REPLICATION,
    PROMISES,
    SLOTS,
    ACTIVITY,
    STATEMENTS,
    DATABASES,
    SIZES,
    SEQUENCES,
    PGBOUNCER,
    APPLICATION,
    TIMESCALEDB,
    SCHEDULES,
)
