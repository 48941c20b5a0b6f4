"""What failover drills cost: each kind of fault, several times.

    python -m benchmarks.failover [INVENTORY] [--runs 5] [--kind KIND]… [--json]

The fleet (default: the lab's) must be deployed, and is left as it was but for who leads. Times are in seconds: the
longest in which no client on a route was acknowledged anything, and from the fault until redundancy was back. There is
no peer to compare with. What is aimed at, through the router to write: a switchover 2 s, a kill of PostgreSQL 8 s, of a
host 25 s; redundancy 60 s; nothing lost, and nothing acknowledged by the old primary after the new one's first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click

from benchmarks.report import OURS, Result, publish
from ops.cli.output import Steps, print_error
from ops.deploys.inventory import load
from ops.errors import OpsError
from ops.failover.drill import Drill, run
from ops.failover.faults import FAULTS, find
from ops.failover.hosts import reach
from ops.lab.paths import DEFAULT_INVENTORY
from ops.model.failover import Report

CLUSTER = "pg_main"
NEVER = float("inf")
# What is told of each drill, its unit, and how it is read. What never came is infinitely late.
MEASURES: tuple[tuple[str, str, Callable[[Report], float | None]], ...] = (
    ("write gap", "s", lambda report: report.gap("write")),
    ("write gap, straight", "s", lambda report: report.gap("direct")),
    ("read gap", "s", lambda report: report.gap("read")),
    ("old sessions waited", "s", lambda report: report.longest_hang),
    ("redundancy back", "s", lambda report: report.moments.redundant),
    ("acknowledged and lost", "rows", lambda report: report.rows.lost),
    ("late, by the old primary", "rows", lambda report: report.rows.late),
)


@click.command()
@click.argument("inventory", type=click.Path(path_type=Path, exists=True), default=DEFAULT_INVENTORY)
@click.option("--runs", default=5, show_default=True, help="How often each fault is brought about.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice([fault.name for fault in FAULTS]), help="Only these.")
@click.option("--force", is_flag=True, help="Although `ops failover check` says no, or cannot say.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def main(inventory: Path, runs: int, *, kinds: tuple[str, ...], force: bool, as_json: bool) -> None:
    """The cost of every fault of a drill on the fleet in INVENTORY."""
    steps, hosts = Steps(), reach(load(inventory))
    results = []
    for fault in map(find, kinds or [fault.name for fault in FAULTS]):
        reports = []
        for number in range(runs):
            with steps.step(f"{fault.name}, {number + 1} of {runs}"):
                report = run(Drill(hosts, CLUSTER, fault, force), Steps(quiet=True))
            steps.say(f"          {report.verdict}{''.join(f'; {reason}' for reason in report.reasons)}")
            reports.append(report)
        for name, unit, read in MEASURES:
            values = tuple(NEVER if (value := read(report)) is None else value for report in reports)
            results.append(Result(OURS, f"{fault.name}: {name}", unit, values))
    publish(results, as_json=as_json)


if __name__ == "__main__":
    try:
        main.main(standalone_mode=True)
    except OpsError as error:
        print_error(error, as_json="--json" in sys.argv)
        sys.exit(error.exit_code)
