"""A deploy that has nothing to do, of a running fleet: pyinfra's beside the same operations by Ansible.

    python -m benchmarks.deploy [INVENTORY] [--runs 3] [--json]

The fleet (default: the lab's) must be deployed. Both run in turn on the same hosts, each once before it is measured.
Ansible is set up to be quick: pipelining, connections that persist, one fork for each host, no facts gathered.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path

import click

from benchmarks.playbook import record, write
from benchmarks.report import OURS, Result, publish
from ops.cli.output import print_error
from ops.deploys.wheels import PROJECT
from ops.errors import OpsError
from ops.lab.paths import DEFAULT_INVENTORY

LOCK = PROJECT / "benchmarks" / "ansible.txt"
ENVIRONMENT = PROJECT / "build" / "ansible"


@click.command()
@click.argument("inventory", type=click.Path(path_type=Path, exists=True), default=DEFAULT_INVENTORY)
@click.option("--runs", default=3, show_default=True, help="How often each is measured.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def main(inventory: Path, runs: int, *, as_json: bool) -> None:
    """No-op deploys of INVENTORY by pyinfra and by Ansible."""
    file = inventory / "hosts.py" if inventory.is_dir() else inventory
    recorded = record(file)
    with tempfile.TemporaryDirectory() as folder:
        playbook = write(recorded, Path(folder))
        tools: dict[str, Callable[[], float]] = {
            OURS: lambda: _pyinfra(file),
            "ansible": lambda: _ansible(playbook, len(recorded.connections)),
        }
        for run in tools.values():
            run()
        seconds: dict[str, list[float]] = {tool: [] for tool in tools}
        for _ in range(runs):
            for tool, run in tools.items():
                seconds[tool].append(run())
    what = f"no-op deploy of {recorded.operations} operations on {len(recorded.connections)} hosts"
    publish([Result(tool, what, "s", tuple(values)) for tool, values in seconds.items()], as_json=as_json)


def _pyinfra(inventory: Path) -> float:
    """How long a deploy takes; OpsError where it changes something."""
    seconds, output = _run([f"{Path(sys.executable).parent}/pyinfra", "-y", "--json", str(inventory), "deploy.py"])
    changed = json.loads(output)["results"]["totals"]["success"]
    if changed:
        raise OpsError(f"pyinfra changed {changed} things: this was no no-op")
    return seconds


def _ansible(playbook: Path, hosts: int) -> float:
    """How long the playbook takes; OpsError where it changes something."""
    settings = {
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_FORKS": str(hosts),
        "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=10m",
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(playbook.parent / "connections"),
        "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
        "ANSIBLE_HOME": str(playbook.parent / "home"),
        "LC_ALL": "C.UTF-8",
    }
    seconds, output = _run(
        [
            str(_environment() / "bin" / "ansible-playbook"),
            "--inventory",
            str(playbook.parent / "hosts"),
            str(playbook),
        ],
        settings,
    )
    changed = sum(map(int, re.findall(r"changed=(\d+)", output)))
    if changed:
        raise OpsError(f"Ansible changed {changed} things: this was no no-op", detail=output[-2000:])
    return seconds


def _run(command: list[str], settings: dict[str, str] | None = None) -> tuple[float, str]:
    start = time.monotonic()
    run = subprocess.run(
        command, cwd=PROJECT, env=os.environ | (settings or {}), capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - start
    if run.returncode:
        raise OpsError(f"{Path(command[0]).name} failed", detail=(run.stderr + run.stdout)[-3000:])
    return seconds, run.stdout


def _environment() -> Path:
    """Ansible, installed from its lock file the first time."""
    stamp, digest = ENVIRONMENT / ".installed", hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        venv.create(ENVIRONMENT, clear=True, with_pip=True)
        _run([f"{ENVIRONMENT}/bin/pip", "install", "-qq", "--require-hashes", "-r", str(LOCK)])
        stamp.write_text(digest)
    return ENVIRONMENT


if __name__ == "__main__":
    try:
        main.main(standalone_mode=True)
    except OpsError as error:
        print_error(error, as_json="--json" in sys.argv)
        sys.exit(error.exit_code)
