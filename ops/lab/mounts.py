"""Overlay mounts of host disks, and taking mounts away again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import psutil

from ops.errors import OpsError
from ops.lab.commands import eventually, run, succeeds

MOUNTINFO = Path("/proc/self/mountinfo")


def below(directory: Path, mountinfo: str) -> list[Path]:
    """The mount points at or below a directory, in the order in which they can be unmounted."""
    points = [Path(_unescape(line.split()[4])) for line in mountinfo.splitlines()]
    inside = [point for point in points if point.is_relative_to(directory)]
    return sorted(inside, key=lambda point: len(point.parts), reverse=True)


def _unescape(text: str) -> str:
    """mountinfo writes blanks and backslashes in octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)


def is_mounted(point: Path) -> bool:
    return point in below(point, MOUNTINFO.read_text())


def mount_overlay(lower: Sequence[Path], upper: Path, work: Path, point: Path) -> None:
    """Mount an overlay. Writes are synced as on any disk: no `volatile` here."""
    for layer in lower:
        if not layer.is_dir():
            raise OpsError(
                f"the disk of the host at {point.parent} cannot be mounted",
                detail=f"the layer {layer} that it was made on is gone",
                hint="ops lab down, then ops lab up, makes new hosts",
            )
    layers = ":".join(map(str, lower))
    options = f"lowerdir={layers},upperdir={upper},workdir={work}"
    run("mount", "-t", "overlay", "-o", options, "overlay", point)


def holders(directory: Path) -> list[str]:
    """The processes that stand at or below a directory, and so keep it from being unmounted."""
    found = []
    for process in psutil.process_iter(["cwd", "name"]):
        if process.info["cwd"] and Path(process.info["cwd"]).is_relative_to(directory):
            found.append(f"{process.info['name']} (pid {process.pid})")
    return found


def unmount_below(directory: Path, *, deadline: float = 10) -> list[Path]:
    """Unmount everything at and below a directory, deepest first; returns what is still mounted."""

    def gone() -> bool:
        for point in below(directory, MOUNTINFO.read_text()):
            succeeds("umount", point)
        return not below(directory, MOUNTINFO.read_text())

    eventually(gone, deadline=deadline, every=0.2)
    return below(directory, MOUNTINFO.read_text())
