"""The archive of downloaded packages that all hosts share.

Every host sees the archive as one more read-only layer below its disk, so that apt finds what any host has ever
downloaded, and none waits for the lock of another. A layer below a mounted disk must never change: new packages go
into a new layer, a directory of hard links with the next number.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ops.lab.paths import Lab

IN_ROOT = Path("var/cache/apt/archives")
UNFINISHED = ".new"
MAGIC = b"!<arch>\n"  # how a .deb starts; a file that a power cut emptied does not


def newest(lab: Lab) -> Path:
    """The layer for disks that are made now; an empty one if nothing was ever collected."""
    numbers = _numbers(lab)
    layer = lab.archives / str(max(numbers, default=0))
    if not numbers:
        (layer / IN_ROOT).mkdir(parents=True)
    return layer


def collect(lab: Lab, uppers: Iterable[Path]) -> int:
    """Put the packages that hosts have downloaded into a new layer; returns how many are new."""
    known = {path.name for path in (newest(lab) / IN_ROOT).glob("*.deb")}
    found = {path.name: path for upper in uppers for path in (upper / IN_ROOT).glob("*.deb") if _whole(path)}
    new = [path for name, path in sorted(found.items()) if name not in known]
    if new:
        _make_layer(lab, [*(newest(lab) / IN_ROOT).glob("*.deb"), *new])
    return len(new)


def remove_unused(lab: Lab, used: set[Path]) -> None:
    """Remove the layers that no disk lies on, except the newest."""
    for path in set(lab.archives.iterdir()) - used - {newest(lab)}:
        shutil.rmtree(path)


def _make_layer(lab: Lab, packages: Iterable[Path]) -> None:
    building = lab.archives / UNFINISHED
    shutil.rmtree(building, ignore_errors=True)
    (building / IN_ROOT).mkdir(parents=True)
    for package in packages:
        _link_or_copy(package, building / IN_ROOT / package.name)
    os.sync()
    building.rename(lab.archives / str(max(_numbers(lab), default=0) + 1))


def _numbers(lab: Lab) -> list[int]:
    with suppress(FileNotFoundError):
        return [int(path.name) for path in lab.archives.iterdir() if path.name.isdigit()]
    return []


def _whole(path: Path) -> bool:
    """Whether it is a package: overlay marks a deleted file by a device node, a power cut leaves an empty one."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # state and cache on two file systems
        shutil.copyfile(source, target)
