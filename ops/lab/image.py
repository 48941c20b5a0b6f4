"""The base image that all hosts share: what it is made of, and making it once.

An image lies in a directory named after the digest of its recipe and the day it was built. It is built beside and
renamed when complete, so a directory with such a name is whole, and a changed recipe finds none and builds one.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from ops.errors import OpsError
from ops.lab import cgroups, mounts
from ops.lab.commands import Report, run
from ops.lab.paths import Lab
from ops.model.packages import INDEX_READ

PACKAGES = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "less",
    "openssh-server",
    "procps",
    "python3",
    "python3-venv",
    "sudo",
    "systemd",
    "systemd-sysv",
)
# What makes no sense in a host of the lab, or would make it busy at moments that nobody chose.
MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "getty.target",
    "systemd-networkd-wait-online.service",
)
# What makes units of a machine's disks, consoles and kernel command line, each time that systemd reads its units anew:
# a container has none of these (man 7 systemd.generator: a link to /dev/null masks one).
MASKED_GENERATORS = (
    "cryptsetup",
    "debug",
    "fstab",
    "getty",
    "gpt-auto",
    "hibernate-resume",
    "integritysetup",
    "rc-local",
    "run",
    "system-update",
    "veritysetup",
)
# Our own settings of apt, dpkg and sshd, as files of the image.
FILES = {
    # Downloaded packages stay in the archives directory, from where the lab collects them for the next host.
    "etc/apt/apt.conf.d/90lab": (
        'Binary::apt::APT::Keep-Downloaded-Packages "true";\n'
        'APT::Keep-Downloaded-Packages "true";\n'
        'Acquire::Languages "none";\n'
    ),
    "etc/default/locale": "LANG=C.UTF-8\n",
    # An interrupted dpkg run is repeated in a lab; what PostgreSQL syncs is synced for real.
    "etc/dpkg/dpkg.cfg.d/lab": "force-unsafe-io\npath-exclude=/usr/share/man/*\npath-exclude=/usr/share/doc/*\n",
    # pyinfra opens many sessions at once over one connection.
    "etc/ssh/sshd_config.d/lab.conf": "MaxSessions 100\nMaxStartups 100\nUseDNS no\nPasswordAuthentication no\n",
    # On the disk, so that a host which crashed can still be asked why.
    "etc/systemd/journald.conf.d/lab.conf": "[Journal]\nStorage=persistent\nSystemMaxUse=64M\n",
}
# How this machine's apt reaches Debian; hosts must do it the same way.
APT_SETTINGS = (
    "Acquire::Check-Valid-Until",
    "Acquire::Check-Date",
    "Acquire::Retries",
    "Acquire::http::Proxy",
    "Acquire::https::Proxy",
)
CONTROLLER_CERTIFICATES = Path("/usr/local/share/ca-certificates")
REFRESH_DAYS = 7  # package lists in the image grow stale: the mirror drops the versions that they name
BUILDING = "building"


@dataclass(frozen=True)
class Source:
    """A Debian archive that this machine reads: base address, suite and component."""

    uri: str
    suite: str
    component: str


@dataclass(frozen=True)
class Recipe:
    """All that decides what comes out of a build."""

    suite: str
    sources: tuple[Source, ...]
    apt_conf: str
    certificates: dict[str, str]
    packages: tuple[str, ...] = PACKAGES
    masked: tuple[str, ...] = MASKED
    masked_generators: tuple[str, ...] = MASKED_GENERATORS

    @property
    def digest(self) -> str:
        everything = json.dumps([asdict(self), FILES], sort_keys=True)
        return hashlib.sha256(everything.encode()).hexdigest()[:12]

    @property
    def mirror(self) -> str:
        """The archive to bootstrap from."""
        return next(s.uri for s in self.sources if s.suite == self.suite and s.component == "main")

    @property
    def sources_list(self) -> str:
        return "".join(f"deb {s.uri} {s.suite} {s.component}\n" for s in self.sources)


def debian_sources(indextargets: str) -> tuple[Source, ...]:
    """The Debian archives in the output of `apt-get indextargets` (one ORIGIN|URI|CODENAME|COMPONENT a line).

    Only what hosts can reach too: a mirror on this machine's disk is not copied.
    """
    found = []
    for line in indextargets.splitlines():
        origin, uri, codename, component = line.split("|")
        if origin == "Debian" and uri.startswith(("http://", "https://")):
            found.append(Source(uri, codename, component))
    return tuple(dict.fromkeys(found))


def read_sources() -> tuple[Source, ...]:
    """The Debian archives that this machine's apt knows (half a second)."""
    line = "$(ORIGIN)|$(REPO_URI)|$(CODENAME)|$(COMPONENT)"
    return debian_sources(run("apt-get", "indextargets", "--format", line, "Created-By: Packages"))


def apt_conf(dump: str) -> str:
    """The lines of `apt-config dump` that say how to reach Debian."""
    kept = [line for line in dump.splitlines() if line.split(" ", 1)[0] in APT_SETTINGS]
    return "".join(f"{line}\n" for line in kept if not line.endswith(' "";'))


