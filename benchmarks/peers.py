"""The tools that we compare ourselves with, installed into build/peers: nothing on the machine changes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

PEERS = Path(__file__).resolve().parent.parent / "build" / "peers"
BARMAN = "barman[cloud,lz4,zstandard]==3.19.0"


def pgbackrest() -> str:
    """The command of Debian's pgBackRest."""
    home = PEERS / "pgbackrest"
    program = home / "usr/bin/pgbackrest"
    if not program.exists():
        home.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-qq", "pgbackrest"], cwd=home, check=True, stdout=sys.stderr)
        for archive in home.glob("pgbackrest_*.deb"):
            subprocess.run(["dpkg-deb", "-x", archive, home], check=True)
    libraries = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    missing = [line.split()[0] for line in libraries.splitlines() if "not found" in line]
    if missing:
        raise click.ClickException(f"pgBackRest needs {', '.join(missing)}: install the packages that they are in")
    return str(program)


def barman() -> str:
    """The command barman-cloud-wal-archive from PyPI."""
    return barman_program("barman-cloud-wal-archive")


def barman_program(name: str) -> str:
    """One of barman-cloud's commands from PyPI."""
    home = PEERS / "barman"
    program = home / "bin" / name
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([home / "bin/pip", "install", "--quiet", BARMAN], check=True, stdout=sys.stderr)
    return str(program)


def postgres_exporter() -> str:
    """The command of Debian's postgres_exporter."""
    home = PEERS / "postgres_exporter"
    program = home / "usr/bin/prometheus-postgres-exporter"
    if not program.exists():
        home.mkdir(parents=True, exist_ok=True)
        package = "prometheus-postgres-exporter"
        subprocess.run(["apt-get", "download", "-qq", package], cwd=home, check=True, stdout=sys.stderr)
        for archive in home.glob(f"{package}_*.deb"):
            subprocess.run(["dpkg-deb", "-x", archive, home], check=True)
    return str(program)
