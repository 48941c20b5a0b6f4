"""Wheels that hosts install from: built or downloaded on the controller, so that no host needs a package index.

A wheelhouse is an archive of wheels with a `requirements.txt` of their hashes inside. It is made once for each state
of its lock file (and, for `ops`, of our own source), and kept under build/wheels/.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ops.errors import OpsError

PROJECT = Path(__file__).resolve().parents[2]
# What of ops/ goes along: modules, queries, and what the status page is made of (package-data in pyproject.toml).
PACKAGED = (".py", ".sql", ".j2", ".css", ".js")
CACHE = PROJECT / "build" / "wheels"
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Wheelhouse:
    """Wheels ready to send: a tar archive and the digest of what they were made from."""

    archive: Path
    digest: str


def wheelhouse(name: str, *, with_ops: bool = False) -> Wheelhouse:
    """The wheels of `requirements/<name>.txt`, with `ops` itself where asked; OpsError with pip's words if it fails."""
    with _one_at_a_time:  # pyinfra prepares its hosts side by side, and all of them ask for the same
        return _wheelhouse(name, with_ops=with_ops)


@cache
def _wheelhouse(name: str, *, with_ops: bool) -> Wheelhouse:
    lock = PROJECT / "requirements" / f"{name}.txt"
    digest = _digest([lock, *(_own_source() if with_ops else [])])
    archive = CACHE / f"{name}-{digest[:16]}.tar"
    if not archive.exists():
        _build(lock, archive, with_ops=with_ops)
    return Wheelhouse(archive, digest)


def _own_source() -> list[Path]:
    """What hosts get. The controller's wing stays away: a change in it must not have services restarted on them."""
    found = sorted(file for file in (PROJECT / "ops").rglob("*") if file.suffix in PACKAGED)
    wing = tuple(PROJECT / "ops" / name for name in ("deploys", "failover", "lab"))
    return [PROJECT / "pyproject.toml", *(file for file in found if not set(wing) & set(file.parents))]


def _digest(files: list[Path]) -> str:
    total = hashlib.sha256()
    for file in files:
        total.update(str(file.relative_to(PROJECT)).encode() + b"\0" + file.read_bytes() + b"\0")
    return total.hexdigest()


def _build(lock: Path, archive: Path, *, with_ops: bool) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        _fill(Path(folder), lock, with_ops=with_ops)
        partial = Path(folder) / "wheels.tar"
        with tarfile.open(partial, "w") as tar:
            for file in [Path(folder) / "requirements.txt", *sorted(Path(folder).glob("*.whl"))]:
                tar.add(file, arcname=file.name)
        partial.replace(archive)
    for older in CACHE.glob(f"{archive.name.partition('-')[0]}-*.tar"):
        if older != archive:
            older.unlink()


def _fill(folder: Path, lock: Path, *, with_ops: bool) -> None:
    # Some packages come as source only: `pip wheel` checks the locked hash of the source and builds it here.
    # pip keeps what it downloaded and built in its own cache, so a second build is quick.
    _pip("wheel", "--require-hashes", "--no-deps", "--requirement", str(lock), "--wheel-dir", str(folder))
    if with_ops:
        _build_own(folder)
    wheels = sorted(folder.glob("*.whl"))
    lines = [f"./{wheel.name} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n" for wheel in wheels]
    (folder / "requirements.txt").write_text("".join(lines))


def _build_own(folder: Path) -> None:
    """Our own wheel, from a copy: setuptools would keep modules that are gone in the checkout's build/lib."""
    with tempfile.TemporaryDirectory() as copy:
        for file in [PROJECT / "README.md", PROJECT / "ops" / "py.typed", *_own_source()]:
            target = Path(copy) / file.relative_to(PROJECT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), copy)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise OpsError(
            f"pip could not make the wheels ({' '.join(arguments[:2])} …)",
            detail=run.stderr.strip() or run.stdout.strip(),
            hint="The controller needs its package index for this, once for each change of requirements/.",
        )
