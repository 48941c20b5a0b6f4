"""What a machine must have before the lab touches it. All that is missing is said at once, and how to get it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ops.errors import OpsError
from ops.lab import cgroups, network
from ops.lab.commands import succeeds
from ops.lab.paths import Lab

GIB = 1024**3
DISK_NEEDED = 8 * GIB
INOTIFY_PER_HOST = 7  # of systemd, its logind and D-Bus, as counted; the kernel's usual limit is 128 a user
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
# Program -> Debian package.
PROGRAMS = {
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "nft": "nftables",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "systemd-nspawn": "systemd-container",
    "unshare": "util-linux",
}
DEVICES = ("/dev/null", "/dev/ptmx", "/dev/tty", "/dev/urandom")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
NAMESPACES = ("mount", "uts", "ipc", "net", "pid", "cgroup")
# File systems whose directories overlayfs cannot write through.
NO_UPPER = frozenset({"overlay", "nfs", "nfs4", "cifs", "vfat", "fuse", "9p"})


@dataclass(frozen=True)
class Facts:
    """What was seen on this machine. The defaults describe one that has everything."""

    root: bool = True
    programs_missing: tuple[str, ...] = ()
    devices_missing: tuple[str, ...] = ()
    keyring: bool = True
    namespaces: bool = True
    overlayfs: bool = True
    bridge: bool = True
    veth: bool = True
    nft: bool = True
    cgroups_writable: bool = True
    inotify_instances: int = 8192
    disk_free: int = 100 * GIB
    filesystem: str = "ext4"
    overlapping_routes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Missing:
    """Something that the lab cannot do without, and how to get it."""

    what: str
    how: str


def missing(facts: Facts, lab: Lab, hosts: int, *, new_hosts: bool) -> list[Missing]:
    """What this machine lacks for that many hosts. Room on the disk counts only when hosts are to be made."""
    if not facts.root:
        return [Missing("root: namespaces, mounts and the bridge need it", "run the command as root (sudo)")]
    packages = sorted({PROGRAMS[program] for program in facts.programs_missing})
    install = f"apt-get install {' '.join(packages)} (or: make setup)"
    checks = (
        (not facts.programs_missing, f"programs: {', '.join(facts.programs_missing)}", install),
        (facts.keyring, f"{KEYRING}, to verify packages", "apt-get install debian-archive-keyring"),
        (
            not facts.devices_missing,
            f"devices: {', '.join(facts.devices_missing)}",
            "a container needs them passed in; on a real machine udev or devtmpfs makes them",
        ),
        (
            facts.namespaces,
            f"namespaces ({', '.join(NAMESPACES)})",
            "use a virtual machine, or a container started with --privileged",
        ),
        (facts.overlayfs, "overlayfs in the kernel", "modprobe overlay (CONFIG_OVERLAY_FS)"),
        (facts.bridge, "network bridges in the kernel", "modprobe bridge (CONFIG_BRIDGE)"),
        (facts.veth, "virtual Ethernet pairs in the kernel", "modprobe veth (CONFIG_VETH)"),
        (
            facts.nft or "nft" in facts.programs_missing,
            "nftables with NAT and conntrack in the kernel",
            "modprobe nft_masq nft_ct (CONFIG_NFT_MASQ, CONFIG_NFT_CT)",
        ),
        (
            facts.cgroups_writable,
            "a writable cgroup2, or cgroup v1 named systemd, below /sys/fs/cgroup",
            "mkdir /sys/fs/cgroup/systemd && mount -t cgroup -o none,name=systemd systemd /sys/fs/cgroup/systemd",
        ),
        (
            facts.inotify_instances >= hosts * INOTIFY_PER_HOST,
            f"inotify instances: {facts.inotify_instances} a user, {hosts * INOTIFY_PER_HOST} needed",
            f"sysctl fs.inotify.max_user_instances={hosts * INOTIFY_PER_HOST}",
        ),
        (
            facts.filesystem not in NO_UPPER,
            f"a real file system at {lab.state.parent}: overlayfs cannot write on {facts.filesystem}",
            f"mount a disk (ext4, xfs) or a volume at {lab.state.parent}",
        ),
        (
            not new_hosts or facts.disk_free >= DISK_NEEDED,
            f"disk space: {facts.disk_free / GIB:.1f} GiB free at {lab.state.parent}, {DISK_NEEDED / GIB:.0f} needed",
            "free some, or mount a larger disk there",
        ),
        (
            not facts.overlapping_routes,
            f"a free network {lab.subnet}: taken by {', '.join(facts.overlapping_routes)}",
            "choose another one: OPS_LAB_SUBNET=10.99.0.0/24",
        ),
    )
    return [Missing(what, how) for fine, what, how in checks if not fine]


def check(lab: Lab, hosts: int, *, new_hosts: bool) -> None:
    """OpsError that names all that is missing; returns silently if nothing is. Changes nothing."""
    gaps = missing(gather(lab), lab, hosts, new_hosts=new_hosts)
    if gaps:
        raise OpsError(
            "this machine cannot run the lab yet; nothing was changed",
            detail="\n".join(f"missing {gap.what}\n    get it: {gap.how}" for gap in gaps),
            hint="run the command again when all of it is there",
        )


def gather(lab: Lab) -> Facts:
    """Look at this machine. What can be tried is tried, in throw-away namespaces."""
    if os.geteuid() != 0:
        return Facts(root=False)
    programs = tuple(program for program in PROGRAMS if not shutil.which(program))
    has_ip = "ip" not in programs
    network_only = ("unshare", "--net", "ip", "link", "add", "probe0", "type")
    return Facts(
        programs_missing=programs,
        devices_missing=tuple(device for device in DEVICES if not Path(device).exists()),
        keyring=KEYRING.exists(),
        namespaces=succeeds("unshare", *(f"--{name}" for name in NAMESPACES), "--fork", "true"),
        overlayfs="\toverlay\n" in Path("/proc/filesystems").read_text() or succeeds("modprobe", "-n", "overlay"),
        bridge=not has_ip or succeeds(*network_only, "bridge"),
        veth=not has_ip or succeeds(*network_only, "veth"),
        nft=succeeds("nft", "--check", "-f", "-", stdin=network.ruleset(lab)),
        cgroups_writable=_cgroups_writable(),
        inotify_instances=int(INOTIFY.read_text()),
        disk_free=shutil.disk_usage(_existing(lab.state)).free,
        filesystem=filesystem_of(_existing(lab.state), Path("/proc/self/mountinfo").read_text()),
        overlapping_routes=tuple(network.overlapping(lab, network.routes())) if has_ip else (),
    )


def _cgroups_writable() -> bool:
    found = cgroups.hierarchies(cgroups.MOUNTINFO.read_text())
    return bool(found) and all(os.access(mount, os.W_OK) for mount in found)


def _existing(path: Path) -> Path:
    """The path itself, or its nearest parent that exists."""
    return next(candidate for candidate in (path, *path.parents) if candidate.exists())


def filesystem_of(path: Path, mountinfo: str) -> str:
    """The type of the file system that a path lies on, from the text of mountinfo."""
    kinds: Mapping[Path, str] = {
        Path(left.split()[4]): right.split()[0]
        for left, _, right in (line.partition(" - ") for line in mountinfo.splitlines())
    }
    return next(kinds[place] for place in (path, *path.parents) if place in kinds)
