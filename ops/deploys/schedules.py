"""Backups, and what looks after them and after the application's database: systemd's timers on every member of a
cluster. Which of them does the work they agree upon when it is due (ops/backup/schedule.py)."""

from __future__ import annotations

from ops.deploys.operations import config_file, service, stopped
from ops.deploys.platform import OPS
from ops.deploys.site import Host, section
from ops.model.jobs import JOBS, timer_of


@section("Schedules")
def schedules(this: Host) -> None:
    """One timer a job; a job that the inventory gives no time has none."""
    if not this.cluster:
        return
    chosen = this.inventory.schedules(this.cluster)
    work = "/etc/systemd/system/ops-scheduled@.service"
    config_file("ops/ops-scheduled@.service.j2", work, ops=OPS)
    for job in JOBS:
        unit = timer_of(job)
        if when := chosen.get(job):
            config_file("ops/ops-scheduled.timer.j2", f"/etc/systemd/system/{unit}", job=job, when=when)
            service(unit, f"/etc/systemd/system/{unit}", work)
        else:
            stopped(name=f"Stop {unit}", unit=unit)
