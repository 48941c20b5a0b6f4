"""What is done by schedule on this host, by systemd's word."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from ops.backup.schedule import Timer, timers
from ops.exporter.host import Host
from ops.exporter.metric import Collector, Sample, gauge

ACTIVE = gauge("ops_schedule_active", "Whether the timer of a scheduled job runs.", "schedule")
LAST_RUN = gauge("ops_schedule_last_run_timestamp_seconds", "When it last called the job here.", "schedule")
LAST_FAILED = gauge("ops_schedule_last_failed", "Whether that run failed; absent while it goes on.", "schedule")


def read(host: Host) -> Iterator[Sample]:
    """Jobs that have a timer, and those that ought to have one."""
    for timer in timers():
        if timer.calendar or timer.job in host.cluster.schedules:
            yield from _samples(timer)


def _samples(timer: Timer) -> Iterator[Sample]:
    yield ACTIVE(timer.active, timer.job)
    if (last := _moment(timer.last)) is not None:
        yield LAST_RUN(last, timer.job)
        if timer.state != "running":
            yield LAST_FAILED(timer.state != "done", timer.job)


def _moment(text: str) -> datetime | None:
    """What systemd means by `Sun 2026-11-22 02:00:01 UTC`, or by never. It speaks in the host's own time zone."""
    if text == "never":
        return None
    _, day, clock, zone = text.split()
    local = datetime.fromisoformat(f"{day} {clock}")
    return local.replace(tzinfo=UTC) if zone == "UTC" else local.astimezone()


SCHEDULES = Collector("schedules", (ACTIVE, LAST_RUN, LAST_FAILED), read, every=30)
