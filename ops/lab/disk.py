"""The disk of a host: a writable layer over the shared base image.

The layer is prepared beside and renamed when complete, so that a killed run leaves no half-made host.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from ops.errors import OpsError
from ops.lab import mounts, ssh
from ops.lab.inventory import LabHost, etc_hosts
from ops.lab.paths import Lab

RECORD = "disk.json"
PARTIAL = ".partial-"
HOST_KEY = Path("etc/ssh/ssh_host_ed25519_key")
RESOLVED_UPSTREAM = Path("/run/systemd/resolve/resolv.conf")


@dataclass(frozen=True)
class Disk:
    """A host's disk as it was made: it keeps its address, and its layers, for as long as it lives."""

    host: str
    address: IPv4Address
    lower: tuple[Path, ...]


def existing(lab: Lab) -> dict[str, Disk]:
    """Every disk of the lab by host name. OpsError if one has no readable record."""
    return {name: _read(lab, name) for name in names(lab)}


def names(lab: Lab) -> list[str]:
    """The hosts that have a disk."""
    return sorted(path.name for path in lab.hosts.glob("[!.]*"))


def _read(lab: Lab, host: str) -> Disk:
    record = lab.hosts / host / RECORD
    try:
        fields = json.loads(record.read_text())
        return Disk(host, IPv4Address(fields["address"]), tuple(Path(path) for path in fields["lower"]))
    except (OSError, ValueError, KeyError) as error:
        raise OpsError(
            f"the disk of {host} has no readable record",
            detail=f"{record}: {error}",
            hint="ops lab down, then ops lab up, makes new hosts",
        ) from None


def create(lab: Lab, host: LabHost, hosts: Sequence[LabHost], lower: Sequence[Path]) -> None:
    """Make the disk of a host that has none: its name, address, keys and those of the lab."""
    partial = lab.hosts / f"{PARTIAL}{host.name}"
    shutil.rmtree(partial, ignore_errors=True)
    for name in ("upper", "work", "root"):
        (partial / name).mkdir(parents=True)
    upper = _Layer(partial / "upper", lower[-1])
    upper.write("etc/hostname", f"{host.name}\n")
    upper.write("etc/hosts", etc_hosts(hosts))
    upper.write("etc/machine-id", f"{uuid.uuid4().hex}\n", 0o444)
    upper.write("etc/resolv.conf", resolver(Path("/etc/resolv.conf"), RESOLVED_UPSTREAM))
    upper.write("etc/systemd/network/10-lab.network", network_file(lab, host))
    upper.write("root/.ssh/authorized_keys", lab.ssh_key.with_suffix(".pub").read_text(), 0o600)
    upper.directory(HOST_KEY.parent)
    ssh.make_key(partial / "upper" / HOST_KEY, f"root@{host.name}")
    record = {"address": str(host.address), "lower": [str(path) for path in lower]}
    (partial / RECORD).write_text(json.dumps(record) + "\n")
    partial.rename(lab.hosts / host.name)


def mount(lab: Lab, disk: Disk) -> None:
    """Mount the disk of a host that does not run (a mounted one stays as it is)."""
    root = lab.root(disk.host)
    if not mounts.is_mounted(root):
        home = lab.hosts / disk.host
        mounts.mount_overlay(disk.lower, home / "upper", home / "work", root)


def introduce(lab: Lab, host: str, hosts: Sequence[LabHost]) -> None:
    """Make sure that a host whose disk is mounted knows all the others by name."""
    file = lab.root(host) / "etc/hosts"
    known = file.read_text().splitlines() if file.is_file() else []
    if not {f"{other.address} {other.name}" for other in hosts} <= set(known):
        # Replaced, not written through: the file is the host's, and a symlink in it would lead out of the host.
        new = file.with_name(".hosts.lab")
        new.unlink(missing_ok=True)
        new.write_text(etc_hosts(hosts))
        new.replace(file)


def public_key(lab: Lab, host: str) -> str:
    """The public key by which a host proves who it is."""
    return (lab.hosts / host / "upper" / HOST_KEY).with_suffix(".pub").read_text()


def network_file(lab: Lab, host: LabHost) -> str:
    """How systemd-networkd in a host sets up its link."""
    return (
        "[Match]\nName=host0\n\n[Network]\n"
        f"Address={host.address}/{lab.subnet.prefixlen}\nGateway={lab.gateway}\n"
        "LinkLocalAddressing=no\nIPv6AcceptRA=no\nLLMNR=no\n"
    )


def resolver(*candidates: Path) -> str:
    """The first resolver configuration without a loopback address, which would mean something else in a host."""
    for path in candidates:
        if path.is_file():
            text = path.read_text()
            servers = [words[1] for line in text.splitlines() if (words := line.split())[:1] == ["nameserver"]]
            if servers and not any(server.startswith(("127.", "::1")) for server in servers):
                return text
    return ""


@dataclass(frozen=True)
class _Layer:
    """An overlay layer under construction: its directories look like those of the layer below."""

    root: Path
    below: Path

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self.root / name
        self.directory(path.relative_to(self.root).parent)
        path.write_text(text)
        path.chmod(mode)

    def directory(self, name: Path) -> None:
        for part in [*reversed(name.parents), name]:
            path, model = self.root / part, self.below / part
            if not path.is_dir():
                path.mkdir(mode=0o700)
                if model.is_dir():
                    status = model.stat()
                    path.chmod(status.st_mode & 0o7777)
                    os.chown(path, status.st_uid, status.st_gid)
        # The root of the layer is the root directory of the host.
        self.root.chmod(0o755)
