"""What a writer through the router notices while the fleet is changed.

    python -m benchmarks.change [INVENTORY] [--runs 2] [--json]

The fleet (default: the lab's) must be deployed, and is left as it was. A client writes twenty rows a second; its gap is
the longest time from one confirmed row to the next, which is a twentieth of a second where nothing is noticed. There is
no peer to compare with: three seconds are promised for a switchover and a rolling restart, nothing for all else.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from benchmarks.report import OURS, Result, publish
from ops.cli.output import Steps, print_error
from ops.deploys.inventory import load
from ops.deploys.wheels import PROJECT
from ops.errors import OpsError
from ops.failover.clients import Running, writing
from ops.failover.ways import through_router
from ops.lab import drive
from ops.lab.paths import DEFAULT_INVENTORY

CLUSTER, DATABASE = "pg_main", "pend_production"
# Each value differs from the one before, so that every run changes something.
RELOADABLE = ("work_mem", ("5MB", "6MB"))
RESTART_ONLY = ("track_activity_query_size", (2048, 4096))


@click.command()
@click.argument("inventory", type=click.Path(path_type=Path, exists=True), default=DEFAULT_INVENTORY)
@click.option("--runs", default=2, show_default=True, help="How often each change is made.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def main(inventory: Path, runs: int, *, as_json: bool) -> None:
    """The write gap of each kind of change of the fleet in INVENTORY."""
    file = inventory / "hosts.py" if inventory.is_dir() else inventory
    steps, members = Steps(quiet=as_json), load(file).groups[CLUSTER]
    changes: dict[str, Callable[[int], None]] = {
        "deploy of no change": lambda _: deploy(file),
        "reload of a setting": lambda run: deploy_setting(file, *RELOADABLE, run),
        "switchover": lambda _: switchover(members),
        "rolling restart for a setting": lambda run: deploy_setting(file, *RESTART_ONLY, run),
    }
    deploy(file)  # what the checkout has that the fleet has not is no part of what is measured
    dsn = through_router(DATABASE, inventory=file)
    seen: dict[str, list[tuple[Running, list[int]]]] = {}
    with afterwards(lambda: deploy(file)):
        for name, make in changes.items():
            for run in range(runs):
                with steps.step(f"{name}, {run + 1} of {runs}"), writing(dsn) as journal:
                    make(run)
                seen.setdefault(name, []).append((journal, journal.lost(dsn)))
    publish([result for name, runs_of_it in seen.items() for result in _results(name, runs_of_it)], as_json=as_json)


def _results(name: str, runs: list[tuple[Running, list[int]]]) -> list[Result]:
    return [
        Result(OURS, f"{name}: gap", "s", tuple(journal.longest_gap() for journal, _ in runs)),
        Result(OURS, f"{name}: failed writes", "writes", tuple(len(journal.failures) for journal, _ in runs)),
        Result(OURS, f"{name}: confirmed and lost", "rows", tuple(len(lost) for _, lost in runs)),
    ]


def switchover(members: tuple[str, ...]) -> None:
    drive.ask(drive.leader(members), "ops cluster switchover", deadline=180)


def deploy_setting(inventory: Path, name: str, values: tuple[object, ...], run: int) -> None:
    """Deploy a copy of the inventory that differs in one PostgreSQL setting."""
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(inventory.parent, Path(folder) / "inventory") / "hosts.py"
        with (copy.parent / "group_data" / f"{CLUSTER}.py").open("a") as data:
            data.write(f'\npostgres["settings"] = postgres.get("settings", {{}}) | {{{name!r}: {values[run % 2]!r}}}\n')
        deploy(copy)


def deploy(inventory: Path) -> None:
    command = [f"{Path(sys.executable).parent}/pyinfra", "-y", str(inventory), "deploy.py"]
    run = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if run.returncode:
        raise OpsError("the deploy failed", detail=(run.stderr + run.stdout)[-3000:])


@contextmanager
def afterwards(make: Callable[[], None]) -> Iterator[None]:
    """Also when something fails: the fleet is left as its inventory says."""
    try:
        yield
    finally:
        make()


if __name__ == "__main__":
    try:
        main.main(standalone_mode=True)
    except OpsError as error:
        print_error(error, as_json="--json" in sys.argv)
        sys.exit(error.exit_code)
