"""What the Python environments of hosts hold, made on the controller: no host needs a package index, pip or a compiler.

It is installed from wheels whose hashes are locked, with its bytecode: an archive of `site-packages` and `bin`. That is
made once for each state of its lock file (and, for `ops`, of our own source), and kept under build/environments/.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
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
CACHE = PROJECT / "build" / "environments"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"  # the controller's
# What hosts must be too, and the preflight sees to it: what is compiled comes along.
BUILT_FOR = f"{sysconfig.get_platform()} {PYTHON}"
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Environment:
    """One that is to be at `path`: an archive to unpack at `home`, and the digest of what it was made from."""

    path: str
    archive: Path
    digest: str

    @property
    def home(self) -> str:
        return _home(self.path, self.digest)


def environment(name: str, path: str, *, with_ops: bool = False) -> Environment:
    """What `requirements/<name>.txt` names, with `ops` itself where asked; OpsError with pip's words if it fails."""
    with _one_at_a_time:  # pyinfra prepares its hosts side by side, and all of them ask for the same
        return _environment(name, path, with_ops=with_ops)


@cache
def _environment(name: str, path: str, *, with_ops: bool) -> Environment:
    lock = PROJECT / "requirements" / f"{name}.txt"
    digest = _digest([lock, *(_own_source() if with_ops else [])])
    archive = CACHE / f"{name}-{digest[:16]}.tar.gz"
    if not archive.exists():
        _build(lock, archive, _home(path, digest), with_ops=with_ops)
    return Environment(path, archive, digest)


def _home(path: str, digest: str) -> str:
    return f"{path}-{digest[:12]}"


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


def _build(lock: Path, archive: Path, home: str, *, with_ops: bool) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        wheels, tree = Path(folder) / "wheels", Path(folder) / "tree"
        _collect(wheels, lock, with_ops=with_ops)
        install(wheels, tree, home)
        partial = Path(folder) / archive.name
        pack(tree, partial)
        partial.replace(archive)
    for older in CACHE.glob(f"{archive.name.partition('-')[0]}-*"):
        if older != archive:
            older.unlink()


def _collect(wheels: Path, lock: Path, *, with_ops: bool) -> None:
    # Some packages come as source only: `pip wheel` checks the locked hash of the source and builds it here.
    # pip keeps what it downloaded and built in its own cache, so a second build is quick.
    _pip("wheel", "--require-hashes", "--no-deps", "--requirement", str(lock), "--wheel-dir", str(wheels))
    if with_ops:
        _build_own(wheels)


def install(wheels: Path, tree: Path, home: str) -> None:
    """The wheels as they are when installed, for an environment that is `home` on the hosts."""
    packages, programs = tree / "site-packages", tree / "bin"
    names = map(str, sorted(wheels.glob("*.whl")))
    _pip("install", "--no-index", "--no-deps", "--no-compile", "--target", str(packages), *names)
    (packages / "bin").rename(programs)
    for program in programs.iterdir():
        if (text := program.read_bytes()).startswith(b"#!"):
            program.write_bytes(text.replace(os.fsencode(sys.executable), f"{home}/bin/python".encode()))
    # Half of what there is to compile is numpy's tests. What does not compile is a template, and no module.
    there = ["-s", str(packages), "-p", f"{home}/lib/{PYTHON}/site-packages"]
    compiler = [sys.executable, "-m", "compileall", "-q", "-x", "/tests/", *there, str(packages)]
    subprocess.run(compiler, capture_output=True, check=False)


def pack(tree: Path, archive: Path) -> None:
    """`bin` and `site-packages` of `tree`, as an archive to unpack on hosts."""
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for part in ("bin", "site-packages"):
            tar.add(tree / part, arcname=part, filter=as_on_hosts)


def as_on_hosts(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Root's, for all to read, whoever made it. Its time stays: bytecode holds for a source of the time noted in it."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member


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
