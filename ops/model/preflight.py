"""Whether a fleet is fit for a deploy: what its hosts showed and what its services need in, findings in words out.

A problem stops the deploy before its first change; a warning is only said. Each check is a function that reads the
whole fleet, so that what only shows in comparison (clocks, votes, zones) is found like everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Literal

from ops.model.packages import is_behind, satisfies

MIB = 1024**2
GIB = 1024**3

# `ID` and `VERSION_ID` of /etc/os-release -> its Python. Another system is supported by a line here, once the lab has
# run on it.
SYSTEMS = {"debian 12": "python3.11"}
# The heartbeat that drills measure by has a row a second. Were a new primary's clock further behind the old one's, the
# times of commits would run backwards past it, and "the last commit before 12:00:00" would have two answers.
CLOCK_LIMIT = 1.0
# Below this apt and a deploy's own files may not find room, whatever the host is for.
LEAST_ROOM = 1 * GIB
SYSTEM_MEMORY = 256 * MIB
# Leaves are made anew when a third of their 90 days is left; a CA is replaced by hand, which wants planning.
LEAF_WARNING = timedelta(days=30)
CA_WARNING = timedelta(days=365)


@dataclass(frozen=True)
class Need:
    """What one service asks of its host.

    `ports`: each with how the name of the unit that may hold it starts. `source`: the address that `packages` come
    from, where it is not one of apt's own, and `version` their pin. `optional_in`: the group that the host is left out
    of where the source does not answer, instead of stopping the deploy.
    """

    service: str
    packages: tuple[str, ...] = ()
    ports: dict[int, str] = field(default_factory=dict)
    data: str = "/var"
    room: int = 0
    memory: int = 0
    source: str = ""
    version: str = ""
    optional_in: str = ""

    def lacking(self, installed: dict[str, str]) -> list[str]:
        """The packages that are to be installed, or upgraded."""
        return [name for name in self.packages if not satisfies(installed.get(name), self.version)]


@dataclass(frozen=True)
class Clock:
    """A host's clock minus the controller's, in seconds, and how far that may be wrong: half the way there and back."""

    offset: float
    error: float


@dataclass(frozen=True)
class Disk:
    """The file system that a directory is on, or will be; bytes."""

    mount: str
    free: int


@dataclass(frozen=True)
class Listener:
    """A TCP port that somebody listens on; `unit` as systemd calls whoever it is."""

    port: int
    address: str
    unit: str
    program: str


@dataclass(frozen=True)
class Facts:
    """What one look at a host has shown. The defaults describe one that has nothing and is fit for anything.

    `machine`: its kernel and architecture, as Python's `sysconfig.get_platform` calls them.
    `etcd`: its member here says that there is a majority. `sources`, `own_sources`: address -> what went wrong with
    it, empty where it answers; asked only where packages are lacking.
    """

    system: str = next(iter(SYSTEMS))
    machine: str = "linux-x86_64"
    memory: int = 64 * GIB
    clock: Clock = Clock(0, 0)
    disks: dict[str, Disk] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    listeners: tuple[Listener, ...] = ()
    certificates: dict[str, datetime] = field(default_factory=dict)
    ca: str = ""
    etcd: Literal["absent", "healthy", "unhealthy"] = "absent"
    sources: dict[str, str] = field(default_factory=dict)
    own_sources: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fleet:
    """Everything that the checks read. `platform`: the controller's machine and Python; `unreachable`: host -> why;
    `zones`: failure domain -> its hosts."""

    now: datetime
    platform: str
    ca: str
    ca_expires: datetime
    needs: dict[str, tuple[Need, ...]]
    facts: dict[str, Facts]
    unreachable: dict[str, str] = field(default_factory=dict)
    etcd: tuple[str, ...] = ()
    clusters: dict[str, tuple[str, ...]] = field(default_factory=dict)
    zones: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def needed(self) -> Iterator[tuple[str, Facts, Need]]:
        """Every need of every host that was looked at."""
        for host, facts in self.facts.items():
            for need in self.needs.get(host, ()):
                yield host, facts, need


@dataclass(frozen=True)
class Finding:
    """What is wrong with a host (or the fleet), and what to do."""

    host: str
    what: str
    remedy: str
    is_problem: bool = True
    check: str = ""


@dataclass(frozen=True)
class Report:
    """`left_out`: host -> the group that a deploy leaves it out of."""

    findings: tuple[Finding, ...]
    left_out: dict[str, str]

    @property
    def problems(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.is_problem]

    @property
    def warnings(self) -> list[Finding]:
        return [finding for finding in self.findings if not finding.is_problem]


def judge(fleet: Fleet, ignore: Collection[str] = ()) -> Report:
    """All that is wrong. The problems of the checks named in `ignore` become warnings: where the deploy is the cure."""
    found = []
    for name, check in CHECKS.items():
        for finding in check(fleet):
            found.append(replace(finding, check=name, is_problem=finding.is_problem and name not in ignore))
    left_out = {host: need.optional_in for host, facts, need in fleet.needed() if _is_left_out(facts, need)}
    return Report(tuple(sorted(found, key=lambda finding: not finding.is_problem)), left_out)


def in_lines(findings: Iterable[Finding]) -> list[str]:
    """Host, what is wrong and, below, what to do; hosts that share a finding share its lines."""
    hosts: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        hosts.setdefault((finding.what, finding.remedy), []).append(finding.host)
    names = {key: ", ".join(dict.fromkeys(found)) for key, found in hosts.items()}
    width = max(map(len, names.values()), default=0)
    lines = []
    for (what, remedy), name in names.items():
        lines += [f"  {name.ljust(width)}  {what}", f"  {' ' * width}  → {remedy}"]
    return lines


def _reachable(fleet: Fleet) -> Iterator[Finding]:
    for host, why in fleet.unreachable.items():
        yield Finding(host, f"cannot be reached: {why}", "bring it back, or take it out of hosts.py if it is gone")


def _system(fleet: Fleet) -> Iterator[Finding]:
    for host, facts in fleet.facts.items():
        if facts.system not in SYSTEMS:
            yield Finding(host, f"runs {facts.system}", f"use one of: {', '.join(SYSTEMS)}")


def _platform(fleet: Fleet) -> Iterator[Finding]:
    """The Python environments of hosts are made on the controller, and hold what is compiled."""
    for host, facts in fleet.facts.items():
        has = f"{facts.machine} {SYSTEMS.get(facts.system, '')}"
        if facts.system in SYSTEMS and has != fleet.platform:
            remedy = f"deploy it from a controller with {has}: hosts get the Python environments of their controller"
            yield Finding(host, f"has {has}, and this controller {fleet.platform}", remedy)


def _memory(fleet: Fleet) -> Iterator[Finding]:
    for host, facts in fleet.facts.items():
        needs = [need for need in fleet.needs.get(host, ()) if need.memory]
        wanted = SYSTEM_MEMORY + sum(need.memory for need in needs)
        if wanted > facts.memory:
            services = ", ".join(f"{need.service} {need.memory // MIB}" for need in needs)
            what = f"has {facts.memory // MIB} MiB of memory, and needs {wanted // MIB}"
            what += f" (system {SYSTEM_MEMORY // MIB}, {services})"
            yield Finding(host, what, "give it more, or fewer services")


def _disk(fleet: Fleet) -> Iterator[Finding]:
    for host, facts in fleet.facts.items():
        rooms: dict[Disk, dict[str, int]] = {}
        for need in fleet.needs.get(host, ()):
            if disk := facts.disks.get(need.data):
                rooms.setdefault(disk, {})[need.service] = need.room
        for disk, services in rooms.items():
            wanted = max(LEAST_ROOM, sum(services.values()))
            if disk.free < wanted:
                asking = ", ".join(name for name, room in services.items() if room) or "any deploy"
                what = f"has {disk.free / GIB:.1f} GiB free on {disk.mount}; {asking} should have {wanted / GIB:.1f}"
                yield Finding(host, what, "make room, or mount a larger disk there", disk.free < LEAST_ROOM)


def _clocks(fleet: Fleet) -> Iterator[Finding]:
    """Each with each: while the two that are furthest apart are too far, the one further from the middle is named."""
    by_offset = sorted(fleet.facts, key=lambda host: fleet.facts[host].clock.offset)
    clocks = {host: fleet.facts[host].clock for host in by_offset}
    middle = clocks[by_offset[len(by_offset) // 2]].offset if by_offset else 0.0
    while len(by_offset) > 1:
        first, last = by_offset[0], by_offset[-1]
        apart = clocks[last].offset - clocks[first].offset
        if apart - clocks[last].error - clocks[first].error <= CLOCK_LIMIT:
            return
        is_last = clocks[last].offset - middle >= middle - clocks[first].offset
        wrong, other = (last, first) if is_last else (first, last)
        by_offset.remove(wrong)
        what = f"its clock is {apart:.1f} s {'ahead of' if is_last else 'behind'} that of {other}"
        yield Finding(wrong, what, "see to its time service: chronyc tracking, timedatectl")


def _ports(fleet: Fleet) -> Iterator[Finding]:
    for host, facts, need in fleet.needed():
        for listener in facts.listeners:
            unit = need.ports.get(listener.port)
            if unit is None or listener.unit.startswith(unit) or _is_loopback(listener.address):
                continue
            what = f"port {listener.port}, for {need.service}, is held by {listener.program} ({listener.unit})"
            yield Finding(host, what, "stop that program, or give one of the two another port")


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:  # * means all
        return False


def _packages(fleet: Fleet) -> Iterator[Finding]:
    for host, facts, need in fleet.needed():
        if need.source:
            yield from _own_source(host, facts, need)
    for host, facts in fleet.facts.items():
        failed = {address: why for address, why in facts.own_sources.items() if why}
        for address, why in failed.items():
            # One of several may be another's, and hold nothing that is needed here.
            what = f"apt's source {address} does not answer: {why}"
            remedy = "mend it, or the way to it: packages are to be installed on this host"
            yield Finding(host, what, remedy, len(failed) == len(facts.own_sources))


def _own_source(host: str, facts: Facts, need: Need) -> Iterator[Finding]:
    versions = dict.fromkeys(facts.packages[name] for name in need.packages if name in facts.packages)
    has, why = " and ".join(versions), facts.sources.get(need.source)
    if any(is_behind(need.version, version) for version in versions):
        what = f"has {need.service} {has}, newer than the pin {need.version}"
        yield Finding(host, what, "raise the pin: an extension that is in use cannot go back")
    elif _is_left_out(facts, need):
        remedy = f"left out of {need.optional_in} in this deploy; set the address of a source that this host can reach"
        yield Finding(host, f"{need.service}: {need.source} does not answer: {why}", remedy, is_problem=False)
    elif why and need.lacking(facts.packages):
        what = f"{need.service}: {need.source} does not answer: {why}"
        what += f"; installed is {has}, and not {need.version}" if has else ""
        yield Finding(host, what, "mend the source or the way to it, or pin the version that is installed")


def _is_left_out(facts: Facts, need: Need) -> bool:
    """Only a host that has nothing of it: what is installed serves somebody."""
    is_new = not any(name in facts.packages for name in need.packages)
    return bool(need.optional_in) and is_new and bool(facts.sources.get(need.source))


def _certificates(fleet: Fleet) -> Iterator[Finding]:
    for host, facts in fleet.facts.items():
        for file, expires in facts.certificates.items():
            if expires - fleet.now < LEAF_WARNING:
                yield Finding(host, f"{file} {_expiry(expires, fleet.now)}", "this deploy renews it", is_problem=False)
    if fleet.ca_expires - fleet.now < CA_WARNING:
        what = f"the site's CA {_expiry(fleet.ca_expires, fleet.now)}"
        is_over = fleet.ca_expires <= fleet.now
        yield Finding("controller", what, "plan a new CA: every host must trust both for a while", is_over)


def _expiry(expires: datetime, now: datetime) -> str:
    days = abs((expires - now).days)
    return f"expired {days} days ago" if expires <= now else f"expires in {days} days"


def _authority(fleet: Fleet) -> Iterator[Finding]:
    """A controller that has lost the site's CA makes a new one; installed, it would cut every host off."""
    for host, facts in fleet.facts.items():
        if facts.ca and facts.ca.strip() != fleet.ca.strip():
            what = "trusts another CA than the controller's: this controller does not hold the site's CA"
            yield Finding(host, what, "restore ca.key and ca.crt in site.pki from your copy, and remove the new ones")