def recipe() -> Recipe:
    """What an image built on this machine now would be made from. OpsError if apt does not know Debian."""
    sources = read_sources()
    suite = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    if not any(s.suite == suite and s.component == "main" for s in sources):
        raise OpsError(
            f"apt on this machine knows no Debian archive for {suite or 'its release'}",
            detail="hosts of the lab run the release of this machine, from the archives that its apt reads",
            hint="run: apt-get update (hosts need a Debian archive over http or https)",
        )
    certificates = {path.name: path.read_text() for path in sorted(CONTROLLER_CERTIFICATES.glob("*.crt"))}
    return Recipe(suite, sources, apt_conf(run("apt-config", "dump")), certificates)


def usable(names: Iterable[str], digest: str, today: date) -> str | None:
    """The newest image among directory names that was made from that recipe and is not too old."""
    oldest = today - timedelta(days=REFRESH_DAYS)
    fresh = [name for name in names if name.startswith(f"{digest}-") and name >= f"{digest}-{oldest:%Y%m%d}"]
    return max(fresh, default=None)


def ensure(lab: Lab, report: Report) -> Path:
    """The base image for hosts that are made now, built if it is not there."""
    wanted, today = recipe(), datetime.now(UTC).date()
    lab.bases.mkdir(parents=True, exist_ok=True)
    found = usable((path.name for path in lab.bases.iterdir()), wanted.digest, today)
    if found:
        return lab.bases / found
    target = lab.bases / f"{wanted.digest}-{today:%Y%m%d}"
    report("building the base image with debootstrap (about a minute, once a week)")
    clear_unfinished(lab)
    _build(lab, wanted, target)
    return target


def clear_unfinished(lab: Lab) -> None:
    """End a build that a killed run left behind, and remove what it had made."""
    left = cgroups.kill(lab, BUILDING)
    building = lab.bases / BUILDING
    if left or mounts.unmount_below(building):
        raise OpsError("an earlier build of the base image will not end", detail=f"processes {sorted(left)}")
    cgroups.remove(lab, BUILDING)
    if building.exists():
        shutil.rmtree(building)


def _build(lab: Lab, made_from: Recipe, target: Path) -> None:
    building = lab.bases / BUILDING
    building.mkdir(parents=True)
    include = "--include=" + ",".join(made_from.packages)
    _enclosed(lab, "debootstrap", "--variant=minbase", include, made_from.suite, building, made_from.mirror)
    _configure(building, made_from)
    _enclosed(lab, "chroot", building, "update-ca-certificates")
    _enclosed(lab, "chroot", building, "systemctl", "enable", "systemd-networkd.service", "ssh.service")
    _enclosed(lab, "chroot", building, "systemctl", "set-default", "multi-user.target")
    _enclosed(lab, "chroot", building, "systemctl", "mask", *made_from.masked)
    _enclosed(lab, "chroot", building, "apt-get", "clean")
    _enclosed(lab, "chroot", building, "apt-get", "update")
    (building / INDEX_READ.lstrip("/")).touch()  # by which a deploy knows that it was
    _forget_identity(building)
    record = {"built": datetime.now(UTC).isoformat(timespec="seconds"), **asdict(made_from)}
    (building / "etc" / "lab-image.json").write_text(json.dumps(record, indent=2) + "\n")
    os.sync()  # a power cut must not leave a complete name on incomplete files
    building.rename(target)
    cgroups.remove(lab, BUILDING)


def _enclosed(lab: Lab, *argv: str | Path) -> None:
    """Run one step of a build in namespaces and a cgroup of its own: its mounts go with it, and a later run finds its
    processes if this one is killed."""
    directories = cgroups.create(lab, BUILDING)
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    enclosure = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    run(*cgroups.joining(directories), *enclosure, *argv, deadline=900, env=environment)


def _configure(root: Path, made_from: Recipe) -> None:
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    with (root / "etc/apt/apt.conf.d/90lab").open("a") as conf:
        conf.write(made_from.apt_conf)
    (root / "etc/apt/sources.list").write_text(made_from.sources_list)
    for name, text in made_from.certificates.items():
        (root / "usr/local/share/ca-certificates" / name).write_text(text)
    generators = root / "etc/systemd/system-generators"
    generators.mkdir()
    for name in made_from.masked_generators:
        (generators / f"systemd-{name}-generator").symlink_to("/dev/null")
    shutil.copyfile("/etc/resolv.conf", root / "etc/resolv.conf")


def _forget_identity(root: Path) -> None:
    """No two hosts may share a key or a machine id; no policy may keep packages from starting their services."""
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (root / "etc/machine-id").write_text("")
    (root / "var/lib/dbus/machine-id").unlink(missing_ok=True)
    (root / "usr/sbin/policy-rc.d").unlink(missing_ok=True)
    (root / "etc/hostname").unlink(missing_ok=True)
    for stamp in ("etc/.updated", "var/.updated"):  # nothing to update at first boot
        (root / stamp).touch()


def remove_unused(lab: Lab, used: set[Path]) -> None:
    """Remove the images that no disk lies on, except the newest."""
    images = sorted(
        (path for path in lab.bases.iterdir() if path.name != BUILDING), key=lambda path: path.stat().st_mtime
    )
    for path in set(images[:-1]) - used:
        shutil.rmtree(path)
