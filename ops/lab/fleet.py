"""Bring the lab up, look at it, and take it down without a trace."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psutil

from ops.errors import OpsError, Unreachable
from ops.lab import cgroups, debs, disk, image, machine, mounts, network, preflight, ssh
from ops.lab.commands import Report, quiet
from ops.lab.disk import Disk
from ops.lab.inventory import LabHost
from ops.lab.lock import exclusive
from ops.lab.machine import Running
from ops.lab.paths import Lab, veth

BOOT_DEADLINE = 60.0


class State(StrEnum):
    """How a host is."""

    RUNNING = "running"  # it runs and lets us log in
    UNREACHABLE = "unreachable"  # it runs and does not let us in
    ORPHANED = "orphaned"  # its systemd-nspawn was killed, what ran inside still does: `up` boots it anew
    STOPPED = "stopped"  # it has a disk and does not run
    ABSENT = "absent"  # it was never made


@dataclass(frozen=True)
class HostStatus:
    """What was found out about a host. `pid` and `uptime` (seconds) are of its systemd-nspawn process."""

    host: LabHost
    state: State
    pid: int | None = None
    uptime: float | None = None
    link: str | None = None
    seen: str | None = None


# -- up ---------------------------------------------------------------------------------------------------------


def up(lab: Lab, hosts: Sequence[LabHost], report: Report = quiet) -> None:
    """Bring about that every host runs and lets us log in, whatever state an earlier run left behind.

    Disks that exist are kept. OpsError names the hosts that did not come up.
    """
    disks = disk.existing(lab)
    fresh = [host for host in hosts if host.name not in disks]
    preflight.check(lab, len(hosts), new_hosts=bool(fresh))
    with exclusive(lab, "ops lab up"):
        _refuse_changed_inventory(hosts, disk.existing(lab))
        _make_directories(lab)
        network.ensure(lab)
        _make_disks(lab, hosts, report)
        _write_ssh_files(lab, hosts)
        disks, running = disk.existing(lab), machine.running(lab)

        def boot(host: LabHost) -> None:
            word = _boot(lab, disks[host.name], running.get(host.name), hosts)
            ssh.wait(lab, host, deadline=BOOT_DEADLINE)
            report(f"{host.name} {word}, {host.address}")

        _for_all(hosts, boot, lab)


def _refuse_changed_inventory(hosts: Sequence[LabHost], disks: dict[str, Disk]) -> None:
    """Hosts may be added at the end; a host that was removed or moved would share its address with another."""
    addresses = {host.name: host.address for host in hosts}
    changed = [
        f"{made.host} has {made.address}, the inventory says {addresses.get(made.host, 'that it is gone')}"
        for made in disks.values()
        if addresses.get(made.host) != made.address
    ]
    if changed:
        raise OpsError(
            "the inventory changed under the lab", detail="\n".join(changed), hint="run: ops lab down, then ops lab up"
        )


def _make_directories(lab: Lab) -> None:
    for directory in (lab.hosts, lab.logs, lab.ssh):
        directory.mkdir(exist_ok=True, mode=0o700)


def _make_disks(lab: Lab, hosts: Sequence[LabHost], report: Report) -> None:
    disks = disk.existing(lab)
    fresh = [host for host in hosts if host.name not in disks]
    if not fresh:
        return
    ssh.make_key(lab.ssh_key, lab.name)
    base = image.ensure(lab, report)
    debs.collect(lab, [lab.hosts / name / "upper" for name in disks])
    lower, running = (debs.newest(lab), base), machine.running(lab)
    for host in fresh:
        machine.stop(lab, host.name, running.get(host.name))  # it lost its disk under way
        disk.create(lab, host, hosts, lower)
    used = {layer for made in disk.existing(lab).values() for layer in made.lower}
    debs.remove_unused(lab, used)
    image.remove_unused(lab, used)
    report(f"new disks for {', '.join(host.name for host in fresh)}")


def _write_ssh_files(lab: Lab, hosts: Sequence[LabHost]) -> None:
    _replace(lab.known_hosts, ssh.known_hosts({host: disk.public_key(lab, host.name) for host in hosts}))
    _replace(lab.ssh_config, ssh.config(lab, hosts))


def _replace(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.replace(path)


def _boot(lab: Lab, its_disk: Disk, running: Running | None, hosts: Sequence[LabHost]) -> str:
    """Make a host run and be connected; returns what was done in a word or two."""
    if running is None:
        machine.start(lab, its_disk, hosts)
        return "booted"
    was_cut = network.is_cut(lab, its_disk.host)
    if was_cut:
        network.plug(lab, its_disk.host)
    if mounts.is_mounted(lab.root(its_disk.host)):
        disk.introduce(lab, its_disk.host, hosts)
    return "connected again" if was_cut else "runs"


def _for_all(hosts: Sequence[LabHost], act: Callable[[LabHost], None], lab: Lab) -> None:
    """Act on all hosts at once. OpsError names every host that failed, and what its console said last."""

    def attempt(host: LabHost) -> OpsError | None:
        try:
            act(host)
        except OpsError as error:
            return error
        return None

    with ThreadPoolExecutor(max_workers=len(hosts)) as pool:
        failed = [(host, error) for host, error in zip(hosts, pool.map(attempt, hosts), strict=True) if error]
    if failed:
        raise OpsError(
            f"{len(failed)} of {len(hosts)} hosts did not come up: {', '.join(host.name for host, _ in failed)}",
            detail="\n".join(
                f"{error.message}\n{error.detail or ''}\nconsole of {host.name}:\n{machine.last_words(lab, host.name)}"
                for host, error in failed
            ),
            hint=f"ops lab logs {failed[0][0].name} shows the rest; ops lab up tries again",
        )


# -- status -----------------------------------------------------------------------------------------------------


def status(lab: Lab, hosts: Sequence[LabHost]) -> list[HostStatus]:
    """How every host of the inventory is. Unreachable if that cannot be found out."""
    if os.geteuid() != 0:
        raise Unreachable("only root can see the state of the lab", hint="run the command as root (sudo)")
    disks, running, links = disk.existing(lab), machine.running(lab), network.links()

    def look(host: LabHost) -> HostStatus:
        found = running.get(host.name)
        if not found:
            left = State.ORPHANED if cgroups.pids(lab, host.name) else State.STOPPED
            return HostStatus(host, left if host.name in disks else State.ABSENT)
        link = links.get(veth(host.name), {}).get("operstate", "missing").lower()
        state, seen = State.RUNNING, None
        try:
            ssh.login(lab, host)
        except Unreachable as error:
            state, seen = State.UNREACHABLE, error.detail or error.message
        return HostStatus(host, state, found.pid, found.uptime, link, seen)

    with ThreadPoolExecutor(max_workers=len(hosts)) as pool:
        return list(pool.map(look, hosts))


# -- down -------------------------------------------------------------------------------------------------------


def down(lab: Lab, *, purge: bool = False, report: Report = quiet) -> None:
    """Leave no process, mount, link, rule, cgroup or file of the lab, whoever left it; the cache stays unless purged.

    Needs no record of an earlier run. OpsError names whatever could not be removed.
    """
    if os.geteuid() != 0:
        raise OpsError("only root can take the lab down", hint="run the command as root (sudo)")
    with exclusive(lab, "ops lab down"):
        ending = machine.processes(lab)
        left = _end_processes(lab, report)
        if not left:
            _collect_packages(lab, report, purge=purge)
            left = [_busy(point) for top in (lab.state, lab.cache) for point in mounts.unmount_below(top)]
            image.clear_unfinished(lab)
        left += network.remove(lab)
        left += [f"cgroup {path}" for path in cgroups.remove(lab)]
        if left:
            raise OpsError("some of the lab could not be removed", detail="\n".join(left), hint="run: ops lab down")
        if purge:
            shutil.rmtree(lab.cache, ignore_errors=True)
        psutil.wait_procs(ending, timeout=5)  # until init has reaped the last of them
        shutil.rmtree(lab.state)  # the lock file, which we hold, goes with it
        report("no process, mount, link, rule or file of the lab is left" + ("" if purge else f" but {lab.cache}"))


def _busy(point: Path) -> str:
    holders = ", ".join(mounts.holders(point))
    return f"mount {point}" + (f", in use by {holders}" if holders else "")


def _end_processes(lab: Lab, report: Report) -> list[str]:
    running = machine.running(lab)
    names = sorted({*running, *disk.names(lab)})
    left = [words for name in names for words in machine.stop(lab, name, running.get(name))]
    left += [f"process {pid}" for pid in sorted(cgroups.kill(lab))]
    if running and not left:
        report(f"ended {', '.join(sorted(running))}")
    return left


def _collect_packages(lab: Lab, report: Report, *, purge: bool) -> None:
    """Keep what hosts have downloaded, for the next ones. Hosts do not run any more."""
    if purge or not lab.cache.exists():
        return
    count = debs.collect(lab, [lab.hosts / name / "upper" for name in disk.names(lab)])
    debs.remove_unused(lab, set())
    if count:
        report(f"kept {count} new packages for the next hosts")
