"""From fault to page: for each fault, who is told of it, after how many seconds, and of what else.

    python -m benchmarks.paging [INVENTORY] [--only NAME] [--json]

The fleet (default: the lab's) must be deployed and well; each fault is mended before the next. Rules and Alertmanager
are as they were deployed: what is measured is how long somebody waits who is on call. Exit code 1 where a page did not
come, did not end, or was not alone.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from ops.cli.output import Steps, emit_json, print_error, table
from ops.deploys.inventory import load
from ops.errors import Exit, OpsError
from ops.lab.breakage import Scene
from ops.lab.paging import FAULTS, Outcome, pager_of, try_out
from ops.lab.paths import DEFAULT_INVENTORY

NAMES = [fault.name for fault in FAULTS]


@click.command()
@click.argument("inventory", type=click.Path(path_type=Path, exists=True), default=DEFAULT_INVENTORY)
@click.option("--only", multiple=True, type=click.Choice(NAMES), help="These faults, and no others.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def main(inventory: Path, only: tuple[str, ...], *, as_json: bool) -> None:
    """What is told of each fault of the fleet in INVENTORY."""
    steps, scene, outcomes = Steps(quiet=as_json), Scene(load(inventory)), list[Outcome]()
    with pager_of(scene.inventory) as pager:
        with steps.step("make backups and a drill, as time would"):
            scene.give_a_past()
        for fault in FAULTS:
            if not only or fault.name in only:
                with steps.step(fault.name):
                    outcomes += try_out((fault,), scene, pager)
    if as_json:
        emit_json({"faults": [_document(outcome) for outcome in outcomes]})
    else:
        click.echo(_page(outcomes))
    sys.exit(Exit.OK if all(outcome.as_it_should_be for outcome in outcomes) else Exit.NO)


def _document(outcome: Outcome) -> dict[str, object]:
    told = {name: value for name, value in asdict(outcome).items() if name != "fault"}
    return {"fault": outcome.fault.name, "alert": outcome.fault.alert, **told}


def _page(outcomes: list[Outcome]) -> str:
    rows = [
        (
            outcome.fault.name,
            outcome.fault.alert,
            _seconds(outcome.paged),
            _seconds(outcome.cleared),
            ", ".join(outcome.others) or "nothing",
        )
        for outcome in outcomes
    ]
    return table(rows, ("fault", "alert", "page (s)", "clear (s)", "what else paged"), right=("page (s)", "clear (s)"))


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.0f}"


if __name__ == "__main__":
    try:
        main.main(standalone_mode=True)
    except OpsError as error:
        print_error(error, as_json="--json" in sys.argv)
        sys.exit(error.exit_code)