def _etcd(fleet: Fleet) -> Iterator[Finding]:
    if len(fleet.etcd) == 1 and fleet.clusters:
        yield Finding(fleet.etcd[0], "is the only member of etcd: without it nobody can lead", "use 3 hosts", False)
    states = {host: fleet.facts[host].etcd for host in fleet.etcd if host in fleet.facts}
    ill = [host for host, state in states.items() if state == "unhealthy"]
    # A member is healthy when it has read through a majority, so one healthy member proves one. Members that have no
    # data yet are no loss: a first deploy was ended early, and this one goes on with it.
    is_lost = "healthy" not in states.values() and len(ill) > len(fleet.etcd) // 2
    for host in ill:
        what = "its member of etcd is not healthy" + (", and no other is: there is no majority" if is_lost else "")
        remedy = "systemctl status etcd; journalctl -u etcd. If this deploy is the cure: --data ignore_preflight=etcd"
        yield Finding(host, what, remedy, is_lost)


def _zones(fleet: Fleet) -> Iterator[Finding]:
    """Where a site says what fails together: no zone alone should be able to stop every failover."""
    votes = {zone: [host for host in fleet.etcd if host in hosts] for zone, hosts in fleet.zones.items()}
    major = next((zone for zone, hosts in votes.items() if len(hosts) > len(fleet.etcd) / 2), None)
    if major is None or len(fleet.zones) == 1:
        return
    what = f"zone {major} holds {len(votes[major])} of {len(fleet.etcd)} etcd members: its loss stops every cluster"
    yield Finding(", ".join(votes[major]), what, "spread them over three zones", is_problem=False)
    for cluster, hosts in fleet.clusters.items():
        if not set(hosts) & set(fleet.zones[major]):
            what = f"{cluster} has no member in zone {major}, where the majority of etcd is"
            yield Finding(cluster, what, "cut off from that zone it cannot write: add a member there", False)


# In this order they are reported; the names are those that `ignore_preflight` takes.
CHECKS: dict[str, Callable[[Fleet], Iterator[Finding]]] = {
    "reachable": _reachable,
    "system": _system,
    "platform": _platform,
    "memory": _memory,
    "disk": _disk,
    "clocks": _clocks,
    "ports": _ports,
    "packages": _packages,
    "certificates": _certificates,
    "authority": _authority,
    "etcd": _etcd,
    "zones": _zones,
}
